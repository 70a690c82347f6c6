"""Contract of `calibrate`: healthy clips of the site that it has not used score around 0, whatever judges them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Member, Provenance
from asd_agent.bundle.overlay import apply_overlay
from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.compose import ThresholdSettings
from asd_agent.calibrate.site import SiteSound, calibrate_site
from asd_agent.features import indicators
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import StftSpec
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.clips import ClipSet
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.fit.bundle import Fitter
from rigs.bundles import hum

FITTED = 32
HELD_OUT = 16
WINDOWS = (3, 8, 15, 30)
SITE_SEED, FRESH_SEED = 50_000, 60_000
STFT = StftSpec(n_fft=512, hop_length=2048)
PLAIN = ("level", "mel_statistics", "indicators")
DENSITIES: Mapping[str, DensitySettings] = {
    "gmm": DensitySettings(density="gmm"),
    "gmm of two, diagonal": DensitySettings(density="gmm", components=2, covariance="diag"),
    "mahalanobis": DensitySettings(density="mahalanobis"),
    "mean": DensitySettings(density="mean"),
    "bank": DensitySettings(density="bank"),
    "bank, plain distance": DensitySettings(density="bank", normalise=False),
    "mahalanobis of statistics": DensitySettings(density="mahalanobis", summary="statistics"),
    "posterior_distance": DensitySettings(density="posterior_distance"),
}
POSSIBLE = {
    "level": set(DENSITIES) - {"bank", "bank, plain distance", "posterior_distance"},  # of one dimension
    "mel_statistics": set(DENSITIES),
    "indicators": set(DENSITIES),
}


@cache
def machine(seed: int) -> np.ndarray:
    """Ten seconds of a healthy machine that is now a little louder, now a little lower in pitch."""
    rng = np.random.default_rng(seed)
    return np.float32(np.exp(0.1 * rng.normal())) * hum(10, seed, pitch=120.0 + rng.normal())


def machines(seed: int, count: int) -> np.ndarray:
    return np.stack([machine(seed + i) for i in range(count)])


def normal_clips(domain: str, seed: int, count: int) -> ClipSet:
    names = tuple(f"section_00_{domain}_train_normal_{i:04d}.wav" for i in range(count))
    return ClipSet(names, names, np.round(machines(seed, count) * 32768).astype(np.int16))


def plain(kind: Any, density: DensitySettings) -> ExpertPlan:
    features = FeatureSpec(n_mels=16) if kind == "mel_statistics" else None
    return ExpertPlan(kind, [Member(id=kind, kind=kind, features=features)], density)


def embedding(folder: Path) -> ExpertPlan:
    """An embedding that nobody trained: the mean spectrum, projected; its held-out clips are every other."""
    bins = STFT.shape(160_000)[1]
    weights = np.random.default_rng(0).normal(size=(bins, 8)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["stft", "axes"], ["mean"], keepdims=1),
        helper.make_node("MatMul", ["mean", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "projection",
        [helper.make_tensor_value_info("stft", TensorProto.FLOAT, ["batch", "frames", bins])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 1, 8])],
        [numpy_helper.from_array(np.array([1]), "axes"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "embedding-0.onnx"
    onnx.save(model, path)
    name = f"members/{path.name}"
    member = Member(id="embedding-0", kind="embedding", inputs={"stft": STFT}, graph=name)
    held_out = frozenset(f"section_00_source_train_normal_{i:04d}.wav" for i in range(0, FITTED, 2))
    return ExpertPlan("embedding", [member], DENSITIES["bank"], {name: path}, held_out=[held_out])


def fitted(folder: Path, plans: Sequence[ExpertPlan]) -> BundleScorer:
    """The scorer of a bundle of these experts, which states how each was fitted, as the trainer's do."""
    fitter = Fitter("hum", plans, ThresholdSettings())
    fitter.fit({"00": normal_clips("source", 0, FITTED)}, {"00": normal_clips("target", 40_000, 3)})
    provenance = Provenance(
        created=datetime(2025, 1, 1, tzinfo=timezone.utc),
        recipe="test",
        recipe_settings={"experts": [{"kind": p.name, "density": p.density.model_dump()} for p in plans]},
        data_digest="0" * 64,
        seed=0,
        versions={},
    )
    return BundleScorer(fitter.write(folder / "hum", "hum", provenance))


def fresh_scores(scorer: BundleScorer, like: Any, windows: int) -> np.ndarray:
    """Scores of healthy clips by the site that so many others were calibrated to."""
    sound = SiteSound(machines(SITE_SEED, windows), [f"r{i}" for i in range(windows)])
    condition, arrays = calibrate_site(scorer, "00", like, sound)
    site = BundleScorer(apply_overlay(scorer.bundle, condition, arrays))
    return np.array([s.score for s in site.score(machines(FRESH_SEED, HELD_OUT), "00", "site")])


def check_healthy(scores: np.ndarray, windows: int) -> None:
    # Few windows give a location with an error of a spread over the root of their number. Four such errors are
    # allowed, since tails are heavy, and another half a spread for the median of the fresh clips. A raw score taken for
    # a z-score shows as 5 and more.
    assert abs(np.median(scores)) < 0.5 + 4 / np.sqrt(windows), scores
    assert np.median(np.abs(scores - np.median(scores))) < 2.0, scores


@pytest.fixture(scope="module", autouse=True)
def indicators_computed_once() -> Iterator[None]:
    """Every detector is fitted to the same clips: the indicators of each are computed for the first of them only."""
    known: dict[bytes, np.ndarray] = {}

    def of_window(x: np.ndarray, rate: int) -> np.ndarray:
        key = hashlib.blake2b(x.tobytes()).digest()
        if key not in known:
            known[key] = compute(x, rate)
        return known[key]

    compute = indicators._of_window
    with mock.patch.object(indicators, "_of_window", of_window):
        yield


@pytest.fixture(scope="module", params=[(k, d) for k in PLAIN for d in DENSITIES if d in POSSIBLE[k]], ids="-".join)
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BundleScorer:
    kind, density = request.param
    return fitted(tmp_path_factory.mktemp("healthy"), [plain(kind, DENSITIES[density])])


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> BundleScorer:
    folder = tmp_path_factory.mktemp("best")
    others = [plain(kind, DENSITIES["mahalanobis"]) for kind in ("indicators", "mel_statistics")]
    return fitted(folder, [embedding(folder), *others])


@pytest.mark.parametrize("windows", WINDOWS)
def test_healthy_clips_of_the_site_score_around_zero(detector: BundleScorer, windows: int):
    check_healthy(fresh_scores(detector, "source", windows), windows)


@pytest.mark.parametrize("like", ["source", "target"])
@pytest.mark.parametrize("windows", WINDOWS)
def test_healthy_clips_score_around_zero_with_three_experts(best: BundleScorer, like: str, windows: int):
    check_healthy(fresh_scores(best, like, windows), windows)


def test_reference_scores_of_members_are_told_in_the_units_of_their_standardisation(best: BundleScorer):
    bundle: Bundle = best.bundle
    for condition in bundle.manifest.conditions:
        for expert in condition.experts:
            for of in (expert, *expert.members):
                reference = bundle.scorers[of.reference]
                assert np.mean(reference) == pytest.approx(of.standardisation.mean), (condition.domain, of)
                assert np.std(reference, ddof=1) == pytest.approx(of.standardisation.std), (condition.domain, of)
