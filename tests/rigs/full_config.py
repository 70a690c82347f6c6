"""An agent.yaml in which every section has most of its keys, for mutations."""

from __future__ import annotations

from pathlib import Path

import yaml


def write_full_config(path: Path, bundle: Path, clip: Path) -> Path:
    """Write it; the service that runs with it is over once the recording is.

    Args:
        path: Its file.
        bundle: Bundle of the monitor.
        clip: Recording of the source.
    """
    settings = {
        "agent": {"name": "box"},
        # Nothing listens on port 1.
        "mqtt": {
            "host": "127.0.0.1",
            "port": 1,
            "protocol": "5",
            "keepalive_seconds": 30,
            "reconnect_seconds": [0.2, 0.5],
            "outbox_rows": 1000,
            "home_assistant": "homeassistant",
        },
        "sources": {"sound": {"kind": "file", "path": str(clip), "speed": 10_000, "loop": False, "channels": [0]}},
        "monitors": {
            "m": {
                "source": "sound",
                "channel": 0,
                "bundle": str(bundle),
                "section": "00",
                "domain": "source",
                "hop_seconds": 5.0,
                "active_when": {"level_above_dbfs": -90},
                "alarm": {
                    "raise_after": "3 of 4",
                    "clear_after": 4,
                    "alarms_per_day": 1.0,
                    "realarm_minutes": 60.0,
                    "stale_after": 12,
                    "max_shelve_minutes": 480.0,
                    "report_suspensions": True,
                },
            }
        },
        "paths": {"state": "state", "bundles": "bundles"},
        "evidence": {
            "pre_seconds": 20.0,
            "post_seconds": 10.0,
            "keep_days": 90.0,
            "max_megabytes": 500.0,
            "free_megabytes": 1.0,
        },
        "history": {"window_days": 14.0, "minute_days": 730.0, "drift": True, "max_megabytes": 500.0},
        "install_bundle": {
            "url_prefixes": ["https://files.example.org/"],
            "max_megabytes": 200.0,
            "trial_windows": 12,
            "trial_minutes": 30.0,
        },
        "providers": ["CPUExecutionProvider"],
        "commands": ["acknowledge", "shelve"],
    }
    path.write_text(yaml.safe_dump(settings))
    return path
