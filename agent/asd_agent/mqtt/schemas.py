"""JSON Schemas of everything on the wire, as kept in docs/schemas.

`python -m asd_agent.mqtt.schemas docs/schemas` writes them anew after a change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from asd_agent.mqtt.payloads import (
    AgentEvent,
    Alert,
    Command,
    CommandAnswer,
    Health,
    MonitorState,
    Payload,
    Score,
    SourceState,
)

MODELS: dict[str, type[Payload]] = {
    "alert": Alert,
    "monitor-state": MonitorState,
    "score": Score,
    "source-state": SourceState,
    "health": Health,
    "event": AgentEvent,
    "command": Command,
    "command-result": CommandAnswer,
}


def schema_texts() -> dict[str, str]:
    """The files of docs/schemas: name to content."""
    texts = {}
    for name, model in MODELS.items():
        heard = model is Command
        body = (
            model.model_json_schema(mode="validation")
            if heard
            else _open(model.model_json_schema(mode="serialization"))
        )
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}
        texts[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return texts


def _open(schema: Any) -> Any:
    """The same schema with room for keys that are added later: readers must pass over what they do not know."""
    if isinstance(schema, dict):
        return {k: _open(v) for k, v in schema.items() if (k, v) != ("additionalProperties", False)}
    return [_open(v) for v in schema] if isinstance(schema, list) else schema


def main(folder: Path) -> None:
    """Write the files, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_texts().items():
        unfinished = folder / f".{name}.new"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
