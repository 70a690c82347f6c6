"""The official autoencoder: layers as published, a score by hand, a graph that gives torch's numbers."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.dense_autoencoder.network import DenseAutoencoder, DenseShape
from rigs.networks import lively

OFFICIAL = DenseShape(n_mels=128, total_frames=313)


def test_the_dense_autoencoder_has_the_published_layers():
    model = DenseAutoencoder(OFFICIAL)
    linear = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
    assert [part.in_features for part in linear] == [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    assert linear[-1].out_features == 640
    assert all((part.bias == 0).all() for part in linear)
    # Dense layers, and gain and shift of nine normalisations: 267,928 as Keras counts the trainable ones.
    dense = 640 * 128 + 128 + 6 * (128 * 128 + 128) + 128 * 8 + 8 + 8 * 128 + 128 + 128 * 640 + 640
    norms = 2 * (8 * 128 + 8)
    assert sum(p.numel() for p in model.parameters()) == dense + norms == 267_928


def test_its_score_is_the_mean_squared_error_over_stacks_of_five_frames_by_hand():
    model = DenseAutoencoder(DenseShape(n_mels=2, total_frames=3, frames=2, width=4, depth=1, bottleneck=2)).eval()
    last = model.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([1.0, 0.0, 2.0, 0.0]))  # two frames of two bands, whatever goes in
        features = torch.tensor([[[1.0, 1.0], [2.0, 3.0], [4.0, 5.0]]])
        found = model(features)
    # Stack 1: (1-1)², 1², (2-2)², 3²; stack 2: (2-1)², 3², (4-2)², 5². Each is averaged over its two frames.
    torch.testing.assert_close(found[0], torch.tensor([[0.0, 5.0], [2.5, 17.0]]))
    assert float(found.mean()) == pytest.approx((0 + 1 + 0 + 9 + 1 + 9 + 4 + 25) / 8)


def test_the_graph_gives_torchs_numbers_at_another_batch(tmp_path):
    model = lively(DenseAutoencoder(DenseShape(n_mels=16, total_frames=20)))
    assert export_network(model, tmp_path / "member.onnx") < 1e-4
    assert [i.name for i in onnx.load(tmp_path / "member.onnx").graph.input] == list(model.inputs)
    session = onnxruntime.InferenceSession((tmp_path / "member.onnx").read_bytes())
    example = model.example(4)
    (found,) = session.run(["error"], dict(zip(model.inputs, (v.numpy() for v in example), strict=True)))
    with torch.no_grad():
        np.testing.assert_allclose(found, model(*example).numpy(), rtol=1e-4, atol=1e-4)
