"""The fall-back near the ends, as a function of its own: also where the kernels do not ask it.

The kernels call it near the ends of the index set alone. That it is right everywhere is what its
docstring says, and what makes the choice of where it is called a matter of speed.
"""

from __future__ import annotations

import numpy as np
import pytest

from reference.compiled import soft_quantize_partials
from torch_impl.kernels.cpu_ends import _near_ends
from torch_impl.kernels.cpu_jit import jit


@jit
def _one(z, q, alpha, level):
    return _near_ends(z, q, alpha, level)


@pytest.mark.parametrize("h", [1e-4, 3e-3, 0.3])
@pytest.mark.parametrize("c", [0.0, 0.25, -3.5, 700.0, -2000.0])
def test_levels_out_of_reach_on_both_sides(c, h):
    # Reach is sqrt(34 / h), at most 583 levels: the ends are beyond it, on each side.
    level, q = 4000, np.float32(0.75)
    z, alpha = np.float32(c * q), np.float32(h / (q * q))
    got = _one(z, q, alpha, level)
    points = (float(z), float(q), float(alpha))
    expected = soft_quantize_partials(*points, max_level=level)
    # Measured: 1e-10, 5e-10, 4e-9 (1 + |c|) and 2e-10 mu3, by the rule of 32 nodes; the third
    # moment is of the order of (1 / 2h)^1.5.
    limits = (4e-10, 2e-9, 1e-8 * (1 + abs(c)), 7e-10 * (1 + (1 / (2 * h)) ** 1.5))
    for name, a, b, limit in zip(expected._fields, got, expected, limits, strict=True):
        assert abs(a - b) <= limit, name
