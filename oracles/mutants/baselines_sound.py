"""Sound implementations of the baselines of Table 6: none of them may ever be accused.

Every factory takes ``kind`` and returns ``fn(z, q, max_level)``, with noise
``fn(z, q, noise, max_level)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.baselines.subject import BaselineFunction, Points, partials_at
from reference import quantizer_baselines

__all__ = ["BASELINE_SOUND", "FINITE_ONLY", "LSQ_SCALE", "plain", "rounded_baseline", "scale_of"]

Factory = Callable[[str], BaselineFunction]

#: Scale of the step's gradient that the straight-through implementations here have.
LSQ_SCALE = quantizer_baselines.step_gradient_scale(196, 7)


def scale_of(kind: str) -> float:
    """Scale of dq that an implementation of this kind claims here."""
    return LSQ_SCALE if kind == "straight_through" else 1.0


def rounded_baseline(kind: str) -> BaselineFunction:
    """The reference in float64, rounded to the dtype of the inputs at the end."""

    def fn(z: Any, q: Any, *rest: Any) -> Any:
        *noise, max_level = rest
        wide = [a.astype(np.float64) for a in (z, q, *noise)]
        extra = {"gradient_scale": LSQ_SCALE} if kind == "straight_through" else {}
        found = getattr(quantizer_baselines, f"{kind}_partials")(
            *wide, max_level=max_level, **extra
        )
        return tuple(part.astype(z.dtype) for part in found)

    return fn


def plain(kind: str, *, reciprocal: bool = False) -> BaselineFunction:
    """z/q, clip and floor as one would write them, in the working dtype."""

    def fn(z: Any, q: Any, *rest: Any) -> Any:
        *noise, max_level = rest
        half, end = z.dtype.type(0.5), z.dtype.type(max_level)
        c = z * (1 / q) if reciprocal else z / q
        x = np.clip(c, -end, end)
        inside = abs(c) < end
        r = np.floor(x + half)
        d = x - r
        if kind == "uniform_noise":
            u = noise[0]
            rounded, slope = x + u, inside * np.ones_like(x)
            rest_ = np.where(inside, u, x + u)
        elif kind == "cubic":
            rounded, slope = r + d * d * d, 3 * d * d * inside
            rest_ = r - 3 * r * d * d - 2 * d * d * d
        elif kind == "straight_through":
            rounded, slope = r, inside * np.ones_like(x)
            rest_ = np.where(inside, r - x, r) * z.dtype.type(LSQ_SCALE)
        else:
            rounded, slope, rest_ = r, np.zeros_like(r), r
        nan = 0 * x  # NaN where z is
        return q * rounded, (slope + nan).astype(z.dtype), (rest_ + nan).astype(z.dtype)

    return fn


def remainder(kind: str) -> BaselineFunction:
    """One element after the other, with the remainder of the C library, which is exact."""

    def one(z: float, q: float, u: float, end: int) -> tuple[float, float, float]:
        if math.isnan(z):
            return (math.nan,) * 3
        rest = 0.0 if math.isinf(z) else math.remainder(z, q)  # in [-q/2, q/2]
        level = math.copysign(end, z) if math.isinf(z) else round((z - rest) / q)
        if 2 * rest == q:  # half to even went down
            level, rest = level + 1, -rest
        outside = abs(level) > end or (abs(level) == end and level * rest >= 0)
        level = max(-end, min(end, level))
        where = (np.array([float(level)]), np.array([rest / q]), np.array([outside]))
        point = Points(*(np.array([x]) for x in (z, q, u)))
        a, b, c = partials_at(kind, point, *where, scale_of(kind))[:, 0].tolist()
        return a, b, c

    def fn(z: Any, q: Any, *rest: Any) -> Any:
        *noise, max_level = rest
        arrays = np.broadcast_arrays(z, q, noise[0] if noise else np.zeros((), z.dtype))
        columns = [array.ravel().tolist() for array in arrays]
        rows = [one(a, b, u, max_level) for a, b, u in zip(*columns, strict=True)]
        out = np.array(rows, dtype=z.dtype).reshape(-1, 3).T
        return tuple(part.reshape(arrays[0].shape).copy() for part in out)

    return fn


def torch_autograd(kind: str) -> BaselineFunction:
    """Torch operations in the dtype of the inputs, derivatives by autograd."""

    def fn(z: Any, q: Any, *rest: Any) -> Any:
        import torch

        *noise, max_level = rest
        arrays = [np.ascontiguousarray(a) for a in np.broadcast_arrays(z, q, *noise)]
        leaves = [torch.tensor(a, requires_grad=True) for a in arrays[:2]]
        tz, tq = leaves
        c = tz / tq
        # A clamp's derivative at its ends is 1 in torch, where Esser et al. have 0.
        x = torch.where(c.abs() < max_level, c, torch.sign(c) * float(max_level))
        r = torch.floor(x.detach() + 0.5)
        if kind == "uniform_noise":
            value = tq * (x + torch.from_numpy(arrays[2]))
        elif kind == "cubic":
            value = tq * (r + (x - r) ** 3)
        elif kind == "straight_through":
            # The scale acts on the gradient alone (Esser et al., section 2.2).
            scaled = tq * LSQ_SCALE + (tq - tq * LSQ_SCALE).detach()
            ratio = tz / scaled
            y = torch.where(c.abs() < max_level, ratio, torch.sign(c) * float(max_level))
            value = scaled * (y + (r - y).detach())
        else:
            value = tq * r + 0 * x.detach()
        gradients = torch.autograd.grad(
            value.sum(), leaves, allow_unused=True, materialize_grads=True
        )
        return tuple(part.detach().numpy() for part in (value, *gradients))

    return fn


#: Those that are sound for finite coefficients only: autograd multiplies infinity by zero.
FINITE_ONLY = frozenset({"torch autograd"})

BASELINE_SOUND: dict[str, Factory] = {
    "float64 rounded": rounded_baseline,
    "plain": plain,
    "plain, reciprocal": lambda kind: plain(kind, reciprocal=True),
    "remainder": remainder,
    "torch autograd": torch_autograd,
}
