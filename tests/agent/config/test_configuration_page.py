"""docs/configuration.md names every key of agent.yaml with its default, and no other; its metrics exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from asd_agent.config.model import Config, RaiseAfter, Tls

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
MUST = "–"


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a model and its default; `–` where it must be given."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        parts = [m for m in models(field.annotation) if m is not RaiseAfter]
        if not parts:
            yield path, MUST if field.is_required() else field.get_default(call_default_factory=True)
        for part in parts:
            yield from keys(part, f"{path}.*." if "dict" in str(field.annotation) else f"{path}.")


def plain(value: Any) -> Any:
    """A default as YAML reads it."""
    if isinstance(value, RaiseAfter):
        return f"{value.k} of {value.n}"
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def test_every_key_stands_there_with_its_default():
    rows = re.findall(r"^\| `([a-z_.*]+)` \| (?:`(.+?)`|(–)) \|", PAGE, re.MULTILINE)
    said = {key: MUST if dash else yaml.safe_load(default) for key, default, dash in rows}
    assert said == {key: plain(default) for key, default in keys(Config)}


def test_the_walk_reaches_the_deepest_keys():
    found = dict(keys(Config))
    assert set(Tls.model_fields) <= {k.removeprefix("mqtt.tls.") for k in found}
    assert plain(found["monitors.*.alarm.raise_after"]) == "3 of 4"


@pytest.mark.parametrize("name", re.findall(r"asd_[a-z_]+", PAGE.split("## Prometheus")[1]))
def test_each_metric_named_there_is_served(name: str):
    from prometheus_client import CollectorRegistry, generate_latest

    from asd_agent.service.metrics import _Collector
    from rigs.healthy import HealthyService

    registry = CollectorRegistry()
    registry.register(_Collector(HealthyService()))
    served = {line.split("{")[0].split(" ")[0] for line in generate_latest(registry).decode().splitlines()}
    assert name in served
