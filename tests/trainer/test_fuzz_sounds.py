"""A short form of scripts/fuzz-sounds: every command that reads recordings answers a mutated one in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asd_agent.demo.assets import demo_bundle
from rigs.bundles import hum
from rigs.command import call
from rigs.odd_sounds import SoundMutations
from rigs.sound_readers import Prepared, names_the_file, prepared, readers

MUTATIONS = SoundMutations(hum(11, 1))
SEED = 18


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("whole"), demo_bundle())


@pytest.mark.parametrize("kind", MUTATIONS.kinds)
def test_every_reader_answers_a_mutant_in_words(tmp_path: Path, whole: Prepared, kind: str):
    rng = np.random.default_rng([SEED, *kind.encode()])
    path = tmp_path / "fan/train/section_00_source_train_normal_0000.wav"
    path.parent.mkdir(parents=True)
    what = MUTATIONS.write(path, rng, kind)
    # `record` starts a process for each call, and `calibrate` reads as `learn` does: the script runs them.
    for reader in (r for r in readers(whole, path) if r.name not in {"record", "calibrate"}):
        done = call(reader.main, *reader.arguments)
        text = f"{what}: {reader.name}: {done.stderr[-500:]}"
        assert done.returncode in reader.codes, text
        assert "Traceback" not in done.stderr, text
        assert "unexpected" not in done.stderr, text
        assert done.returncode == 0 or names_the_file(done.stderr, path), text
        assert all(c.isprintable() or c in "\n\t" for c in done.stdout + done.stderr), text
