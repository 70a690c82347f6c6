"""The official MobileNetV2: excerpts as published, a score by hand, a graph that gives torch's numbers."""

import numpy as np
import onnx
import onnxruntime
import torch

from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.section_classifier.network import SectionClassifier, SectionShape
from rigs.networks import lively


def classifier(frames: int = 48) -> SectionClassifier:
    torch.manual_seed(1)
    model = SectionClassifier(SectionShape(n_mels=32, total_frames=frames, sections=3, frames=32, hop=8))
    return lively(model)


def test_a_doubt_is_the_logarithm_of_the_odds_against_the_right_section():
    model = classifier(frames=32)
    features = torch.full((2, 32, 32), -40.0)
    with torch.no_grad():
        p = torch.softmax(model.logits(features), dim=1)
        found = model(features, torch.tensor([0.0, 2.0]))
    assert found.shape == (2, 1, 1)
    wanted = [np.log((1 - float(p[0, 0])) / float(p[0, 0])), np.log((1 - float(p[1, 2])) / float(p[1, 2]))]
    np.testing.assert_allclose(found.flatten().numpy(), wanted, rtol=1e-4)


def test_excerpts_overlap_as_the_baseline_has_them():
    assert SectionClassifier(SectionShape(n_mels=128, total_frames=313, sections=3)).excerpts == 32


def test_the_graph_gives_torchs_numbers_at_another_batch(tmp_path):
    model = classifier()
    assert export_network(model, tmp_path / "member.onnx") < 1e-4
    assert [i.name for i in onnx.load(tmp_path / "member.onnx").graph.input] == list(model.inputs)
    session = onnxruntime.InferenceSession((tmp_path / "member.onnx").read_bytes())
    example = model.example(4)
    (found,) = session.run(["error"], dict(zip(model.inputs, (v.numpy() for v in example), strict=True)))
    with torch.no_grad():
        np.testing.assert_allclose(found, model(*example).numpy(), rtol=1e-4, atol=1e-4)
