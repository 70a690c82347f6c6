"""Exported graphs: one file, any batch, the numbers of torch, or nothing."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from asd_trainer.engine.checkpoint import CheckpointError
from asd_trainer.engine.onnx_export import IR_VERSION, OPSET, ExportError, export_network
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.settings import ConformerSettings
from asd_trainer.families.autoencoder.training import load_autoencoder

MELS, FRAMES = 12, 20


def network(id_regression: bool = True, blocks: int = 2) -> Autoencoder:
    torch.manual_seed(3)
    model = Autoencoder(
        AutoencoderShape(
            n_mels=MELS,
            frames=FRAMES,
            id_regression=id_regression,
            network=ConformerSettings(blocks=blocks, units=16, heads=2, kernel=5, feedforward=24),
        )
    )
    model.set_normalisation(np.linspace(-60, -30, MELS), np.linspace(3, 9, MELS))
    return model


@pytest.fixture(scope="module", params=[True, False], ids=["with section", "without section"])
def exported(request, tmp_path_factory) -> tuple[Autoencoder, Path]:
    path = tmp_path_factory.mktemp("export") / "member.onnx"
    model = network(request.param).train()
    assert export_network(model, path) < 1e-4
    assert model.training  # it is left in its mode
    return model.eval(), path


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_graph_gives_torchs_errors_at_batches_that_it_was_not_traced_with(exported, batch):
    model, path = exported
    rng = np.random.default_rng(batch)
    features = rng.normal(-45, 10, (batch, FRAMES, MELS)).astype(np.float32)
    keep = (rng.random(features.shape) < 0.5).astype(np.float32)
    section = rng.random(batch).astype(np.float32)
    session = onnxruntime.InferenceSession(path.read_bytes())
    (found,) = session.run(["error"], {"features": features, "keep": keep, "section": section})
    with torch.no_grad():
        expected = model(*(torch.from_numpy(v) for v in (features, keep, section))).numpy()
    assert found.shape == (batch, FRAMES, MELS + model.shape.id_regression)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_graph_has_the_agents_names_whether_or_not_the_section_is_used(exported):
    _, path = exported
    graph = onnx.load(path).graph
    assert [i.name for i in graph.input] == ["features", "keep", "section"]
    assert [o.name for o in graph.output] == ["error"]
    batch, frames, mels = graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param
    assert (frames.dim_value, mels.dim_value) == (FRAMES, MELS)


def test_the_file_stands_alone_and_tells_nothing_of_where_it_was_made(exported):
    model, path = exported
    assert [p.name for p in path.parent.iterdir()] == ["member.onnx"]
    graph = onnx.load(path, load_external_data=False)
    assert not any(i.external_data for i in graph.graph.initializer)
    assert (graph.ir_version, graph.opset_import[0].version) == (IR_VERSION, OPSET)
    assert b".py" not in path.read_bytes()
    weights = 4 * (sum(p.numel() for p in model.parameters()) + FRAMES * 16 + 2 * MELS)
    assert path.stat().st_size < weights + 30_000


def test_a_graph_that_is_off_leaves_nothing_behind(tmp_path):
    path = tmp_path / "member.onnx"
    path.write_bytes(b"the one before")
    with pytest.raises(ExportError, match="is off by"):
        export_network(network(blocks=1), path, tolerance=-1.0)
    assert path.read_bytes() == b"the one before"
    assert [p.name for p in tmp_path.iterdir()] == ["member.onnx"]


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"final\.pt: there is no such checkpoint"):
        load_autoencoder(tmp_path / "final.pt")
