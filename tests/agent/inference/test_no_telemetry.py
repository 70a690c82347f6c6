"""ONNX Runtime is loaded in one place only, which keeps it from reporting to its maker."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
IMPORT = re.compile(r"^\s*(?:import|from) onnxruntime\b", re.MULTILINE)


def test_its_telemetry_is_off_before_it_is_loaded():
    code = (
        "import sys, os; from asd_agent.inference.providers import load_runtime; early = 'onnxruntime' in sys.modules;"
        "load_runtime(); print(early, os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    asked_for = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=asked_for, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1"]


def test_nothing_else_loads_it():
    sources = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "trainer").rglob("*.py")]
    found = [p.relative_to(ROOT).as_posix() for p in sources if IMPORT.search(p.read_text(encoding="utf-8"))]
    assert found == ["agent/asd_agent/inference/providers.py"]
