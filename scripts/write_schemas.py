"""Write the JSON Schemas of all MQTT payloads into docs/schemas; a test compares them with the code.

.venv/bin/python scripts/write_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asd_agent.described_schema import described_schema
from asd_agent.mqtt.health import Health
from asd_agent.mqtt.payloads import (
    AgentEvent,
    Alert,
    Command,
    CommandAnswer,
    InstallBundle,
    MonitorState,
    Payload,
    Score,
    SourceState,
)
from asd_agent.whole_files import write_whole

MODELS: dict[str, type[Payload]] = {
    "alert": Alert,
    "monitor-state": MonitorState,
    "score": Score,
    "source-state": SourceState,
    "health": Health,
    "event": AgentEvent,
    "command": Command,
    "install-bundle": InstallBundle,
    "command-result": CommandAnswer,
}


def schema_texts() -> dict[str, str]:
    """Return the files of docs/schemas: content by name."""
    texts = {}
    for name, model in MODELS.items():
        if model in (Command, InstallBundle):  # the payloads that are received
            body = described_schema(model, Payload, "validation")
        else:
            body = _open(described_schema(model, Payload, "serialization"))
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}
        texts[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return texts


def _open(schema: Any) -> Any:
    """Return the same schema with unknown keys allowed: readers must ignore keys that are added later."""
    if isinstance(schema, dict):
        return {k: _open(v) for k, v in schema.items() if (k, v) != ("additionalProperties", False)}
    return [_open(v) for v in schema] if isinstance(schema, list) else schema


def main(folder: Path) -> None:
    """Write the files."""
    for name, text in schema_texts().items():
        write_whole(folder / name, text.encode())


if __name__ == "__main__":
    main(Path(__file__).parents[1] / "docs" / "schemas")
