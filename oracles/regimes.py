"""Named regimes of inputs, seeded: where soft quantizers break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.subject import Inputs

__all__ = ["REGIMES", "Cases", "make_cases"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cases:
    """One batch for one call of the function under test.

    Parameters
    ----------
    max_level : int
        L.
    inputs : Inputs
        Odd number of elements; the first and the last are adversarial. float64 arrays whose
        entries are exact in the dtype that they were made for.
    regimes : ndarray of int, shape (n,)
        Regime of each element: its position in :data:`REGIMES`.
    """

    max_level: int
    inputs: Inputs
    regimes: NDArray[np.intp]


@dataclass(frozen=True)
class _Draw:
    """What a regime draws from."""

    rng: np.random.Generator
    count: int
    max_level: int
    wide: bool  # float64: a wider range of exponents

    def uniform(self, low: float, high: float) -> Array:
        return self.rng.uniform(low, high, self.count)

    def log_uniform(self, low: float, high: float) -> Array:
        return np.exp(self.uniform(np.log(low), np.log(high)))

    def sign(self) -> Array:
        return self.rng.choice([-1.0, 1.0], self.count)

    def level(self) -> Array:
        """Integer levels: half of them small, where a softmax is most accurate."""
        near = self.rng.integers(-min(3, self.max_level), min(3, self.max_level) + 1, self.count)
        anywhere = self.rng.integers(-self.max_level, self.max_level + 1, self.count)
        chosen = np.where(self.rng.random(self.count) < 0.5, near, anywhere)
        return chosen.astype(np.float64)

    def inside(self) -> Array:
        """Ratios z/q inside the range."""
        return np.clip(self.level() + self.uniform(-0.5, 0.5), -self.max_level, self.max_level)

    def step(self) -> Array:
        """Steps as in trained tables: 1e-2 to 255, every third a power of two."""
        free = self.log_uniform(1e-2, 255.0)
        return np.where(np.arange(self.count) % 3 == 0, _power_of_two(free), free)


_Generated = tuple[Array, Array, Array]


def _power_of_two(x: Array) -> Array:
    return np.exp2(np.round(np.log2(x)))


def _from_ratio(c: Array, h: Array, q: Array) -> _Generated:
    return c * q, q, (h / q) / q


def _soft(d: _Draw) -> _Generated:
    return _from_ratio(d.inside(), d.log_uniform(0.05, 1.0), d.step())


def _flat(d: _Draw) -> _Generated:
    # So soft that the ends of the index set are felt everywhere.
    h = d.log_uniform(1e-2, 10.0) / (d.max_level + 1) ** 2
    return _from_ratio(d.inside(), h, d.step())


def _crossover(d: _Draw) -> _Generated:
    # Where constant-cost forms change from Poisson's sum to the direct one.
    h = np.pi * np.exp(d.uniform(-0.7, 0.7) * d.rng.choice([1e-6, 1e-3, 1.0], d.count))
    return _from_ratio(d.inside(), h, d.step())


def _hard(d: _Draw) -> _Generated:
    return _from_ratio(d.inside(), d.log_uniform(4.0, 1e3), d.step())


def _very_hard(d: _Draw) -> _Generated:
    return _from_ratio(d.inside(), d.log_uniform(1e3, 1e8), d.step())


def _ties(d: _Draw) -> _Generated:
    # Exact in any binary format: q a power of two, or a small integer.
    q = _power_of_two(d.log_uniform(1e-2, 255.0))
    whole = d.rng.integers(1, 16, d.count).astype(np.float64)
    q = np.where(np.arange(d.count) % 4 == 3, whole, q)
    c = np.clip(d.level(), -d.max_level, d.max_level - 1) + 0.5
    # Only a soft window shows on which side it was put; only a hard one shows its conditioning.
    h = np.where(np.arange(d.count) % 2 == 0, d.log_uniform(0.1, 1.5), d.log_uniform(1.5, 1e6))
    return _from_ratio(c, h, q)


def _near_ties(d: _Draw) -> _Generated:
    h = d.log_uniform(4.0, 1e5)
    c = np.clip(d.level(), -d.max_level, d.max_level - 1) + 0.5 + d.uniform(-4, 4) / h
    return _from_ratio(c, h, d.step())


def _ends(d: _Draw) -> _Generated:
    c = d.sign() * (d.max_level + d.uniform(-1.0, 1.0))
    exactly = d.rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], d.count) + d.max_level
    c = np.where(np.arange(d.count) % 3 == 0, np.sign(c) * exactly, c)
    return _from_ratio(c, d.log_uniform(0.05, 1e3), d.step())


def _saturated(d: _Draw) -> _Generated:
    c = d.sign() * (d.max_level + d.log_uniform(0.5, 1e6))
    # Every third one hard, every third so soft that the weights still differ.
    h = d.log_uniform(1e-2, 1e3)
    beyond = np.abs(c) - d.max_level
    h = np.where(np.arange(d.count) % 3 == 0, d.log_uniform(1e-2, 10.0) / beyond, h)
    return _from_ratio(c, h, d.step())


def _tiny_q(d: _Draw) -> _Generated:
    # q^3 stays a normal number, as d/dalpha needs.
    q = np.exp2(np.round(d.uniform(-300, -20) if d.wide else d.uniform(-38, -20)))
    return _from_ratio(d.inside(), d.log_uniform(0.05, 1e3), q * d.uniform(1.0, 2.0))


def _huge_q(d: _Draw) -> _Generated:
    q = np.exp2(np.round(d.uniform(20, 280) if d.wide else d.uniform(12, 26)))
    return _from_ratio(d.inside(), d.log_uniform(0.05, 1e3), q * d.uniform(1.0, 2.0))


def _subnormal_q(d: _Draw) -> _Generated:
    # h underflows: every level is equally likely, and nothing may become inf * 0. Yet 1/q and
    # z/q^2 are finite, which division and its gradient need.
    q = d.log_uniform(6e-309, 2e-308) if d.wide else d.log_uniform(4e-39, 1e-38)
    return d.uniform(-1.0, 1.0) * q, q, d.log_uniform(1e-3, 1e3)


def _origin(d: _Draw) -> _Generated:
    z, q, alpha = _from_ratio(
        d.sign() * d.log_uniform(1e-8, 1e-2), d.log_uniform(0.05, 50), d.step()
    )
    return np.where(np.arange(d.count) % 2 == 0, d.sign() * 0.0, z), q, alpha


def _per_element(d: _Draw) -> _Generated:
    # One z and q, and an alpha of its own for each element: mixing them up shows.
    ones = np.ones(d.count)
    c = d.uniform(-1, 1)[0] * min(d.max_level, 9) * ones
    return _from_ratio(c, d.log_uniform(0.2, 20.0), d.log_uniform(0.1, 10)[0] * ones)


def _trained(d: _Draw) -> _Generated:
    # The published settings: alpha = 5 with small q, and h = 0.7.
    q = d.log_uniform(0.5, 10.0)
    alpha = np.where(np.arange(d.count) % 2 == 0, 5.0, (0.7 / q) / q)
    return np.clip(d.rng.laplace(0.0, 20.0, d.count) / q, -d.max_level, d.max_level) * q, q, alpha


#: Generators by name.
REGIMES: dict[str, Callable[[_Draw], _Generated]] = {
    "soft": _soft,
    "flat": _flat,
    "crossover": _crossover,
    "hard": _hard,
    "very hard": _very_hard,
    "ties": _ties,
    "near ties": _near_ties,
    "ends": _ends,
    "saturated": _saturated,
    "tiny q": _tiny_q,
    "huge q": _huge_q,
    "subnormal q": _subnormal_q,
    "origin": _origin,
    "per element": _per_element,
    "trained": _trained,
}

# Regimes whose elements stand first and last: what vector loops and their tails get wrong.
_FIRST, _LAST = "saturated", "soft"


def make_cases(max_level: int, *, per_regime: int, dtype: Any, rng: np.random.Generator) -> Cases:
    """Draw a batch over all regimes.

    Parameters
    ----------
    max_level : int
        L.
    per_regime : int
        Elements per regime, at least 2.
    dtype : dtype-like
        float32 or float64; the inputs are rounded to it.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    Cases
        Shuffled, of odd length, every regime in it.
    """
    kind = np.dtype(dtype)
    count = per_regime if (per_regime * len(REGIMES)) % 2 else per_regime + 1
    draw = _Draw(rng, count, max_level, kind == np.float64)
    codes = np.repeat(np.arange(len(REGIMES)), count)
    parts = [regime(draw) for regime in REGIMES.values()]
    columns = [np.concatenate(column).astype(kind) for column in zip(*parts, strict=True)]
    # Rounding must not turn a step into 0.
    smallest = np.finfo(kind).smallest_subnormal
    columns[1:] = [np.maximum(column, smallest) for column in columns[1:]]
    order = rng.permutation(codes.size)
    for position, regime_name in ((0, _FIRST), (-1, _LAST)):
        code = list(REGIMES).index(regime_name)
        found = int(np.flatnonzero(codes[order] == code)[position])
        order[[position, found]] = order[[found, position]]
    inputs = Inputs(*(column[order].astype(np.float64) for column in columns))
    return Cases(max_level, inputs, codes[order])
