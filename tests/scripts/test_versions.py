"""One version: of the distribution, of the package, and in what both commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import asd_agent
from asd_agent.cli import application as agent_application
from asd_trainer.cli import app as trainer_app

ROOT = Path(__file__).resolve().parents[2]


def test_the_distribution_and_the_package_have_one_version() -> None:
    written = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert written
    assert written.group(1) == asd_agent.__version__
    cited = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited
    assert cited.group(1).strip('"') == asd_agent.__version__


@pytest.mark.parametrize("app", [agent_application(), trainer_app], ids=["agent", "trainer"])
def test_both_commands_print_it(app) -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output.strip()) == (0, asd_agent.__version__)
