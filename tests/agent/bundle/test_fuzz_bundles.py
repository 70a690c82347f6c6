"""A short form of scripts/fuzz-bundles: mutated bundles are refused in words by every command that reads one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asd_agent.cli import main
from asd_agent.demo.assets import demo_bundle
from rigs.agent import write_config
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.hostile import that_needs_memory, with_network
from rigs.measured_calls import call_forked
from rigs.mutations import KINDS, mutate

SEED = 20
ALWAYS_REFUSED = ("repeated key", "scorers bytes", "zip bomb", "network", "files")
"""Mutations that no bundle survives; another number, for one, may do no harm."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("clip") / "clip.wav", hum(10, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_answers_a_mutant_in_words(tmp_path: Path, clip: Path, kind: str):
    rng = np.random.default_rng([SEED, *kind.encode()])
    refused = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        mutant = mutate(demo_bundle(), folder, rng, kind)
        config = write_config(folder, mutant.path, {"kind": "file", "path": str(clip)}, 1883)
        calls = {
            ("bundle", "verify", mutant.path): {0, 1},
            ("bundle", "show", mutant.path, "--json"): {0, 1},
            ("bundle", "install", mutant.path, "--bundles", folder / "bundles"): {0, 1},
            ("check", "-c", config): {0, 78},
            ("score", clip, "--bundle", mutant.path): {0, 1},
        }
        first, *others = calls.items() if number == 0 else list(calls.items())[1:2]
        for arguments, codes in (first, *others):
            done = call(main, *arguments)
            text = f"{mutant.what}: {arguments[:2]}: {done.stderr[-500:]}"
            assert done.returncode in codes, text
            assert "Traceback" not in done.stderr, text
            assert "unexpected" not in done.stderr, text
            assert all(c.isprintable() or c in "\n\t" for c in done.stdout + done.stderr), text
            refused.append(done.returncode != 0)
    assert any(refused) or kind not in ALWAYS_REFUSED


@pytest.mark.parametrize("command", ["run", "calibrate", "bench"])
def test_a_bundle_that_was_never_installed_is_bounded_where_it_is_loaded(tmp_path: Path, clip: Path, command: str):
    bundle = with_network(tmp_path, that_needs_memory())
    config = write_config(tmp_path, bundle, {"kind": "file", "path": str(clip)}, 1883)
    arguments = {
        "run": ["run", "-c", str(config)],
        "calibrate": ["calibrate", "m", "-c", str(config), "--clips", str(clip), "--dry-run"],
        "bench": ["bench", "--bundle", str(bundle), "--seconds", "0"],
    }
    done = call_forked(arguments[command], tmp_path)
    assert done.code == (78 if command == "run" else 1), done.output
    assert str(bundle) in " ".join(done.output.split()), done.output
    assert "Traceback" not in done.output
    assert done.megabytes < 2000  # the network asks for 8 GB
