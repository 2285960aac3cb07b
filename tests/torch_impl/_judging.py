"""Compare torch results with the reference, by the tolerances that the oracles use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracles.adapters import torch_soft_quantizer
from oracles.tolerance import ambiguous_windows, tolerances, windowed
from reference import soft_quantize_partials as reference_partials
from tests.strategies import Points
from torch_impl import soft_quantize
from torch_impl.kernels import cpu_choice

Array = NDArray[np.float64]

OUTPUTS = ("value", "dz", "dq", "dalpha")


def torch_partials(p: Points, dtype: str) -> Array:
    """Value and elementwise gradients of ``soft_quantize``, (4, n) in float64."""
    fn = torch_soft_quantizer(soft_quantize, window=p.window, dtype=dtype)
    arrays = (np.asarray(a, dtype=dtype) for a in (p.z, p.q, p.alpha))
    return np.array([np.asarray(a, float) for a in fn(*arrays, p.max_level)])


def eager_kernels() -> AbstractContextManager[Any]:
    """Plain torch operations where the Numba kernels would run (float32 on the CPU)."""
    return patch.object(cpu_choice, "supports", return_value=False)


def assert_sound(p: Points, dtype: str) -> None:
    """Values and gradients within the conditioned tolerance of the reference."""
    assert_outputs_sound(p, torch_partials(p, dtype), dtype)


def assert_outputs_sound(p: Points, got: Array, dtype: str) -> None:
    """The same for outputs at hand, (4, n).

    Where rounding z/q in `dtype` may pick either of two windows, either is right.
    """
    expected = np.array(reference_partials(p.z, p.q, p.alpha, **p.support))
    tolerance = np.array(tolerances(p.z, p.q, p.alpha, **p.support, dtype=dtype))
    good = np.abs(got - expected) <= tolerance
    if p.window is not None:
        support = {"max_level": p.max_level, "window": p.window, "dtype": dtype}
        either, _, other = ambiguous_windows(p.z, p.q, **support)
        expected_2, tolerance_2 = windowed(p.z, p.q, p.alpha, other, **support)
        good |= either & (np.abs(got - expected_2) <= tolerance_2)
    for i, j in np.argwhere(~good):
        raise AssertionError(
            f"{OUTPUTS[i]} at z={p.z[j]!r}, q={p.q[j]!r}, alpha={p.alpha[j]!r}, {p.support}, "
            f"{dtype}: got {got[i, j]!r}, expected {expected[i, j]!r} +- {tolerance[i, j]:.3g}"
        )


def leaves(*arrays: Array, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Tensors of `dtype` that require gradients."""
    return [torch.tensor(np.asarray(a), dtype=dtype, requires_grad=True) for a in arrays]
