"""Sound implementations of the CPMF: none of them may ever be accused.

Every factory takes ``window`` and returns ``fn(z, q, alpha, max_level)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.cpmf.subject import CpmfFunction
from oracles.mutants.sound import _levels as support_offsets
from reference import cpmf

__all__ = ["CPMF_SOUND", "absolute", "rounded_cpmf"]

Factory = Callable[[int | None], CpmfFunction]


def rounded_cpmf(window: int | None) -> CpmfFunction:
    """float64 inside, rounded to the dtype of the inputs at the end."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        wide = [a.astype(np.float64) for a in (z, q, alpha)]
        levels, probabilities = cpmf(*wide, max_level=max_level, window=window)
        return levels, probabilities.astype(z.dtype)

    return fn


def scaled(window: int | None) -> CpmfFunction:
    """Softmax in z/q about the nearest level, in the working dtype."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        nearest, k = support_offsets(z / q, max_level, window)
        f, h = z / q - nearest, alpha * q * q
        w = np.exp(h[:, None] * (2 * f[:, None] * k - k * k))
        return nearest[:, None] + k, w / w.sum(1, keepdims=True)

    return fn


def unscaled(window: int | None) -> CpmfFunction:
    """Softmax in the unit of z about the nearest level; normalized by the logarithm of the sum."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        nearest, k = support_offsets(z / q, max_level, window)
        rest, away = (z - nearest * q)[:, None], k * q[:, None]
        x = alpha[:, None] * away * (2 * rest - away)
        p = np.exp(x - np.log(np.exp(x).sum(1, keepdims=True)))
        return (nearest[:, None] + k).astype(np.int32), p

    return fn


def sequential(window: int | None) -> CpmfFunction:
    """One level after the other, multiplied by the reciprocal of the sum, as a GPU thread does."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        nearest, k = support_offsets(z / q, max_level, window)
        f, h = z / q - nearest, alpha * q * q
        w = np.empty_like(k)
        total = np.zeros_like(z)
        for i, column in enumerate(k.T):
            w[:, i] = np.exp(h * column * (2 * f - column))
            total += w[:, i]
        return nearest[:, None] + k, w * (1 / total)[:, None]

    return fn


def torch_local(window: int | None) -> CpmfFunction:
    """torch.softmax about the nearest level, in the working dtype."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        nearest, k = support_offsets(z / q, max_level, window)
        f, h = z / q - nearest, alpha * q * q
        x = torch.from_numpy(h[:, None] * k * (2 * f[:, None] - k))
        levels = torch.from_numpy(nearest[:, None] + k).to(torch.int64)
        return levels.numpy(), torch.softmax(x, dim=1).numpy()

    return fn


def absolute(window: int | None, inside: str | None = None) -> CpmfFunction:
    """Softmax of -alpha (z - i q)^2 as JPEG-DL, eq. (5), is written; its largest subtracted.

    Sound with float64 inside. In float32 (``inside=None`` with float32 inputs) the squares of
    far coefficients lose the difference between two levels.
    """

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        kind = np.dtype(inside) if inside else z.dtype
        a, b, c = (array.astype(kind)[:, None] for array in (z, q, alpha))
        nearest, k = support_offsets(z / q, max_level, window)
        levels = (nearest[:, None] + k).astype(kind)
        x = -c * (a - levels * b) ** 2
        w = np.exp(x - x.max(1, keepdims=True))
        return levels, (w / w.sum(1, keepdims=True)).astype(z.dtype)

    return fn


CPMF_SOUND: dict[str, Factory] = {
    "float64 rounded": rounded_cpmf,
    "softmax in z/q": scaled,
    "log-sum-exp in z": unscaled,
    "sequential sum": sequential,
    "torch softmax": torch_local,
    "absolute, float64": lambda window: absolute(window, "float64"),
}
