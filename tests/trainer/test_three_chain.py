"""One bundle with a network of each family, from clips to the scores on the box."""

import csv
import json

import pytest

from asd_agent.cli import main as agent
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluate_run
from asd_trainer.jobs.runs import Run
from asd_trainer.jobs.train import export_run, train_machine
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set
from rigs.command import call

RECIPE = {
    "name": "families",
    "features": {"n_fft": 2048, "hop_length": 2500, "n_mels": 32},
    "experts": [
        {
            "kind": "autoencoder",
            "network": {"blocks": 1, "units": 8, "heads": 2, "kernel": 3, "feedforward": 8},
            "training": {"steps": 2, "batch": 2, "warmup_steps": 1},
            "replicas": {"count": 2},
        },
        {
            "kind": "classifier",
            "network": {"backbone": "test_resnet", "frames": 64, "embedding": 8},
            "outliers": {"sources": ["sections"]},
            "training": {"steps": 2, "batch": 4},
            "tuning": None,
        },
        {
            "kind": "embedding",
            "network": {
                "spectrum": {"kind": "fft_magnitude", "f_max": 2000},
                "stfts": [{"kind": "linear_stft", "n_fft": 512, "hop_length": 2048}],
                "spectrum_channels": 4,
                "channels": 2,
                "embedding": 8,
            },
            "training": {"epochs": 1, "batch": 8},
        },
    ],
    "device": "cpu",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("three")
    write_data_set(place / "data", train_source=10, train_target=3, test=2)
    return train_machine(scan(place / "data"), "fan", Recipe.model_validate(RECIPE), 0, place / "runs")


def test_the_box_gives_its_golden_scores_and_those_of_the_evaluation(run, tmp_path):
    bundle = export_run(run, tmp_path / "fan")  # which refuses a bundle that does not give its golden scores
    kinds = {m.kind for m in bundle.manifest.members}
    assert kinds == {"autoencoder", "classifier", "embedding"}
    assert call(agent, "bundle", "verify", bundle.path).returncode == 0
    clip = next(run.data.glob("fan/source_test/section_00_*_anomaly_0000.wav"))
    done = call(agent, "score", clip, "--bundle", bundle.path, "--section", "00", "--domain", "source", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["clips"]
    evaluate_run(run)
    with (run.folder / "scores" / "anomaly_score_fan_section_00_source_test.csv").open(newline="") as file:
        evaluated = dict(csv.reader(file))
    assert told["score"] == pytest.approx(float(evaluated[clip.name]), abs=1e-5)
    condition = bundle.manifest.condition("00", "source")
    assert [e.name for e in condition.experts] == ["autoencoder", "classifier", "embedding"]
