"""Pseudo-anomalies come from where the recipe says, and never from what judges."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from asd_agent.errors import ConfigError
from asd_trainer.data.clips import load_clips
from asd_trainer.data.dataset import scan
from asd_trainer.data.layout import Clip
from asd_trainer.families.classifier.pseudo_anomalies import (
    folder_sounds,
    gather,
    needs_transforms,
    sources_of,
    transformed,
)
from asd_trainer.families.classifier.settings import PseudoAnomalies
from rigs.clips import write_data_set


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Every clip of two machines, test clips among them."""
    root = tmp_path_factory.mktemp("pseudo-anomalies")
    write_data_set(root, "fan", train_source=3, train_target=1, test=1)
    write_data_set(root, "pump", train_source=2, train_target=0, test=1)
    for path in (root / "pump").rglob("*.wav"):  # by their names alone they would hold what the fan's hold
        sound, rate = soundfile.read(path)
        soundfile.write(path, -sound, rate, subtype="PCM_16")
    return list(scan(root).clips)


def own(clips: list[Clip]) -> np.ndarray:
    chosen = [c for c in clips if (c.machine, c.section, c.split, c.domain) == ("fan", "00", "train", "source")]
    return load_clips(chosen).samples


def test_no_test_clip_and_no_clip_of_the_own_section_is_ever_learnt(clips):
    """Test clips are handed in and must not come out, neither by name nor by what they hold."""
    found = gather(PseudoAnomalies(most=1000), "00", "fan", clips, own(clips), seed=0)
    forbidden = [
        c for c in clips if c.split == "test" or c.label != "normal" or (c.machine, c.section) == ("fan", "00")
    ]
    assert len(forbidden) > 10
    held = {row.tobytes() for row in found.clips.samples}
    assert not held & {row.tobytes() for row in load_clips(forbidden).samples}
    assert not {c.path.name for c in forbidden if c.split == "test"} & set(found.clips.names)
    assert Counter(found.sources) == {"sections": 4, "machines": 4}


def test_sources_share_the_places_evenly(clips):
    settings = PseudoAnomalies(sources=["sections", "machines", "transforms"], most=6)
    found = gather(settings, "00", "fan", clips, own(clips), seed=0)
    assert Counter(found.sources) == {"sections": 2, "machines": 2, "transforms": 2}
    again = gather(settings, "00", "fan", clips, own(clips), seed=0)
    np.testing.assert_array_equal(found.clips.samples, again.clips.samples)


def test_transformed_normals_take_over_where_there_is_nothing_else(clips):
    alone = [c for c in clips if (c.machine, c.section) == ("fan", "00")]
    settings = PseudoAnomalies()
    assert needs_transforms(settings, sources_of(settings, "00", "fan", alone))
    found = gather(settings, "00", "fan", alone, own(clips), seed=0)
    assert set(found.sources) == {"transforms"}
    assert len(found.clips.samples) == settings.copies * 3


def test_a_transformed_sound_is_another_sound_as_loud_or_louder():
    rng = np.random.default_rng(0)
    x = (3000 * np.sin(np.arange(160_000) * 0.2) + 300 * rng.normal(size=160_000)).astype(np.int16)
    for seed in range(12):
        y = transformed(x, np.random.default_rng(seed))
        assert y.shape == x.shape
        assert np.abs(y.astype(float) - x).max() > 500
        assert np.std(y.astype(float)) > 0.8 * np.std(x.astype(float))


def test_a_folder_of_short_and_long_sounds_and_the_simulator_serve_too(clips, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.full(1600, 0.25), 16_000)
    settings = PseudoAnomalies(sources=["folder", "simulated"], folder=tmp_path, simulated=2)
    found = gather(settings, "00", "fan", clips, own(clips), seed=0)
    assert Counter(found.sources) == {"folder": 1, "simulated": 2}
    assert found.clips.samples.shape == (3, 160_000)
    assert set(found.clips.samples[found.sources.index("folder")].tolist()) == {8192}


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: the folder of pseudo-anomalies is not there"):
        folder_sounds(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no"):
        folder_sounds(tmp_path)
