"""Sound substitutes of rounding, written independently: none of them may ever be accused.

Every factory takes ``kind``, ``floor`` and ``straight_through`` and returns ``fn(x)``, with noise
``fn(x, noise)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.diff_jpeg.rounding_subject import RoundingFunction
from reference.surrogates import soft_floor, soft_round

__all__ = ["ROUNDING_SOUND", "by_floor", "plain_rounding", "profile", "rounded_twin"]

#: Kinds whose steps are logistic, with their steepness.
_STEPS = {"sigmoid": 60.0, "tanh": 10.0}


def rounded_twin(
    kind: str, *, floor: bool = False, straight_through: bool = False
) -> RoundingFunction:
    """The twin in float64, rounded to the dtype of the inputs at the end."""
    part = soft_floor if floor else soft_round

    def fn(x: Any, *noise: Any) -> Any:
        extra = {"noise": noise[0]} if noise else {}
        wide = x.astype(np.float64)
        found = part(wide, kind, straight_through=straight_through, **extra)
        return tuple(np.asarray(a).astype(x.dtype) for a in found)

    return fn


def profile(kind: str, d: Any, *noise: Any) -> tuple[Any, Any]:
    """Profile and its derivative as one would write them, in the dtype of d."""
    if kind == "cubic":
        return d * d * d, 3 * (d * d)
    if kind == "linear":
        return d / 10, np.full_like(d, 0.1)
    if kind == "fourier":
        k = np.arange(1, 11, dtype=d.dtype)
        weights = (1 / (math.pi * k) * np.where(k % 2 == 1, 1, -1)).astype(d.dtype)
        angle = d.dtype.type(2 * math.pi) * d[..., None] * k
        slopes = d.dtype.type(2 * math.pi) * k * weights
        return d - np.sin(angle) @ weights, 1 - np.cos(angle) @ slopes
    if kind == "straight_through":
        return np.zeros_like(d), np.ones_like(d)
    if kind == "uniform_noise":
        return (d + noise[0] if noise else d), np.ones_like(d)
    if kind == "soft":
        # Logits less their largest, and moments of the levels about d.
        k = np.arange(-4, 5, dtype=d.dtype)
        logits = -10 * (d[..., None] - k) ** 2
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
        mean = (weights * k).sum(-1)
        return mean, 20 * (weights * (k - mean[..., None]) ** 2).sum(-1)
    steep = d.dtype.type(_STEPS[kind])
    away = 0.5 - np.abs(d)
    s = np.exp(-steep * away) / (1 + np.exp(-steep * away))
    return np.where(d < 0, -s, s), steep * s * (1 - s)


def plain_rounding(
    kind: str, *, floor: bool = False, straight_through: bool = False
) -> RoundingFunction:
    """Integer and remainder in the working dtype; halves up by comparing, not by adding."""

    def fn(x: Any, *noise: Any) -> Any:
        whole = np.floor(x)
        rest = x - whole
        if floor:
            d = rest - x.dtype.type(0.5)
        else:
            up = rest >= 0.5
            # x - floor(x) rounds between -1/2 and 0, x itself does not.
            whole = np.where(up, whole + 1, whole)
            near = np.abs(x) < 0.5
            whole = np.where(near, x.dtype.type(0), whole)
            whole = np.where(x == -0.5, x.dtype.type(0), whole)
            d = x - whole
        g, slope = profile(kind, d, *(() if straight_through else noise))
        return (whole if straight_through else whole + g) + 0 * x, slope

    return fn


def by_floor(kind: str, *, floor: bool = False, straight_through: bool = False) -> RoundingFunction:
    """The logistic steps as they are printed: floor(x) + S(a (x - floor(x) - 1/2))."""
    if kind not in _STEPS or floor:
        return plain_rounding(kind, floor=floor, straight_through=straight_through)

    def fn(x: Any, *noise: Any) -> Any:
        whole = np.floor(x)
        steep = x.dtype.type(_STEPS[kind])
        s = 1 / (1 + np.exp(-steep * (x - whole - x.dtype.type(0.5))))
        true = plain_rounding(kind, straight_through=True)(x)[0]
        return (true if straight_through else whole + s), steep * s * (1 - s)

    return fn


ROUNDING_SOUND: dict[str, Callable[..., RoundingFunction]] = {
    "float64 rounded": rounded_twin,
    "plain": plain_rounding,
    "by the floor": by_floor,
}
