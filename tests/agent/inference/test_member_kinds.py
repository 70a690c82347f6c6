"""Every kind of member has its computation and its explanation; another kind is refused by name."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from asd_agent.bundle.manifest import Kind, Member
from asd_agent.errors import AsdError
from asd_agent.features.indicators import names
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.inference.explanation import ANOMALY_MAPS, EXPLAINERS, explain
from asd_agent.inference.indicator_words import indicator_band, indicator_words
from asd_agent.inference.members import MEMBER_KINDS, WindowFeatures, load_member
from asd_agent.inference.providers import Sessions


def load(member: Member):
    return load_member(member, Path(), {}, {}, Sessions())


def test_the_registries_hold_every_kind_of_the_manifest():
    assert set(MEMBER_KINDS) == set(EXPLAINERS) == set(get_args(Kind))
    assert set(ANOMALY_MAPS) <= set(MEMBER_KINDS)


def test_a_mel_spectrum_is_the_first_half_of_the_mel_statistics():
    sound = WindowFeatures(np.random.default_rng(1).normal(size=(2, 160_000)).astype(np.float32) * 0.1)
    mean, both = (load(Member(id="m", kind=kind))(sound, ["00", "00"]) for kind in ("mel_spectrum", "mel_statistics"))
    np.testing.assert_array_equal(mean, both[:, :, : mean.shape[2]])
    assert both.shape[2] == 2 * mean.shape[2]


def test_an_unknown_kind_is_refused_by_name():
    member = Member.model_construct(id="m", kind="oracle", graph=None)
    with pytest.raises(AsdError, match="kind of member 'oracle' is not known here"):
        load(member)
    with pytest.raises(AsdError, match="kind of member 'oracle' is not known here"):
        explain(member, np.zeros((1, 1)), {}, np.zeros(160_000))


@pytest.mark.parametrize("kind", [k for k in get_args(Kind) if MEMBER_KINDS[k].compute is None])
def test_a_network_without_its_graph_is_refused(kind: Kind):
    with pytest.raises(AsdError, match="lacks its graph or its features"):
        load(Member.model_construct(id="m", kind=kind, graph=None, features=None, inputs={}))


@pytest.mark.parametrize("kind", [k for k in get_args(Kind) if MEMBER_KINDS[k].compute is not None])
def test_a_plain_detector_needs_no_graph_and_refuses_one(kind: Kind):
    sound = np.random.default_rng(1).normal(size=(2, 160_000)).astype(np.float32) * 0.1
    output = load(Member(id="m", kind=kind))(WindowFeatures(sound), ["00", "00"])
    assert output.shape[:2] == (2, 1)
    assert np.isfinite(output).all()
    with pytest.raises(AsdError, match="has a graph"):
        load(Member(id="m", kind=kind, graph="members/m.onnx"))


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("deviation", [-1e4, 3.0, 1e4])
def test_every_kind_explains_in_words_with_bands(kind: Kind, deviation: float):
    """A deviation in all columns; a large one is no power of ten in the text."""
    spec = FeatureSpec()
    columns = {"indicators": 31, "mel_statistics": 2 * spec.n_mels, "mel_spectrum": spec.n_mels, "level": 1}.get(
        kind, 128
    )
    rows = 312 if kind in {"autoencoder", "dense_autoencoder"} else 1
    output = np.full((rows, columns), deviation)
    output[:, 0] *= 1.5
    usual = {"usual_mean": np.zeros(columns), "usual_std": np.ones(columns)}
    window = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)
    found = explain(Member.model_construct(id="m", kind=kind, features=spec), output, usual, window)
    assert found.text
    assert "e+" not in found.text
    assert found.bands_hz
    assert all(0 <= low <= high <= 8000 for low, high in found.bands_hz)


@pytest.mark.parametrize("column", range(len(names())))
def test_each_indicator_has_plain_words_for_more_and_for_less(column: int):
    more, less = indicator_words(column, 5.25), indicator_words(column, -5.25)
    assert more.endswith(" (+5.2 spreads)")
    assert more.split(" (")[0] != less.split(" (")[0]
    low, high = indicator_band(column)
    assert 0 <= low < high <= 8000


def test_a_band_is_named_with_its_units():
    words = [indicator_words(column, 1.0) for column in range(len(names()))]
    assert "more knocking between 4 and 7.8 kHz (+1.0 spreads)" in words
    assert "louder between 50 and 500 Hz (+1.0 spreads)" in words
    assert "more pulsation between 500 Hz and 1 kHz (+1.0 spreads)" in words
