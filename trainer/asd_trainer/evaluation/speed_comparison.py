"""Speed of a bundle in the agent beside its networks in eager torch and its front ends in other libraries.

The networks in torch are built from the recipe in the bundle and have random weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from asd_agent.bench import Effort, Times, measure_pairs
from asd_agent.bench.timing import Work
from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Member
from asd_agent.errors import BundleError
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_agent.inference.providers import Sessions
from asd_trainer.engine.onnx_export import Exportable
from asd_trainer.families.registry import family_of
from asd_trainer.features.log_mel import LogMel
from asd_trainer.recipes.recipe import Recipe

Window = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SpeedComparison:
    """Times of the agent and of another implementation, measured alternately.

    Attributes:
        stage: Computation that is timed.
        part: Member or front end.
        other: Name of the other implementation.
        agent_times: Times of the agent.
        other_times: Times of the other implementation.
    """

    stage: str
    part: str
    other: str
    agent_times: Times
    other_times: Times


def comparisons(bundle: Bundle, threads: int = 1, effort: Effort | None = None) -> Iterator[SpeedComparison]:
    """Compare every front end, and every autoencoder with all its replicas of one window.

    Args:
        bundle: The bundle.
        threads: Threads of both implementations.
        effort: Effort of each comparison.

    Raises:
        BundleError: The recipe in the bundle is of another version.
    """
    window = bundle.golden()["windows"][0].astype(np.float32) / 32768.0
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield from _compare(bundle, window, threads, effort)
    finally:
        torch.set_num_threads(before)


def _compare(bundle: Bundle, window: Window, threads: int, effort: Effort | None) -> Iterator[SpeedComparison]:
    manifest = bundle.manifest
    for spec in dict.fromkeys(m.features for m in manifest.members if m.features):
        part = f"{spec.n_mels} bands, n_fft {spec.n_fft}, hop {spec.hop_length}"
        for name, work in _front_ends(window, spec):
            yield SpeedComparison("log-mel", part, name, *measure_pairs(partial(log_mel, window, spec), work, effort))
    sessions = Sessions(threads=threads)
    for member in manifest.members:
        model = network_of(bundle, member)
        if model is None or member.graph is None:
            continue
        session = sessions.get(bundle.path / member.graph, manifest.files[member.graph])
        replicas = member.masks.count if member.masks else 1
        given = model.example(replicas)
        feed = {name: value.numpy() for name, value in zip(model.inputs, given, strict=True)}
        times = measure_pairs(partial(session.run, None, feed), partial(_run_eagerly, model, given), effort)
        yield SpeedComparison(f"network, {replicas} replicas", member.id, "eager torch", *times)


def network_of(bundle: Bundle, member: Member) -> Exportable | None:
    """Return the network of a member in torch, with random weights; None where its family builds none.

    Raises:
        BundleError: The recipe in the bundle is of another version, or lacks the member.
    """
    if member.graph is None:
        return None
    try:
        recipe = Recipe.model_validate(bundle.manifest.provenance.recipe_settings)
    except ValidationError as error:
        raise BundleError(f"{bundle.path}: its recipe is of another version", "Export the bundle again.") from error
    for named in recipe.named_experts():
        for number in range(named.expert.member_count):
            of_section = f"{named.member_id(number)}-"
            if member.id == named.member_id(number) or member.id.startswith(of_section):
                expert = named.expert.member(number, recipe.features)
                return family_of(expert.kind).untrained_network(expert, bundle.manifest.window_samples)
    raise BundleError(f"{bundle.path}: its recipe has no member {member.id!r}", "Export the bundle again.")


def _run_eagerly(model: Any, given: tuple[torch.Tensor, ...]) -> Any:
    with torch.inference_mode():
        return model(*given)


def _front_ends(window: Window, spec: FeatureSpec) -> Iterator[tuple[str, Work]]:
    front_end, signal = LogMel(spec), torch.from_numpy(window)[None]
    yield "torch", partial(_run_without_gradients, front_end, signal)
    if find_spec("librosa"):
        yield "librosa", partial(_librosa, window, spec)


def _run_without_gradients(front_end: torch.nn.Module, signal: torch.Tensor) -> Any:
    with torch.inference_mode():
        return front_end(signal)


def _librosa(window: Window, spec: FeatureSpec) -> Any:
    import librosa

    mel = librosa.feature.melspectrogram(
        y=window,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.f_min,
        fmax=spec.f_max,
        power=spec.power,
    )
    return librosa.power_to_db(mel, top_db=None)
