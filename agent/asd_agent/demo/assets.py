"""Places of the demo's bundle, recording and labels: in a checkout, else in <prefix>/share/asd."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from asd_agent.demo.verdict import LabelledRecording
from asd_agent.errors import AsdError

_SAMPLES = Path(__file__).parent / "samples"


def demo_bundle() -> Path:
    """Return the folder of the demo bundle.

    Raises:
        AsdError: It was not installed.
    """
    checkout = Path(__file__).parents[3]
    for root in (checkout, Path(sysconfig.get_path("data")) / "share" / "asd"):
        folder = root / "exported_models" / "demo-fan"
        if (folder / "manifest.json").is_file():
            return folder
    raise AsdError("the demo's bundle is not installed", "Install the agent again: `make upgrade` in its source.")


def demo_recording() -> Path:
    """Return the path of the recording that is played."""
    return _SAMPLES / "fan.flac"


def demo_labels() -> LabelledRecording:
    """Return the labels of the recording."""
    return LabelledRecording.model_validate_json((_SAMPLES / "fan.json").read_text(encoding="utf-8"))
