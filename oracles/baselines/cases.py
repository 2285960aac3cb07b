"""Named regimes of inputs, seeded: where quantizers that round break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.baselines.subject import Points
from oracles.subject import Array

__all__ = ["STEP_REGIMES", "StepCases", "make_step_cases", "round_points"]


@dataclass(frozen=True)
class _Draw:
    """What a regime draws from."""

    rng: np.random.Generator
    count: int
    max_level: int
    kind: np.dtype[Any]

    @property
    def wide(self) -> bool:
        return self.kind == np.float64

    def uniform(self, low: float, high: float) -> Array:
        return self.rng.uniform(low, high, self.count)

    def log_uniform(self, low: float, high: float) -> Array:
        return np.exp(self.uniform(np.log(low), np.log(high)))

    def sign(self) -> Array:
        return self.rng.choice([-1.0, 1.0], self.count)

    def level(self, top: int = 0) -> Array:
        """Levels up to L - top; half of them small, where rounding errors are smallest."""
        end = max(self.max_level - top, 0)
        near = self.rng.integers(-min(3, end), min(3, end) + 1, self.count)
        anywhere = self.rng.integers(-end, end + 1, self.count)
        return np.where(self.rng.random(self.count) < 0.5, near, anywhere).astype(np.float64)

    def inside(self) -> Array:
        return np.clip(self.level() + self.uniform(-0.5, 0.5), -self.max_level, self.max_level)

    def step(self) -> Array:
        """Steps as in trained tables, 1e-2 to 255; every third a power of two."""
        q = self.log_uniform(1e-2, 255.0)
        return np.where(np.arange(self.count) % 3 == 0, np.exp2(np.round(np.log2(q))), q)

    def beside(self, c: Array, q: Array) -> Array:
        """The floats at c q and up to three on either side of it."""
        q = q.astype(self.kind).astype(np.float64)
        z = (c * q).astype(self.kind)
        steps = self.rng.integers(-3, 4, self.count)
        for away in range(1, 4):
            towards = np.where(steps > 0, np.inf, -np.inf).astype(self.kind)
            z = np.where(np.abs(steps) >= away, np.nextafter(z, towards), z)
        return z.astype(np.float64)


_Generated = tuple[Array, Array]


def _inside(d: _Draw) -> _Generated:
    q = d.step()
    return d.inside() * q, q


def _ties(d: _Draw) -> _Generated:
    # Exact in any binary format.
    q = np.exp2(np.round(d.uniform(-6, 7)))
    return (d.level(1) + 0.5 * d.sign()) * q, q


def _near_ties(d: _Draw) -> _Generated:
    q = d.step()
    return d.beside(d.level(1) + 0.5 * d.sign(), q), q


def _levels(d: _Draw) -> _Generated:
    q = d.step()
    return d.beside(d.level(1), q), q


def _ends(d: _Draw) -> _Generated:
    q = np.exp2(np.round(d.uniform(-6, 7)))
    offset = d.rng.choice([-0.75, -0.25, 0.0, 0.0, 0.25, 0.5, 1.0], d.count)
    return d.sign() * (d.max_level + offset) * q, q


def _near_ends(d: _Draw) -> _Generated:
    q = d.step()
    return d.beside(d.sign() * d.max_level, q), q


def _saturated(d: _Draw) -> _Generated:
    q = d.step()
    return d.sign() * (d.max_level + d.log_uniform(0.5, 1e6)) * q, q


def _tiny_q(d: _Draw) -> _Generated:
    q = np.exp2(np.round(d.uniform(-300, -20) if d.wide else d.uniform(-38, -20)))
    q = q * d.uniform(1.0, 2.0)
    return d.inside() * q, q


def _huge_q(d: _Draw) -> _Generated:
    q = np.exp2(np.round(d.uniform(20, 280) if d.wide else d.uniform(12, 26)))
    q = q * d.uniform(1.0, 2.0)
    return d.inside() * q, q


def _subnormal_q(d: _Draw) -> _Generated:
    # Yet 1/q and z/q^2 are finite, which division and its gradient need.
    q = d.log_uniform(6e-309, 2e-308) if d.wide else d.log_uniform(4e-39, 1e-38)
    return d.uniform(-1.0, 1.0) * q, q


def _origin(d: _Draw) -> _Generated:
    q = d.step()
    small = d.sign() * d.log_uniform(1e-8, 1e-2) * q
    return np.where(np.arange(d.count) % 2 == 0, d.sign() * 0.0, small), q


def _per_element(d: _Draw) -> _Generated:
    # One z, and a step of its own for each element: mixing them up shows.
    z = np.full(d.count, d.uniform(-1, 1)[0] * min(d.max_level, 9) * 4)
    return z, d.log_uniform(2.0, 20.0)


def _trained(d: _Draw) -> _Generated:
    q = d.log_uniform(0.5, 10.0)
    return d.rng.laplace(0.0, 20.0, d.count), q


#: Generators by name.
STEP_REGIMES: dict[str, Callable[[_Draw], _Generated]] = {
    "inside": _inside,
    "ties": _ties,
    "near ties": _near_ties,
    "levels": _levels,
    "ends": _ends,
    "near ends": _near_ends,
    "saturated": _saturated,
    "tiny q": _tiny_q,
    "huge q": _huge_q,
    "subnormal q": _subnormal_q,
    "origin": _origin,
    "per element": _per_element,
    "trained": _trained,
}

# Regimes whose elements stand first and last: what vector loops and their tails get wrong.
_FIRST, _LAST = "saturated", "inside"


class StepCases(NamedTuple):
    """One batch for one call of the function under test.

    Parameters
    ----------
    points : Points
        Odd number of elements, exact in the dtype that they were made for.
    regimes : ndarray of int, shape (n,)
        Regime of each element: its position in :data:`STEP_REGIMES`.
    """

    points: Points
    regimes: NDArray[np.intp]


def make_step_cases(
    max_level: int, *, per_regime: int, dtype: np.dtype[Any], rng: np.random.Generator
) -> StepCases:
    """Draw a batch over all regimes.

    Parameters
    ----------
    max_level : int
        L.
    per_regime : int
        Elements per regime, at least 2.
    dtype : numpy.dtype
        float32 or float64; the inputs are rounded to it.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    StepCases
        Shuffled, of odd length, every regime in it.
    """
    count = per_regime | 1
    draw = _Draw(rng, count, max_level, dtype)
    codes = np.repeat(np.arange(len(STEP_REGIMES)), count)
    parts = [regime(draw) for regime in STEP_REGIMES.values()]
    z, q = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Every fifth draw is an end of its interval, or 0.
    noise = rng.uniform(-0.5, 0.5, z.size)
    noise[::5] = rng.choice([-0.5, 0.0, 0.5], noise[::5].size)
    order = rng.permutation(codes.size)
    for position, name in ((0, _FIRST), (-1, _LAST)):
        code = list(STEP_REGIMES).index(name)
        found = int(np.flatnonzero(codes[order] == code)[position])
        order[[position, found]] = order[[found, position]]
    return StepCases(round_points(dtype, z, q, noise).take(order), codes[order])


def round_points(dtype: np.dtype[Any], *arrays: Array) -> Points:
    """Inputs rounded to a dtype; a step does not become 0."""
    z, q, noise = (array.astype(dtype).astype(np.float64) for array in arrays)
    return Points(z, np.maximum(q, float(np.finfo(dtype).smallest_subnormal)), noise)
