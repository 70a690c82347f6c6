"""The provider in use is the first configured one that loads the networks and gives the golden scores; it is reported.

There is no GPU here: ONNX Runtime's CPU runs behind a runtime that claims CUDA and behaves as boxes do.
"""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle
from asd_agent.errors import AsdError, BundleError
from asd_agent.inference.provider_check import absent, check_providers
from asd_agent.inference.providers import Sessions

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Session:
    """Real results, changed by a factor, under another provider's name."""

    def __init__(self, raw: bytes, options: Any, provider: str, factor: float) -> None:
        self._real = onnxruntime.InferenceSession(raw, options, providers=[CPU])
        self._providers, self._factor = [provider, CPU] if provider != CPU else [CPU], factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, names: Any, feed: Any) -> list[Any]:
        return [self._factor * out for out in self._real.run(names, feed)]


class Box:
    """A runtime with CUDA that works, fails, falls to the CPU in silence, or computes otherwise."""

    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, cuda: str, there: tuple[str, ...] = (CUDA, CPU), cpu_factor: float = 1.0) -> None:
        self._cuda, self._there, self._cpu_factor = cuda, there, cpu_factor
        self.asked: list[list[tuple[str, dict[str, str]]]] = []

    def get_available_providers(self) -> list[str]:
        return list(self._there)

    def InferenceSession(self, raw: bytes, options: Any, providers: Any) -> Session:  # noqa: N802
        self.asked.append(providers)
        wanted = providers[0][0]
        if wanted == CUDA and self._cuda == "fails":
            raise RuntimeError("CUDA failure 35: driver version is insufficient\nat line 130")
        if wanted == CUDA and self._cuda != "falls":
            return Session(raw, options, CUDA, 1.05 if self._cuda == "drifts" else 1.0)
        return Session(raw, options, CPU, self._cpu_factor)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(demo_bundle())


def test_the_first_configured_provider_is_used_and_computes_in_float32(bundle: Bundle):
    box = Box("works")
    gate = check_providers(bundle, [CUDA, CPU], runtime=box)
    assert (gate.provider, gate.complaints) == (CUDA, ())
    assert box.asked[0] == [(CUDA, {"use_tf32": "0"}), (CPU, {})]


@pytest.mark.parametrize(
    ("cuda", "said"),
    [("fails", "driver version is insufficient"), ("falls", "cannot use it here"), ("drifts", "golden window 0")],
)
def test_a_provider_that_does_not_pass_gives_way_to_the_next_and_it_is_said(bundle: Bundle, cuda: str, said: str):
    gate = check_providers(bundle, [CUDA, CPU], runtime=Box(cuda))
    assert gate.provider == CPU
    (complaint,) = gate.complaints
    assert said in complaint
    assert CUDA in complaint
    assert gate.worst < 1e-3


def test_a_provider_that_the_runtime_lacks_is_said(bundle: Bundle):
    gate = check_providers(bundle, [CUDA, CPU])
    assert gate.provider == CPU
    assert gate.complaints[0].startswith(f"{CUDA} is not in this ONNX Runtime, which has ")
    assert absent([CPU]) == []


@pytest.mark.parametrize("cuda", ["fails", "falls", "drifts"])
def test_without_another_provider_nothing_is_used(bundle: Bundle, cuda: str):
    with pytest.raises(BundleError):
        check_providers(bundle, [CUDA], runtime=Box(cuda))


def test_when_none_passes_all_are_named(bundle: Bundle):
    with pytest.raises(BundleError, match=rf"before it, {CUDA}: .*golden window"):
        check_providers(bundle, [CUDA, CPU], runtime=Box("drifts", cpu_factor=1.1))


def test_none_of_the_configured_providers_is_there(bundle: Bundle):
    with pytest.raises(AsdError, match="none of the providers"):
        check_providers(bundle, [CUDA], runtime=Box("works", there=(CPU,)))


def test_sessions_are_shared_by_the_graph_and_the_providers(bundle: Bundle):
    box, pool = Box("works"), {}
    check_providers(bundle, [CUDA, CPU], pool, box)
    made = len(box.asked)
    check_providers(bundle, [CUDA, CPU], pool, box)
    assert len(box.asked) == made
    check_providers(bundle, [CPU], pool, box)
    assert len(box.asked) == 2 * made


def test_each_bundle_tells_its_own_provider(bundle: Bundle):
    box, pool = Box("works"), {}
    assert check_providers(bundle, [CPU], pool, box).provider == CPU
    assert check_providers(bundle, [CUDA, CPU], pool, box).provider == CUDA
    assert Sessions([CUDA, CPU], pool=pool, runtime=box).provider() == "numpy"
