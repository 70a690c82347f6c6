"""A bundle's networks beside eager torch: of the same size, timed turn about."""

from __future__ import annotations

import json

import pytest
import torch

from asd_agent.bench import Effort
from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle
from asd_agent.errors import BundleError
from asd_agent.inference.providers import Sessions
from asd_trainer.cli import main
from asd_trainer.evaluation.speed_comparison import comparisons, network_of
from rigs.command import call


def test_the_network_in_torch_has_the_shape_of_the_bundles_graph():
    bundle = Bundle.open(demo_bundle())
    (member,) = bundle.manifest.members
    model = network_of(bundle, member)
    assert model is not None
    given = model.example(3)
    session = Sessions().get(bundle.path / str(member.graph), bundle.manifest.files[str(member.graph)])
    (error,) = session.run(["error"], {n: v.numpy() for n, v in zip(model.inputs, given, strict=True)})
    with torch.no_grad():
        assert model(*given).shape == error.shape == (3, 157, 65)
    weights = sum(p.numel() for p in model.parameters())
    assert 4 * weights == pytest.approx((bundle.path / str(member.graph)).stat().st_size, rel=0.3)


def test_every_front_end_and_network_is_compared_and_torchs_threads_are_given_back():
    before = torch.get_num_threads()
    found = list(comparisons(Bundle.open(demo_bundle()), effort=Effort(seconds=0.0, least=2)))
    assert [(c.stage, c.other) for c in found] == [
        ("log-mel", "torch"),
        ("log-mel", "librosa"),
        ("network, 4 replicas", "eager torch"),
    ]
    assert all(len(c.agent_times.milliseconds) == len(c.other_times.milliseconds) == 2 for c in found)
    assert torch.get_num_threads() == before


def test_a_member_that_the_recipe_does_not_know_is_refused():
    bundle = Bundle.open(demo_bundle())
    (member,) = bundle.manifest.members
    with pytest.raises(BundleError, match="has no member 'ae-7'"):
        network_of(bundle, member.model_copy(update={"id": "ae-7"}))


def test_asd_trainer_bench_tells_ratios_as_json():
    done = call(main, "bench", demo_bundle(), "--seconds", 0, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["comparisons"]
    assert [r["other"] for r in rows] == ["torch", "librosa", "eager torch"]
    assert all(r["ratio_p5"] <= r["ratio"] <= r["ratio_p95"] for r in rows)
