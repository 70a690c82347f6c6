"""One embedding network for two machines, from clips to scores, alarms in words and a calibration on the spot."""

import json
import shutil

import numpy as np
import pytest
import torch

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.calibrate.site import SiteSound, calibrate_site
from asd_agent.features.stft import front_end
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.reproduce import compare
from asd_trainer.evaluation.score import evaluations_of
from asd_trainer.families.embedding.training import load_embedding
from asd_trainer.jobs import digests
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.jobs.train import carry_out, export_run
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set

EMBEDDING = {
    "kind": "embedding",
    "network": {
        "spectrum": {"kind": "fft_magnitude", "f_max": 2000},
        "stfts": [{"kind": "linear_stft", "n_fft": 512, "hop_length": 2048}],
        "spectrum_channels": 4,
        "channels": 2,
        "embedding": 8,
    },
    "sub_clusters": 2,
    "training": {"epochs": 3, "batch": 8, "learning_rate": 3e-3},
}
NETWORK = "one/seed-0/embedding-0"


def recipe(name: str, *experts: dict[str, object]) -> Recipe:
    return Recipe.model_validate({"name": name, "experts": [EMBEDDING, *experts], "device": "cpu"})


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two machines by the embedding alone and mixed with indicators, trained and evaluated."""
    place = tmp_path_factory.mktemp("embedding")
    for machine in ("fan", "pump"):
        write_data_set(place / "data", machine, train_source=6, train_target=2, test=2)
    recipes = [recipe("one"), recipe("mixed", {"kind": "indicators"})]
    made = make_plan([scan(place / "data")], recipes, [0], place / "runs", evaluations=True)
    carry_out(made, workers=2)
    return made


def bundle(plan: Plan, name: str, machine: str = "fan") -> Bundle:
    return Bundle.open(next(o.run.bundle for o in plan.runs if (o.run.recipe, o.run.machine) == (name, machine)))


def anomaly(plan: Plan) -> np.ndarray:
    clip = next(plan.runs[0].run.data.glob("fan/source_test/section_01_*_anomaly_0000.wav"))
    return read_clip(clip).samples[None]


def test_all_machines_and_recipes_share_one_network(plan):
    networks = [j for j in plan.jobs if j.kind == "network"]
    assert [j.name for j in networks] == [NETWORK, "mixed/seed-0/embedding-0"]
    known = digests(plan.jobs)
    assert known[networks[0].name] == known[networks[1].name]
    bundles = [j for j in plan.jobs if j.kind == "bundle" and j.name.startswith("one/")]
    assert [(j.name, j.depends_on) for j in bundles] == [
        (f"one/seed-0/{machine}/bundle", (NETWORK,)) for machine in ("fan", "pump")
    ]
    assert (
        bundle(plan, "one").manifest.files["members/embedding-0.onnx"]
        == (bundle(plan, "mixed", "pump").manifest.files["members/embedding-0.onnx"])
    )


def test_asking_for_one_machine_trains_the_same_network(plan):
    data = scan(plan.runs[0].run.data)
    alone = make_plan([data], [recipe("one")], [0], plan.out, machines=["pump"])
    assert digests(alone.jobs)[NETWORK] == digests(plan.jobs)[NETWORK]


def test_a_clip_less_of_any_machine_is_another_network(plan, tmp_path):
    copy = shutil.copytree(plan.runs[0].run.data, tmp_path / "data")
    same = make_plan([scan(copy)], [recipe("one")], [0], plan.out, machines=["fan"])
    assert digests(same.jobs)[NETWORK] == digests(plan.jobs)[NETWORK]
    (copy / "pump" / "train" / "section_00_source_train_normal_0000.wav").unlink()
    other = make_plan([scan(copy)], [recipe("one")], [0], plan.out, machines=["fan"])
    assert digests(other.jobs)[NETWORK] != digests(plan.jobs)[NETWORK]
    assert other.runs[0].run.data_digest != same.runs[0].run.data_digest


def test_the_agents_score_is_the_distance_of_torchs_embedding(plan):
    model = load_embedding(plan.out / "jobs" / digests(plan.jobs)[NETWORK] / "files" / "final.pt")
    sound, known = anomaly(plan), bundle(plan, "one")
    specs = known.manifest.member("embedding-0").inputs
    assert tuple(specs) == model.inputs == ("spectrum", "stft-0")
    with torch.no_grad():
        x = model(*(torch.from_numpy(front_end(sound[0], spec))[None] for spec in specs.values()))[0, 0].numpy()
    arrays = {k: known.scorers[f"01/source/embedding-0/{k}"] for k in ("bank", "radius")}
    assert arrays["bank"].shape == (6, 16)  # four source clips that were learnt, and two of the target
    distances = (1 - arrays["bank"] @ x) / arrays["radius"]
    nearest = int(distances.argmin())
    found = BundleScorer(known).score(sound, "01", "source")[0].members["embedding-0"]
    # 1 minus a cosine near 1 that two runtimes compute in float32: the last digits of 1, divided by a small radius.
    tolerance = 16 * np.finfo(np.float32).eps / arrays["radius"][nearest]
    assert found == pytest.approx(distances[nearest], abs=tolerance)
    assert np.sort(distances)[1] > distances[nearest] + 2 * tolerance  # no other vector of the bank gives this score


def test_golden_windows_pass_and_every_cell_is_measured(plan, tmp_path):
    for one in plan.runs:
        assert check_golden(BundleScorer(Bundle.open(one.run.bundle))) < 1e-5
        assert Bundle.open(one.run.bundle).manifest.provenance.data_digest == one.run.data_digest
    done, missing = evaluations_of(plan)
    assert not missing
    assert {len(e.document["cells"]) for e in done} == {4}
    exported = export_run(plan.runs[0].run, tmp_path / "fan")
    assert compare(exported, bundle(plan, "one")).same


def test_a_target_that_was_learnt_borrows_the_sources_scale(plan):
    manifest = bundle(plan, "one").manifest
    source, target = (manifest.condition("00", domain).experts[0].members[0] for domain in ("source", "target"))
    assert source.standardisation == target.standardisation
    assert manifest.condition("00", "target").provisional


def test_an_alarm_says_what_it_can(plan):
    (alone,) = BundleScorer(bundle(plan, "one")).score(anomaly(plan), "01", "source", explained="all")
    assert alone.explanation.text == "unlike every normal sound of the bank"
    mixed = BundleScorer(bundle(plan, "mixed"))
    (score,) = mixed.score(anomaly(plan), "01", "source", explained="all")
    assert "spreads" in score.explanation.text
    assert mixed.anomaly_map(anomaly(plan), "01", "source") is None


def test_a_site_adds_what_was_heard_to_the_bank(plan):
    known = bundle(plan, "one")
    scorer = BundleScorer(known)
    clips = sorted(plan.runs[0].run.data.glob("fan/source_test/section_00_*_normal_*.wav"))
    windows = np.stack([read_clip(c).samples for c in clips] * 2)
    windows[2:] += 0.01 * np.random.default_rng(0).normal(size=windows[2:].shape).astype(np.float32)
    condition, arrays = calibrate_site(scorer, "00", "source", SiteSound(windows, list("abcd")))
    assert condition.provisional
    assert len(arrays["00/site/embedding-0/bank"]) == len(known.scorers["00/source/embedding-0/bank"]) + 4


def test_the_plan_says_what_there_is_to_do(plan):
    assert plan.sizes[NETWORK] == {"clips": 24, "epochs": 3}  # of 32, two of each source held out
    result = json.loads((plan.out / "jobs" / digests(plan.jobs)[NETWORK] / "result.json").read_text())["value"]
    assert result["clips"] == 24
    assert len(result["classes"]) == 8
