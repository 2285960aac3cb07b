"""Faults planted in one step of the computation: each class overrides one of :class:`Faulty`."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = tuple[Any, Any, Any, Any]


class Faulty:
    """A correct float64 quantizer in overridable steps, rounded at the end."""

    def __init__(self, window: int | None) -> None:
        self.window = window

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        kind = z.dtype
        z, q, alpha = (self.enter(a) for a in (z, q, alpha))
        with np.errstate(all="ignore"):
            r = self.nearest(z / q, max_level)
            first, count = self.support(r, max_level)
            k = (first - r)[:, None] + np.arange(count)
            f, h = z / q - r, self.hardness(q, alpha)
            p = self.weights(f[:, None], h[:, None], k)
            p = p / p.sum(1, keepdims=True)
            m = (p * k).sum(1)
            x = k - m[:, None]
            result = self.combine(q, r, f, h, m, (p * x**2).sum(1), (p * x**3).sum(1))
        return tuple(np.asarray(part).astype(kind) for part in result)  # type: ignore[return-value]

    def enter(self, a: Any) -> Any:
        return a.astype(np.float64)

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.floor(c + 0.5), -max_level, max_level)

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        if self.window is None:
            return np.full_like(r, -max_level), 2 * max_level + 1
        first = np.clip(r - self.window // 2, -max_level, max_level - self.window + 1)
        return first, self.window

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha * q * q

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(h * k * (2 * f - k))

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        return (
            q * (r + m),
            2 * h * v,
            r + m - 2 * h * (s + (r + 2 * m - f) * v),
            -(q**3) * (s + 2 * (m - f) * v),
        )


class HalfScale(Faulty):
    """The exponent lacks a factor: exp(-alpha d^2 / 2), as in a normal density."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha * q * q / 2


class AlphaTimesQ(Faulty):
    """h = alpha q instead of alpha q^2."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha * q


class AbsoluteDistance(Faulty):
    """Exponent linear in the distance."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(-h * (abs(f - k) - abs(f)))


class NoMaximum(Faulty):
    """No subtraction of the largest exponent: 0 / 0 far outside."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(-h * (f - k) ** 2)


class FarCutoff(Faulty):
    """Full space, but levels further than two are dropped: a window passed off as the whole."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return super().weights(f, h, k) * (abs(k) <= 2)


class MissingTop(Faulty):
    """Level L is not among the levels (range(-L, L))."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        return np.full_like(r, -max_level), 2 * max_level


class OneLevelMore(Faulty):
    """Levels -L - 1 .. L + 1."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return super().nearest(c, max_level + 1)

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        return super().support(r, max_level + 1)


class TwosComplement(Faulty):
    """Levels -L - 1 .. L, as a signed integer has them."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        return np.full_like(r, -max_level - 1), 2 * max_level + 2


class HalfToEven(Faulty):
    """Ties of the window to even."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.round(c), -max_level, max_level)


class HalfDown(Faulty):
    """Ties of the window down."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.ceil(c - 0.5), -max_level, max_level)


class AwayFromZero(Faulty):
    """Ties of the window away from zero."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.sign(c) * np.floor(abs(c) + 0.5), -max_level, max_level)


class Truncates(Faulty):
    """The window is about floor(z / q)."""

    def nearest(self, c: Any, max_level: int) -> Any:
        return np.clip(np.floor(c), -max_level, max_level)


class ShiftedWindow(Faulty):
    """The window starts one level late."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        assert self.window is not None
        first = np.clip(r - self.window // 2 + 1, -max_level, max_level - self.window + 1)
        return first, self.window


class WideWindow(Faulty):
    """Two levels too many, where they fit."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        assert self.window is not None
        count = min(self.window + 2, 2 * max_level + 1)
        return np.clip(r - count // 2, -max_level, max_level - count + 1), count


class UnclampedWindow(Faulty):
    """The window leaves the index set at its ends."""

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        assert self.window is not None
        return r - self.window // 2, self.window


class CutWindow(Faulty):
    """At the ends the window is cut off instead of pushed back."""

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Arrays:
        self.level = max_level
        return super().__call__(z, q, alpha, max_level)

    def nearest(self, c: Any, max_level: int) -> Any:
        self.r = super().nearest(c, max_level)
        return self.r

    def support(self, r: Any, max_level: int) -> tuple[Any, int]:
        assert self.window is not None
        return r - self.window // 2, self.window

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return super().weights(f, h, k) * (abs(self.r[:, None] + k) <= self.level)


class WeightedWindow(Faulty):
    """The outer levels of the window count half."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        w = super().weights(f, h, k)
        w[:, [0, -1]] *= 0.5
        return w


class Bfloat16(Faulty):
    """Inputs lose all but 8 bits."""

    def enter(self, a: Any) -> Any:
        bits = a.astype(np.float32).view(np.uint32)
        return ((bits + 0x8000) & 0xFFFF0000).view(np.float32).astype(np.float64)


class Float16Weights(Faulty):
    """Weights are kept in float16."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return super().weights(f, h, k).astype(np.float16).astype(np.float64)


class TableExp(Faulty):
    """An exponential from a table: off by 1e-4 of itself."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        x = h * k * (2 * f - k)
        return np.exp(np.round(x * 4096) / 4096)


class HalfDz(Faulty):
    """d/dz lacks its factor 2."""

    def combine(self, *parts: Any) -> Any:
        value, dz, dq, dalpha = super().combine(*parts)
        return value, dz / 2, dq, dalpha


class NoDirectTerm(Faulty):
    """d/dq lacks E / q: levels taken as constants."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, dq, dalpha = super().combine(q, r, f, h, m, v, s)
        return value, dz, dq - (r + m), dalpha


class SquaredInDq(Faulty):
    """d/dq has (E - z) where it should have (2 E - z)."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, _, dalpha = super().combine(q, r, f, h, m, v, s)
        return value, dz, r + m - 2 * h * (s + (m - f) * v), dalpha


class NoThirdMoment(Faulty):
    """The third moment is forgotten in d/dalpha."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, dz, dq, _ = super().combine(q, r, f, h, m, v, s)
        return value, dz, dq, -(q**3) * 2 * (m - f) * v


class WrongSignDalpha(Faulty):
    """d/dalpha with the other sign."""

    def combine(self, *parts: Any) -> Any:
        value, dz, dq, dalpha = super().combine(*parts)
        return value, dz, dq, -dalpha


class StraightThrough(Faulty):
    """Gradients of the straight-through estimator."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, *_ = super().combine(q, r, f, h, m, v, s)
        return value, np.ones_like(q), m - f, np.zeros_like(q)


class HardGradients(Faulty):
    """Gradients of the hard quantizer: the level for q, nothing else."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        value, *_ = super().combine(q, r, f, h, m, v, s)
        return value, np.zeros_like(q), r, np.zeros_like(q)


class HardQuantizer(Faulty):
    """The hard quantizer itself."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        return q * r, np.zeros_like(q), r, np.zeros_like(q)


class BiasedVariance(Faulty):
    """The variance is divided by n - 1 of 2^14 samples: off by 6e-5."""

    def combine(self, q: Any, r: Any, f: Any, h: Any, m: Any, v: Any, s: Any) -> Any:
        return super().combine(q, r, f, h, m, v * (1 + 2.0**-14), s)
