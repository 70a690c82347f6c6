"""Notes on levels stand on the tile of their machine."""

from __future__ import annotations

from pathlib import Path

from asd_agent.config.model import Config, WebSettings
from asd_agent.history.level_check import UNLIKE_TRAINING
from asd_agent.web.pages.machines import tiles_of
from asd_agent.web.parts import PageParts
from asd_agent.web.service_client import ServiceClient
from asd_agent.web.users import UserFile


def test_a_tile_shows_the_note_on_its_level(tmp_path: Path):
    monitor = {"source": "s", "bundle": "/b", "section": "00"}
    config = Config.model_validate(
        {
            "agent": {"name": "box"},
            "mqtt": {"host": "127.0.0.1"},
            "sources": {"s": {"kind": "microphone", "device": "x"}},
            "monitors": {"press": monitor, "fan": monitor},
        }
    )
    states = {"running": True, "monitors": {}, "health": {"levels": {"press": UNLIKE_TRAINING}}}
    tiles = tiles_of(states, config.monitors, {})
    parts = PageParts(config, WebSettings(), UserFile(tmp_path / "u"), ServiceClient(tmp_path / "s"), local_only=True)
    template = parts.templates.get_template("part/tiles.html")
    drawn = [template.render(tiles=[tile], states=states, health=None, base="./", now=0.0) for tile in tiles]
    assert [UNLIKE_TRAINING in text for text in drawn] == [tile["name"] == "press" for tile in tiles]
    assert sum(UNLIKE_TRAINING in text for text in drawn) == 1
