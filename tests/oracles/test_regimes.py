"""The inputs are what their regimes say."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.regimes import REGIMES, Cases, make_cases

NAMES = list(REGIMES)


def _cases(level: int, dtype: str, seed: int = 0) -> Cases:
    return make_cases(level, per_regime=20, dtype=dtype, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("level", [1, 2, 3, 127, 1023])
def test_inputs_are_valid_exact_and_adversarial_at_both_ends(level: int, dtype: str) -> None:
    for seed in range(5):
        cases = _cases(level, dtype, seed)
        z, q, alpha = cases.inputs
        assert z.size % 2 == 1
        assert np.unique(cases.regimes).size == len(REGIMES)
        for array in (z, q, alpha):
            assert np.isfinite(array).all()
            assert np.array_equal(array, array.astype(dtype).astype(np.float64))
        assert (q > 0).all()
        assert (alpha > 0).all()
        assert abs(z[0] / q[0]) > level
        assert NAMES[cases.regimes[-1]] == "soft"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regimes_cover_what_they_are_named_for(dtype: str) -> None:
    level = 127
    cases = _cases(level, dtype)
    z, q, alpha = cases.inputs
    c, h = z / q, alpha * q * q

    def of(name: str) -> np.ndarray:  # type: ignore[type-arg]
        return cases.regimes == NAMES.index(name)

    assert (h[of("soft")] <= 1.001).all()
    assert (abs(h[of("crossover")] - np.pi) < 1e-4).any()
    assert {True, False} == set((h[of("crossover")] < np.pi).tolist())
    assert (h[of("hard")] >= 3.99).all()
    ties = of("ties")
    assert (np.mod(c[ties], 1) == 0.5).all()
    assert (h[ties] < 1.6).sum() >= 5
    assert {0.0, 1.0} == set(np.mod(np.floor(c[ties & (h < 1.6)]), 2).tolist())
    assert (abs(abs(c[of("ends")]) - level) <= 1.001).all()
    saturated = abs(c[of("saturated")])
    assert (saturated > level).all()
    assert saturated.max() > 1e4
    limits = np.finfo(dtype)
    assert (q[of("subnormal q")] < limits.tiny).all()
    assert np.isfinite(1 / q[of("subnormal q")].astype(dtype)).all()
    assert q[of("huge q")].max() > 1e6
    assert np.unique(q[of("per element")]).size == 1
    assert np.unique(alpha[of("per element")]).size > 10
    zeros = z[of("origin")] == 0
    assert zeros.any()
    assert {True, False} == set(np.signbit(z[of("origin")][zeros]).tolist())
