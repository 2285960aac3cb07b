"""Named regimes of inputs, seeded: where substitutes of rounding break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.diff_jpeg.rounding_subject import RoundingPoints

__all__ = ["ROUNDING_REGIMES", "few_bits", "make_rounding_cases", "with_noise"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Draw:
    rng: np.random.Generator
    count: int
    kind: np.dtype[Any]

    @property
    def digits(self) -> int:
        """Bits of the significand."""
        return int(np.finfo(self.kind).nmant) + 1

    def sign(self) -> Array:
        return self.rng.choice([-1.0, 1.0], self.count)

    def whole(self, top: int = 40) -> Array:
        """Integers, half of them within 2."""
        near = self.rng.integers(-2, 3, self.count)
        far = self.rng.integers(-top, top + 1, self.count)
        return np.where(self.rng.random(self.count) < 0.5, near, far).astype(np.float64)

    def beside(self, x: Array, *, least: int) -> Array:
        """Floats `least` to 3 places away on either side."""
        x = x.astype(self.kind)
        steps = self.rng.integers(least, 4, self.count)
        towards = np.where(self.sign() > 0, np.inf, -np.inf).astype(self.kind)
        for away in range(1, 4):
            x = np.where(steps >= away, np.nextafter(x, towards), x)
        return x.astype(np.float64)


def _inside(d: _Draw) -> Array:
    return d.whole() + d.rng.uniform(-0.5, 0.5, d.count)


def _wholes(d: _Draw) -> Array:
    return d.whole()


def _near_wholes(d: _Draw) -> Array:
    return d.beside(d.whole(), least=1)


def _ties(d: _Draw) -> Array:
    return d.whole() + 0.5


def _near_ties(d: _Draw) -> Array:
    return d.beside(d.whole() + 0.5, least=1)


def _flanks(d: _Draw) -> Array:
    """A little off ties and integers, where steps are steepest."""
    return (
        d.whole() + d.rng.choice([0.0, 0.5], d.count) + d.sign() * d.rng.uniform(0, 0.05, d.count)
    )


def _few_digits(d: _Draw) -> Array:
    """So large that one to four bits are left for the fraction."""
    bits = d.rng.integers(1, 5, d.count)
    size = np.exp2(d.digits - bits - d.rng.uniform(0, 1, d.count))
    return np.asarray(d.sign() * np.floor(size * np.exp2(bits)) / np.exp2(bits))


def _no_fraction(d: _Draw) -> Array:
    """Integers from 2^23 (2^52) on, odd ones too: a sum with 1/2 rounds there."""
    low = np.exp2(d.digits - 1)
    return np.asarray(d.sign() * (low + d.rng.integers(0, 4 * int(low), d.count)))


def _huge(d: _Draw) -> Array:
    return np.asarray(d.sign() * np.exp2(d.rng.uniform(d.digits + 2, np.log2(_large(d.kind)))))


def _large(kind: np.dtype[Any]) -> float:
    return float(np.finfo(kind).max) / 8  # twice of it is finite


def _tiny(d: _Draw) -> Array:
    low = float(np.log2(np.finfo(d.kind).smallest_subnormal))
    return np.asarray(d.sign() * np.exp2(d.rng.uniform(low, -4, d.count)))


def _zero(d: _Draw) -> Array:
    return d.sign() * 0.0


#: Generators by name.
ROUNDING_REGIMES: dict[str, Callable[[_Draw], Array]] = {
    "inside": _inside,
    "wholes": _wholes,
    "near wholes": _near_wholes,
    "ties": _ties,
    "near ties": _near_ties,
    "flanks": _flanks,
    "few digits": _few_digits,
    "no fraction": _no_fraction,
    "huge": _huge,
    "tiny": _tiny,
    "zero": _zero,
}

# Always there: the number below 1/2, to which 1/2 is added with a rounding to 1, its mirror, and
# integers to which adding or subtracting 1/2 rounds.
_ALWAYS = {
    "near ties": {"float32": [0.5 - 2**-25, -0.5 + 2**-25], "float64": [0.5 - 2**-54]},
    "no fraction": {
        "float32": [2.0**23, 2.0**23 + 1, -(2.0**23) - 1, 2.0**24, 2.0**50],
        "float64": [2.0**52, 2.0**52 + 1, -(2.0**52) - 1, 2.0**53],
    },
}


def make_rounding_cases(
    *, per_regime: int, dtype: np.dtype[Any], rng: np.random.Generator
) -> tuple[RoundingPoints, NDArray[np.intp]]:
    """Draw a batch over all regimes.

    Parameters
    ----------
    per_regime : int
        Elements per regime, at least 5.
    dtype : numpy.dtype
        float32 or float64; the inputs are rounded to it.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    points : RoundingPoints
        Shuffled, of odd length.
    regimes : ndarray of int, shape (n,)
        Position of each element's regime in :data:`ROUNDING_REGIMES`.
    """
    draw = _Draw(rng, per_regime | 1, dtype)
    parts = []
    for name, regime in ROUNDING_REGIMES.items():
        x = np.array(regime(draw))
        fixed = _ALWAYS.get(name, {}).get(dtype.name, [])
        x[: len(fixed)] = fixed
        parts.append(x)
    codes = np.repeat(np.arange(len(parts)), draw.count)
    order = rng.permutation(codes.size)
    points = with_noise(np.concatenate(parts), dtype, rng)
    return points.take(order), codes[order]


def with_noise(x: Array, dtype: np.dtype[Any], rng: np.random.Generator) -> RoundingPoints:
    """The numbers in `dtype`, with draws as generators make them; every fifth is -1/2 or 0."""
    scale = 2.0 ** (np.finfo(dtype).nmant + 1)
    noise = np.floor(rng.random(x.size) * scale) / scale - 0.5
    noise[::5] = rng.choice([-0.5, 0.0], noise[::5].size)
    return RoundingPoints(x.astype(dtype).astype(np.float64), noise)


def few_bits(rng: np.random.Generator, count: int, *, top: int = 200) -> tuple[Array, Array]:
    """Integers and offsets in (-1/2, 1/2), multiples of 1/1024: their sums are exact anywhere."""
    n = rng.integers(-top, top + 1, count).astype(np.float64)
    return n, rng.integers(-511, 512, count) / 1024
