"""The embedding network: its shape, what it is deaf to, and its graph."""

import numpy as np
import onnx
import onnxruntime
import torch

from asd_agent.features.stft import SpectrumSpec, StftSpec
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.embedding.network import EmbeddingNetwork, EmbeddingShape, StftBranch
from asd_trainer.families.embedding.settings import EmbeddingSettings

SMALL = EmbeddingSettings(
    spectrum=SpectrumSpec(f_max=2000),
    stfts=[StftSpec(n_fft=256, hop_length=1024), StftSpec(n_fft=512, hop_length=2048, f_min=200)],
    spectrum_channels=4,
    channels=2,
    embedding=6,
)
SAMPLES = 16_000


def network(settings: EmbeddingSettings = SMALL) -> EmbeddingNetwork:
    torch.manual_seed(0)
    return EmbeddingNetwork(EmbeddingShape(network=settings, samples=SAMPLES)).eval()


def test_embeddings_are_unit_vectors_of_all_branches():
    model = network()
    assert model.inputs == ("spectrum", "stft-0", "stft-1")
    found = model(*model.example(3))
    assert found.shape == (3, 1, 18)
    torch.testing.assert_close(found.norm(dim=2), torch.ones(3, 1))


def test_a_branch_may_be_left_out():
    model = network(EmbeddingSettings(spectrum=None, stfts=SMALL.stfts[:1], channels=2, embedding=6))
    assert model.inputs == ("stft-0",)
    assert model(*model.example(2)).shape == (2, 1, 6)


def test_what_does_not_change_over_time_a_short_time_branch_does_not_hear():
    branch = StftBranch(33, 2, 6).eval()
    x = torch.rand(2, 40, 33)
    torch.testing.assert_close(branch(x), branch(x + torch.rand(2, 1, 33)), atol=1e-5, rtol=1e-4)


def test_every_weight_learns():
    model = network().train()
    model(*model.example(4))[:, 0, :].square().mul(torch.arange(18.0)).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert (weight.grad != 0).any(), name


def test_the_graph_takes_its_inputs_by_name_at_any_batch(tmp_path):
    model = network()
    assert export_network(model, tmp_path / "model.onnx") < 1e-4
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert [i.name for i in graph.input] == ["spectrum", "stft-0", "stft-1"]
    assert [o.name for o in graph.output] == ["embedding"]
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes())
    example = model.example(7)
    feed = {name: x.numpy() for name, x in zip(model.inputs, example, strict=True)}
    (found,) = session.run(None, feed)
    np.testing.assert_allclose(found, model(*example).detach().numpy(), atol=1e-4)
