"""More faulty soft quantizers: clamps, mixed-up axes, wrong tables, gradients of something else.

The first table of faults is :mod:`oracles.mutants.quantizer`. These were planted later, to try the
judge; one survived at first (h capped at 1e4) and led to a better tolerance at ties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.mutants.quantizer_steps import Arrays, Faulty
from oracles.mutants.sound import rounded_reference
from oracles.mutants.table import BOTH, FULL, MASKED, Mutant
from oracles.subject import QuantizerFunction

__all__ = ["MORE_MUTANTS"]


class _ForgetsStep(Faulty):
    """Levels are integers, not multiples of q."""

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        return super().__call__(z, np.ones_like(q), alpha, max_level)


class _SquaredAlpha(Faulty):
    """The exponent has alpha^2."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha**2 * q * q


class _Temperature(Faulty):
    """alpha taken for a temperature: the exponent has 1 / alpha."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return q * q / alpha


class _HardnessCapped(Faulty):
    """h is capped at 1e4, lest the exponential underflow."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return np.minimum(alpha * q * q, 1e4)


class _HardnessFloored(Faulty):
    """h is at least 0.1."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return np.maximum(alpha * q * q, 0.1)


class _ZeroTwice(Faulty):
    """Level 0 is counted twice: from the sums over i <= 0 and i >= 0."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        first, count = super().support(r, max_level)
        self.levels = first[:, None] + np.arange(count)
        return first, count

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return super().weights(f, h, k) * np.where(self.levels == 0, 2.0, 1.0)


class _OnlyPositive(Faulty):
    """Levels 0..2L: an unsigned index without its offset."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.floor(c + 0.5), 0, 2 * max_level)

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        if self.window is None:
            return np.zeros_like(r), 2 * max_level + 1
        return np.clip(r - self.window // 2, 0, 2 * max_level - self.window + 1), self.window


class _FixedTable(Faulty):
    """The table of levels has 255 entries, whatever L is."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return super().nearest(c, min(max_level, 127))

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        return super().support(r, min(max_level, 127))


class _DenominatorEps(Faulty):
    """1e-3 is added to the sum of the weights."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        w = super().weights(f, h, k)
        return w * (w.sum(1, keepdims=True) / (w.sum(1, keepdims=True) + 1e-3))

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, *rest = super().combine(q, r, f, h, m, v, s)
        return value / (1 + 1e-3), *rest


class _ClippedGradient(Faulty):
    """dz never exceeds 1."""

    def combine(self, *parts: Any) -> Any:
        value, dz, dq, dalpha = super().combine(*parts)
        return value, np.minimum(dz, 1.0), dq, dalpha


class _UncentredVariance(Faulty):
    """The variance is taken about the nearest level, not about the mean."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        return super().combine(q, r, f, h, m, v + m * m, s)


class _ThirdAboutNearest(Faulty):
    """The third moment is taken about the nearest level."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        return super().combine(q, r, f, h, m, v, s + 3 * m * v + m**3)


class _SignOfThird(Faulty):
    """The third moment enters d/dq with the other sign."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, _, dalpha = super().combine(q, r, f, h, m, v, s)
        return value, dz, r + m - 2 * h * (-s + (r + 2 * m - f) * v), dalpha


class _DividedByStep(Faulty):
    """d/dq divided by q once more."""

    def combine(self, q: Any, *parts: Any) -> Any:
        value, dz, dq, dalpha = super().combine(q, *parts)
        return value, dz, dq / q, dalpha


class _AlphaPartialOfMean(Faulty):
    """d/dalpha with 2 E instead of 2 (E - z)."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, dq, _ = super().combine(q, r, f, h, m, v, s)
        return value, dz, dq, -(q**3) * (s + 2 * (r + m) * v)


class _AlphaPartialHalf(Faulty):
    """d/dalpha lacks the factor 2 of its second term."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, dq, _ = super().combine(q, r, f, h, m, v, s)
        return value, dz, dq, -(q**3) * (s + (m - f) * v)


class _HardForward(Faulty):
    """The value of the hard quantizer with the gradients of the soft one."""

    def combine(self, q: Any, r: Any, *parts: Any) -> Any:
        _, *rest = super().combine(q, r, *parts)
        return q * r, *rest


class _Swapped(Faulty):
    """dz and dq change places."""

    def combine(self, *parts: Any) -> Any:
        value, dz, dq, dalpha = super().combine(*parts)
        return value, dq, dz, dalpha


class _ClampsCoefficient(Faulty):
    """z is clamped to [-L q, L q] first."""

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        return super().__call__(np.clip(z, -max_level * q, max_level * q), q, alpha, max_level)


class _RoundsCoefficient(Faulty):
    """z is rounded to a multiple of 1/64 first: a fixed-point input."""

    def enter(self, a: Any) -> Any:
        return np.round(super().enter(a) * 64) / 64 if self._first(a) else super().enter(a)

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        self.coefficient = z
        return super().__call__(z, q, alpha, max_level)

    def _first(self, a: Any) -> bool:
        return a is self.coefficient


class _Int8Levels(Faulty):
    """The nearest level is kept in a signed byte."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return super().nearest(c, max_level).astype(np.int16).astype(np.int8).astype(np.float64)


class _CoarseSteps(Faulty):
    """q is kept in float16."""

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        return super().__call__(z, q.astype(np.float16).astype(q.dtype), alpha, max_level)


def _clamped(low: float, high: float) -> Callable[[int | None], QuantizerFunction]:
    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)
        return lambda z, q, alpha, level: base(z, np.clip(q, low, high), alpha, level)

    return factory


def _shifted_step(offset: float) -> Callable[[int | None], QuantizerFunction]:
    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)
        return lambda z, q, alpha, level: base(z, q + q.dtype.type(offset), alpha, level)

    return factory


def _magnitude(window: int | None) -> QuantizerFunction:
    base = rounded_reference(window)
    return lambda z, q, alpha, level: base(abs(z), q, alpha, level)


def _mean_reduced(window: int | None) -> QuantizerFunction:
    base = rounded_reference(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, *partials = base(z, q, alpha, max_level)
        return value, *(part / max(part.size, 1) for part in partials)

    return fn


def _half_output(window: int | None) -> QuantizerFunction:
    base = rounded_reference(window)

    def fn(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return tuple(part.astype(np.float16).astype(part.dtype) for part in base(*args))

    return fn


def _tanh_stairs(window: int | None) -> QuantizerFunction:
    """A sum of sigmoids at the half-way points: another soft staircase with the same ends."""
    base = rounded_reference(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        _, *partials = base(z, q, alpha, max_level)
        c, h = (z / q).astype(np.float64), (alpha * q * q).astype(np.float64)
        r = np.clip(np.floor(c), -max_level, max_level - 1)
        with np.errstate(all="ignore"):
            value = q * (r + 1 / (1 + np.exp(-3 * h * (c - r - 0.5))))
        return value.astype(z.dtype), *partials

    return fn


def _cached_table(window: int | None) -> QuantizerFunction:
    """Alpha comes from a table made at the first call with that many elements."""
    base = rounded_reference(window)
    tables: dict[int, Any] = {}

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        kept = tables.setdefault(alpha.size, alpha.copy())
        return base(z, q, kept, max_level)

    return fn


def _difference_quotient(window: int | None) -> QuantizerFunction:
    """Dz by a forward difference of float32 values."""
    base = rounded_reference(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, _, *rest = base(z, q, alpha, max_level)
        step = q * z.dtype.type(1e-3)
        ahead = base(z + step, q, alpha, max_level)[0]
        with np.errstate(all="ignore"):
            return value, (ahead - value) / step, *rest

    return fn


def _partials_of(other: int | None) -> Callable[[int | None], QuantizerFunction]:
    """The value of the support asked for, the partials of another."""

    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)

        def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
            fits = other is None or other <= 2 * max_level + 1
            wrong = rounded_reference(other if fits else None)(z, q, alpha, max_level)
            return base(z, q, alpha, max_level)[0], *wrong[1:]

        return fn

    return factory


#: More faults by name.
MORE_MUTANTS: dict[str, Mutant] = {
    "levels not scaled by q": Mutant(_ForgetsStep, BOTH, 2),
    "alpha squared": Mutant(_SquaredAlpha, BOTH, 2),
    "alpha as a temperature": Mutant(_Temperature, BOTH, 2),
    "h capped at 1e4": Mutant(_HardnessCapped, BOTH, 2),
    "h at least 0.1": Mutant(_HardnessFloored, BOTH, 2),
    "level 0 counted twice": Mutant(_ZeroTwice, BOTH, 2),
    "levels 0..2L": Mutant(_OnlyPositive, BOTH, 2),
    "255 levels whatever L is": Mutant(_FixedTable, BOTH, 2),
    "1e-3 added to the denominator": Mutant(_DenominatorEps, BOTH, 2),
    "dz clipped at 1": Mutant(_ClippedGradient, BOTH, 2),
    "variance about the nearest level": Mutant(_UncentredVariance, BOTH, 2),
    "third moment about the nearest level": Mutant(_ThirdAboutNearest, BOTH, 2),
    "sign of the third moment in dq": Mutant(_SignOfThird, BOTH, 2),
    "dq divided by q once more": Mutant(_DividedByStep, BOTH, 2),
    "dalpha with 2 E": Mutant(_AlphaPartialOfMean, BOTH, 2),
    "dalpha without its second factor 2": Mutant(_AlphaPartialHalf, BOTH, 2),
    "hard value, soft gradients": Mutant(_HardForward, BOTH, 2),
    "dz and dq swapped": Mutant(_Swapped, BOTH, 2),
    "z clamped to the range": Mutant(_ClampsCoefficient, BOTH, 2),
    "z in steps of 1/64": Mutant(_RoundsCoefficient, BOTH, 2),
    "nearest level in a signed byte": Mutant(_Int8Levels, BOTH, 2),
    "q in float16": Mutant(_CoarseSteps, BOTH, 2),
    "q clamped to [1e-5, inf)": Mutant(_clamped(1e-5, np.inf), BOTH, 2),
    "q clamped to (0, 255]": Mutant(_clamped(0.0, 255.0), BOTH, 2),
    "1e-6 added to q": Mutant(_shifted_step(1e-6), BOTH, 2),
    "sign of z lost": Mutant(_magnitude, BOTH, 2),
    "partials divided by the batch size": Mutant(_mean_reduced, BOTH, 2),
    "float16 results": Mutant(_half_output, BOTH, 2),
    "sigmoids instead of the softmax": Mutant(_tanh_stairs, BOTH, 2),
    "alpha of the first call": Mutant(_cached_table, BOTH, 2),
    "dz by a difference quotient": Mutant(_difference_quotient, BOTH, 2),
    "partials of window 3": Mutant(_partials_of(3), MASKED, 2),
    "partials of the full space": Mutant(_partials_of(None), MASKED, 2),
    "partials of window 5": Mutant(_partials_of(5), FULL, 2),
}
