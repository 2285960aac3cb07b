"""Draws for the worst-case search: clouds about points that Hypothesis chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from oracles.regimes import REGIMES, _Draw
from oracles.subject import Inputs

__all__ = ["NEAR", "draw_cloud"]

#: One part in this many of a cloud is near what was chosen.
NEAR = 4

Array = NDArray[np.float64]


class _GuidedGenerator:
    """Stands in for ``numpy.random.Generator``: a part of each draw is near a chosen number.

    The rest fills the whole range, as the draws of the verdict do.
    """

    def __init__(self, chosen: Sequence[float], noise: np.random.Generator, spread: float) -> None:
        self._chosen = iter(chosen)
        self._noise = noise
        self._spread = spread

    def random(self, count: int) -> Array:
        """Numbers in [0, 1), the chosen one among them."""
        chosen = next(self._chosen)
        near = (chosen + self._spread * self._noise.uniform(-0.5, 0.5, count // NEAR)) % 1.0
        near[:1] = chosen
        return np.append(near, self._noise.random(count - near.size))

    def uniform(self, low: float, high: float, count: int) -> Array:
        return low + (high - low) * self.random(count)

    def integers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        return np.floor(self.uniform(low, high, count)).astype(np.int64)

    def choice(self, values: Sequence[float], count: int) -> Array:
        return np.asarray(values, dtype=np.float64)[self.integers(0, len(values), count)]

    def laplace(self, mean: float, scale: float, count: int) -> Array:
        u = self.random(count) - 0.5
        tail = np.maximum(1 - 2 * np.abs(u), np.finfo(np.float64).tiny)
        return mean - scale * np.sign(u) * np.log(tail)


def draw_cloud(
    regime: str,
    chosen: Sequence[float],
    *,
    noise: np.random.Generator,
    spread: float,
    count: int,
    max_level: int,
    dtype: np.dtype[Any],
) -> Inputs:
    """Draw points of one regime about given parameters.

    Parameters
    ----------
    regime : str
        Name in :data:`oracles.regimes.REGIMES`.
    chosen : sequence of float
        A number in [0, 1) for each random draw that the regime makes; more do no harm.
    noise : numpy.random.Generator
        Moves the points about what was chosen.
    spread : float
        Width of the cloud as a part of the whole range, in (0, 1]; all but the first part
        of the points are drawn from the whole range whatever it is.
    count : int
        Number of points.
    max_level : int
        L.
    dtype : numpy.dtype
        float32 or float64; the inputs are rounded to it.

    Returns
    -------
    Inputs
    """
    guided = cast(np.random.Generator, _GuidedGenerator(chosen, noise, spread))
    draw = _Draw(guided, count, max_level, dtype == np.float64)
    z, q, alpha = (np.asarray(column, dtype=dtype) for column in REGIMES[regime](draw))
    smallest = np.finfo(dtype).smallest_subnormal
    q, alpha = np.maximum(q, smallest), np.maximum(alpha, smallest)
    return Inputs(*(column.astype(np.float64) for column in (z, q, alpha)))
