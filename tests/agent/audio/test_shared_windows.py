"""Windows that several monitors read: once from the ring, once assessed, and nobody can change them."""

import numpy as np
import pytest

from asd_agent.audio.quality import QualityLimits
from asd_agent.audio.ring import Missing, Ring
from asd_agent.audio.shared_windows import SharedWindows


def test_a_window_is_read_and_assessed_once_for_all_that_ask_alike(monkeypatch: pytest.MonkeyPatch):
    ring = Ring(2.0, 2)
    ring.write(np.random.default_rng(0).normal(0, 0.1, (16_000, 2)).astype(np.float32))
    shared, limits = SharedWindows(ring), QualityLimits()
    assert shared.read(8_000, 16_000, 0, limits) is Missing.NOT_YET
    first = shared.read(0, 16_000, 1, limits)
    assert not isinstance(first, Missing)
    signal, quality = first
    np.testing.assert_array_equal(signal, ring.read(0, 16_000).samples[:, 1])  # type: ignore[union-attr]
    assert quality.verdict == "ok"
    assert shared.read(0, 16_000, 1, QualityLimits()) is first
    assert shared.read(0, 16_000, 0, limits) is not first
    assert shared.read(0, 16_000, 1, QualityLimits(low_dbfs=-1.0))[1].reasons == ("too_quiet",)  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        signal[0] = 1.0
