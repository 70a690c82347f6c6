"""Indicators of windows whose values are known, and the values that bundles in use were fitted with."""

import numpy as np
import pytest
from scipy import stats

from asd_agent.features.indicators import indicators, names

RATE = 16_000
T = np.arange(10 * RATE) / RATE


def of(x: np.ndarray) -> dict[str, float]:
    return dict(zip(names(), indicators(x.astype(np.float32)[None])[0].tolist(), strict=True))


def test_statistics_of_the_whole_window_are_their_definitions():
    x = np.random.default_rng(3).gumbel(size=len(T)).astype(np.float32) * 0.05 + 0.2
    found, centred = of(x), x.astype(np.float64) - x.mean(dtype=np.float64)
    assert found["kurtosis"] == pytest.approx(np.log(stats.kurtosis(centred, fisher=False)), rel=1e-6)
    assert found["skewness"] == pytest.approx(stats.skew(centred), rel=1e-6)
    assert found["crest factor"] == pytest.approx(np.log(np.abs(centred).max() / centred.std()), rel=1e-6)


def test_a_modulated_tone_has_its_level_depth_and_rate():
    found = of(0.1 * (1 + 0.5 * np.sin(2 * np.pi * 25 * T)) * np.sin(2 * np.pi * 3000 * T))
    band = "2k–4k Hz"
    assert found["spectral centroid"] == pytest.approx(3000, abs=0.5)
    assert found[f"level at {band}"] == pytest.approx(20 * np.log10(0.1) + 10 * np.log10(1 + 0.5**2 / 2), abs=1e-3)
    assert found[f"envelope modulation at {band}"] == pytest.approx(np.log(0.5 / np.sqrt(2)), abs=1e-3)
    assert found[f"modulation rate at {band}"] == pytest.approx(np.log(25), abs=1e-3)


def test_values_are_those_that_bundles_were_fitted_with():
    n = np.arange(len(T))
    tone = 0.2 * np.sin(2 * np.pi * 0.0713 * n) * (1 + 0.5 * np.sin(2 * np.pi * 25 * n / RATE))
    x = (tone + 0.05 * np.sin(0.3 * (n % 4001) ** 2)).astype(np.float32)
    np.testing.assert_allclose(indicators(x[None])[0], BEFORE, rtol=1e-6, atol=1e-6)


# Values of the first implementation, with plain powers of the window and of each band's envelope.
BEFORE = [
    *(0.8201143145561218, 0.7829726934432983, 0.00020690330711659044),
    *(1287.5931396484375, 818.1696166992188, -7.183761119842529),
    *(-38.0546989440918, 0.5021061897277832, 0.610440731048584, -0.8136377930641174, 4.392388820648193),
    *(-38.37668991088867, 0.8546087145805359, 0.8843304514884949, -0.5339702367782593, 4.565980434417725),
    *(-13.436262130737305, 0.3427353799343109, 0.46062156558036804, -1.0399219989776611, 3.2333102226257324),
    *(-32.196815490722656, 0.4987082779407501, 0.7592186331748962, -1.5928871631622314, 4.397504806518555),
    *(-29.3212947845459, 0.5608908534049988, 0.6946023106575012, -2.3172457218170166, 4.365742206573486),
]
