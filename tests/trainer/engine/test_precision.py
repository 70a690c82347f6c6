"""Precision, layout and compilation: bfloat16 where it may be, float32 where it must be, digests as they were.

There is no CUDA device in these tests: what is done on one alone is done on the CPU here.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from asd_trainer.data.clips import ClipSet
from asd_trainer.engine import precision as computing
from asd_trainer.engine.randomness import TrainingRandomness, own_randomness
from asd_trainer.families.autoencoder import training as autoencoder
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.settings import AutoencoderExpert, ConformerSettings, TrainingSettings
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.classifier.objective import ClassifierObjective, Stage
from asd_trainer.families.classifier.settings import ClassifierExpert, OneCycleSettings
from asd_trainer.families.embedding.network import EmbeddingShape
from asd_trainer.families.embedding.settings import AdamWSettings, EmbeddingExpert
from asd_trainer.families.embedding.training import EmbeddingLoss
from asd_trainer.features.log_mel import LogMel
from asd_trainer.features.settings import MaskSettings
from asd_trainer.recipes.load import load_recipe, recipe_names

CPU = torch.device("cpu")
Losses = Callable[[], Tensor]
Lesson = Callable[[str], tuple[nn.Module, Losses]]


@pytest.fixture
def as_on_cuda(monkeypatch):
    """Steps that are done on CUDA alone are done on the CPU."""
    monkeypatch.setattr(computing, "LOW_PRECISION_ON", ("cuda", "cpu"))


def autoencoder_losses(precision: str) -> tuple[nn.Module, Losses]:
    expert = AutoencoderExpert(
        network=ConformerSettings(blocks=1, units=32, heads=2, feedforward=32, dropout=0.0),
        masks=MaskSettings(time_masks=2, freq_masks=1, freq_width=(0, 2)),
        training=TrainingSettings(precision=precision),
    )
    features = np.random.default_rng(0).normal(-40, 10, (6, 20, 8)).astype(np.float32)
    with own_randomness(CPU, deterministic=True):
        chance = TrainingRandomness(1, CPU)
        model = Autoencoder(AutoencoderShape(n_mels=8, frames=20, network=expert.network))
        model.set_normalisation(np.full(8, -40.0), np.full(8, 10.0))
        clips = ClipSet(tuple("012345"), features=features, sections=np.zeros(6, np.float32))
        losses = autoencoder._losses(model, clips, expert, chance.masks)
        return model, lambda: losses(np.arange(6))


def classifier_losses(precision: str) -> tuple[nn.Module, Losses]:
    expert = ClassifierExpert.model_validate(
        {
            "kind": "classifier",
            "features": {"n_fft": 512, "hop_length": 512, "n_mels": 32},
            "network": {"backbone": "resnet10t", "frames": 32, "embedding": 8, "dropout": 0.0},
            "losses": {"ddcsad": 0.1, "arcface": 0.1},
            "training": {"precision": precision, "batch": 8},
            "tuning": None,
        }
    )
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, level, (4, 16_400)).astype(np.int16) for level in (3000, 6000)]
    sets = [ClipSet(tuple("0123"), samples=x).with_log_mels(expert.features) for x in noise]
    with own_randomness(CPU, deterministic=True):
        chance = TrainingRandomness(1, CPU)
        model = Classifier(ClassifierShape(n_mels=32, total_frames=33, frames=32, backbone="resnet10t", embedding=8))
        model.set_normalisation(*sets[0].band_statistics())
        objective = ClassifierObjective(model, sets, Stage(10, 1e-3, 0), expert, chance)
        objective._prepare(1)
        model.eval()  # statistics of a batch this small enlarge what bfloat16 loses, by how much each processor decides
        model.head[0].p = 0.0
        return model, lambda: objective._losses(np.arange(8))


def gradient(losses: Lesson, precision: str) -> tuple[Tensor, Tensor]:
    model, calculate = losses(precision)
    found = calculate()
    found.mean().backward()
    parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    assert {p.dtype for p in parts} == {torch.float32}
    return found.detach(), torch.cat(parts)


@pytest.mark.parametrize("losses", [autoencoder_losses, classifier_losses])
def test_losses_in_bfloat16_are_finite_float32_and_their_gradients_near_those_of_float32(losses, as_on_cuda):
    """Lengths within a tenth and angles within 18°: bfloat16 keeps 8 bits. Two batches of one training differ more."""
    exact, exact_gradient = gradient(losses, "float32")
    low, low_gradient = gradient(losses, "bfloat16")
    assert low.dtype == torch.float32
    assert torch.isfinite(low).all()
    assert not torch.equal(low, exact), "nothing was computed in bfloat16"
    torch.testing.assert_close(low, exact, rtol=0.1, atol=0.02)
    assert float(torch.cosine_similarity(low_gradient, exact_gradient, dim=0)) > 0.95
    assert float(low_gradient.norm() / exact_gradient.norm()) == pytest.approx(1.0, abs=0.1)


def test_log_mels_are_the_same_to_the_bit_whatever_the_networks_precision(as_on_cuda, monkeypatch):
    heard: list[Tensor] = []
    forward = LogMel.forward

    def watched(self: LogMel, signals: Tensor) -> Tensor:
        heard.append(forward(self, signals))
        return heard[-1]

    monkeypatch.setattr(LogMel, "forward", watched)
    for precision in ("float32", "bfloat16"):
        classifier_losses(precision)[1]()
    assert heard[1].dtype == torch.float32
    assert torch.equal(*heard)


class Reads(TorchDispatchMode):
    """Takes note of operations that make the host wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aten = torch.ops.aten
        by_mask = func is aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
        if by_mask or func in {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def embedding_losses(_: str, classes: int = 2) -> tuple[nn.Module, Losses]:
    expert = EmbeddingExpert.model_validate(
        {
            "kind": "embedding",
            "network": {
                "stfts": [{"kind": "linear_stft", "n_fft": 256, "hop_length": 256}],
                "spectrum_channels": 4,
                "channels": 2,
                "embedding": 4,
            },
        }
    )
    shape = EmbeddingShape(network=expert.network, samples=16_000)
    signals = torch.randn(4, 16_000, generator=torch.Generator().manual_seed(0))
    with own_randomness(CPU, deterministic=True):
        chance = TrainingRandomness(1, CPU)
        lesson = EmbeddingLoss(shape, classes, expert)
    return lesson, lambda: lesson(signals, torch.tensor([0, 1, 0, 1]) % classes, chance.masks, chance.host)


@pytest.mark.parametrize(
    "losses", [autoencoder_losses, classifier_losses, embedding_losses, partial(embedding_losses, classes=1)]
)
def test_nothing_in_a_step_makes_the_host_wait_for_the_device(losses):
    model, calculate = losses("float32")
    with Reads() as reads:
        calculate().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    assert reads.found == []
    with Reads() as reads:
        float(torch.ones(3)[torch.tensor([True, False, False])])
    assert len(reads.found) == 2, "what makes it wait was not noticed"


def test_a_cpu_computes_in_float32_whatever_the_recipe_says():
    for losses in (autoencoder_losses, classifier_losses):
        assert torch.equal(losses("bfloat16")[1](), losses("float32")[1]())


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bfloat16", False)])
@pytest.mark.parametrize("before", [True, False])
def test_tf32_is_allowed_where_it_is_asked_for_and_put_back_as_it_was(precision, allowed, before):
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    found = [one.allow_tf32 for one in switches]
    try:
        for one in switches:
            one.allow_tf32 = before
        with suppress(KeyError), computing.tensor_cores(TrainingSettings(precision=precision)):
            assert [one.allow_tf32 for one in switches] == [allowed, allowed]
            raise KeyError
        assert [one.allow_tf32 for one in switches] == [before, before]
    finally:
        for one, value in zip(switches, found, strict=True):
            one.allow_tf32 = value


def test_channels_last_changes_the_layout_and_neither_names_nor_results(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    x = torch.randn(2, 1, 9, 9)
    before, state = network(x), {k: v.clone() for k, v in network.state_dict().items()}
    computing.for_convolutions(network, CPU)
    assert network[2].weight.is_contiguous(), "a CPU keeps its layout"
    monkeypatch.setattr(computing, "CHANNELS_LAST_ON", ("cpu",))
    computing.for_convolutions(network, CPU)
    assert network[2].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x), before)
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def test_a_network_is_compiled_only_where_it_is_wanted_and_keeps_the_names_of_its_state():
    plain, fast = nn.Linear(2, 2), nn.Linear(2, 2)
    computing.compiled(plain, TrainingSettings())
    computing.compiled(fast, TrainingSettings(compile=True))
    assert plain._compiled_call_impl is None
    assert fast._compiled_call_impl is not None
    assert fast.state_dict().keys() == plain.state_dict().keys()


def test_settings_say_only_what_is_not_as_before_there_was_a_choice():
    assert "compile" not in TrainingSettings().model_dump()
    assert TrainingSettings().model_dump()["precision"] == "float32"
    assert {"compile", "precision"}.isdisjoint(AdamWSettings().model_dump())
    said = OneCycleSettings(compile=True).model_dump(mode="json")
    assert said["compile"] is True
    assert OneCycleSettings.model_validate(said).compile
    again = AdamWSettings.model_validate(json.loads(AdamWSettings(precision="bfloat16").model_dump_json()))
    assert again.precision == "bfloat16"


def test_no_packaged_recipe_is_compiled():
    experts = [e for name in recipe_names() for e in load_recipe(name).experts if e.trained]
    assert not any(getattr(e.training, "compile", False) for e in experts)
