"""Training the embedding network: mixtures and exchanges by hand, the same weights from a seed and after a break."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.errors import DataError
from asd_agent.features.stft import SpectrumSpec, StftSpec
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import read_checkpoint
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.embedding.pseudo_classes import TRANSFORMS, transformed
from asd_trainer.families.embedding.settings import EmbeddingExpert
from asd_trainer.families.embedding.training import exchanged, load_embedding, mixed, train_embedding
from asd_trainer.families.settings import Execution
from asd_trainer.recipes.load import load_recipe

RATE = 16_000
NETWORK = {
    "spectrum": {"kind": "fft_magnitude", "f_max": 2000},
    "stfts": [{"kind": "linear_stft", "n_fft": 256, "hop_length": 512}],
    "spectrum_channels": 4,
    "channels": 2,
    "embedding": 8,
}
EPOCHS = 6


EXECUTION = Execution(device="cpu", checkpoint_every=2)


def expert(**changes) -> EmbeddingExpert:
    training = {"epochs": EPOCHS, "batch": 8, "learning_rate": 3e-3}
    return EmbeddingExpert.model_validate({"network": NETWORK, "sub_clusters": 2, "training": training, **changes})


def learn(clips: int = 12, classes: int = 3, seconds: float = 1.0) -> ClipSet:
    """Tones whose pitch is their class's, in noise."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE)) / RATE
    labels = np.arange(clips) % classes
    tones = [0.2 * np.sin(2 * np.pi * (300 + 200 * c) * t) + 0.05 * rng.normal(size=t.size) for c in labels]
    samples = np.round(np.stack(tones) * 32768).astype(np.int16)
    names, class_names = tuple(f"c{i}" for i in range(clips)), tuple(f"k{i}" for i in range(classes))
    return ClipSet(names, samples=samples, classes=labels.astype(np.int64), class_names=class_names)


def train(out, of: EmbeddingExpert, learnt: ClipSet | None = None, seed: int = 1, progress=None):
    return train_embedding(learnt or learn(), of, EXECUTION, out, seed=seed, progress=progress)


def test_classes_part_in_the_embedding(tmp_path):
    learnt = learn()
    model = load_embedding(train(tmp_path, expert(training={"epochs": 30, "batch": 8, "learning_rate": 3e-3}), learnt))
    spectra = [torch.from_numpy(x) for x in _inputs(learnt)]
    with torch.no_grad():
        found = model(*spectra)[:, 0]
    cosines = (found @ found.T).numpy()
    same = learnt.classes[:, None] == learnt.classes[None, :]
    others = cosines[~same].mean()
    assert cosines[same].mean() > others + 0.1  # below 0.001 untrained, 0.27 to 0.75 over five seeds


def _inputs(learnt: ClipSet) -> list[np.ndarray]:
    from asd_agent.features.stft import front_end

    sounds = learnt.samples.astype(np.float32) / 32768
    specs = [SpectrumSpec(f_max=2000), StftSpec(n_fft=256, hop_length=512)]
    return [np.stack([front_end(x, spec) for x in sounds]) for spec in specs]


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    weights = [read_checkpoint(train(tmp_path / str(i), expert(), seed=s))["model"] for i, s in enumerate((1, 1, 2))]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not all(torch.equal(weights[0][k], weights[2][k]) for k in weights[0])


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_training import expert, train
train(Path(sys.argv[2]), expert(), progress=lambda step, *_: print(step, flush=True))
"""


def test_a_training_that_is_killed_ends_with_the_same_weights(tmp_path):
    unbroken = read_checkpoint(train(tmp_path / "unbroken", expert()))
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 5:
                child.kill()
    assert child.returncode == -9
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    resumed = read_checkpoint(train(tmp_path / "killed", expert()))
    assert resumed["step"] == unbroken["step"] == 12  # 6 epochs of 12 items in batches of 8
    assert all(torch.equal(resumed["model"][k], unbroken["model"][k]) for k in unbroken["model"])
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("killed", "unbroken")]
    assert logs[0] == logs[1]


def test_one_class_learns_by_its_own_transforms_and_warns(tmp_path):
    learnt = learn(classes=1)
    with pytest.warns(UserWarning, match="k0 is the only class: the network learns to distinguish 6 versions"):
        final = train(tmp_path, expert(), learnt)
    assert read_checkpoint(final)["model"]["loss.centres"].shape[0] == len(TRANSFORMS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(tmp_path / "several", expert(exchange=False))


def test_the_full_size_takes_two_steps_exports_and_holds_parity(tmp_path):
    recipe = load_recipe("paper-embedding")
    of = recipe.experts[0]
    short = of.model_copy(update={"training": of.training.model_copy(update={"epochs": 2, "batch": 2})})
    model = load_embedding(train(tmp_path, short, learn(2, 2, seconds=10)))
    # 128·(256 + 128·(64 + 16 + 6 + 2)) on the spectrum, three residual networks of 0.69 million, 128²·(5 + 17 + 65)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(5.0e6, rel=0.03)
    assert model.dimensions == 4 * 128
    assert export_network(model, tmp_path / "member.onnx") < 1e-3


def test_no_clips_are_refused(tmp_path):
    with pytest.raises(DataError, match="do not fit together"):
        train(tmp_path, expert(), learn(clips=1))


def test_mixed_sounds_have_their_labels_in_the_same_shares():
    signals, shares = torch.eye(64), torch.eye(64)
    found, labels = mixed(signals, shares, 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, labels)
    own = labels.diagonal()
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(64))
    assert 0.3 < (own < 1).float().mean() < 0.7
    alone, _ = mixed(signals, shares, 0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(alone, signals)


def test_exchanged_branches_are_told_from_those_left_alone():
    first = torch.arange(40.0)[:, None]
    shares = torch.eye(40)
    found, labels = exchanged([first, 100 + first, 200 + first], shares, torch.Generator().manual_seed(0))
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(40))
    swapped = labels[:, :40].sum(dim=1) == 0
    assert 0.25 < swapped.float().mean() < 0.75
    for row in range(40):
        others = int(found[row, 1] - 100)
        assert found[row].tolist() == [row, 100 + others, 200 + others]
        if swapped[row]:
            assert labels[row, 40 + row] == 0.5
            assert labels[row, 80 + others] == 0.5
        else:
            assert others == row
            assert labels[row, row] == 1


def test_transforms_of_a_tone_are_what_they_are_called():
    t = torch.arange(RATE) / RATE
    tone = torch.sin(2 * torch.pi * 500 * t) + 0.5 * torch.sin(2 * torch.pi * 2000 * t)
    found = transformed(tone.repeat(len(TRANSFORMS), 1), torch.arange(len(TRANSFORMS)), RATE)
    assert found.shape == (len(TRANSFORMS), RATE)
    spectra = torch.fft.rfft(found).abs()
    assert spectra.argmax(dim=1).tolist() == pytest.approx([500, 560, 446, 500, 500, 500], abs=2)
    torch.testing.assert_close(found[0], tone)
    ratios = spectra[:, 2000] / spectra[:, 500]
    decibels = 20 * torch.log10(ratios[3:5] / ratios[0])
    torch.testing.assert_close(decibels, torch.tensor([6.0, -6.0]), atol=0.05, rtol=0)  # two octaves of 3 dB
    torch.testing.assert_close(found[3].square().mean(), tone.square().mean())
    torch.testing.assert_close(found[5], tone.flip(0))
