"""Faulty CPMFs of realistic kinds: every one has to be rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.cpmf.subject import CpmfFunction
from oracles.mutants.cpmf_sound import absolute, rounded_cpmf
from oracles.mutants.sound import _levels as support_offsets
from oracles.mutants.table import BOTH, FULL, MASKED, Mutant

__all__ = ["CPMF_MUTANTS"]

Factory = Callable[[int | None], CpmfFunction]
# Levels and probabilities in, the faulty ones out.
Change = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


def tampered(change: Change) -> Factory:
    """Plant a fault in the results of a correct implementation."""

    def factory(window: int | None) -> CpmfFunction:
        base = rounded_cpmf(window)

        def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
            levels, p = base(z, q, alpha, max_level)
            return change(z, q, alpha, levels, p)

        return fn

    return factory


class Faulty:
    """A correct float64 CPMF in overridable steps, rounded at the end."""

    def __init__(self, window: int | None) -> None:
        self.window = window

    def __call__(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        kind = z.dtype
        z, q, alpha = (a.astype(np.float64) for a in (z, q, alpha))
        nearest, k = self.support(z / q, max_level)
        f = z / q - nearest
        p = self.weights(f[:, None], self.hardness(q, alpha)[:, None], k)
        return nearest[:, None] + k, self.normalize(p).astype(kind)

    def support(self, c: Any, max_level: int) -> tuple[Any, Any]:
        return support_offsets(c, max_level, self.window)

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha * q * q

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(h * k * (2 * f - k))

    def normalize(self, w: Any) -> Any:
        return w / w.sum(1, keepdims=True)


class Unnormalized(Faulty):
    """Weights relative to the nearest level, not divided by their sum."""

    def normalize(self, w: Any) -> Any:
        return w


class BatchSum(Faulty):
    """Softmax over the batch instead of the levels."""

    def normalize(self, w: Any) -> Any:
        return w / w.sum(0, keepdims=True)


class TotalSum(Faulty):
    """One sum for all elements."""

    def normalize(self, w: Any) -> Any:
        return w / w.sum()


class GuardedSum(Faulty):
    """Sum with a guard against division by zero that is too large."""

    def normalize(self, w: Any) -> Any:
        return w / (w.sum(1, keepdims=True) + 1e-4)


class LargestAsSum(Faulty):
    """Divided by the largest weight."""

    def normalize(self, w: Any) -> Any:
        return w / w.max(1, keepdims=True, initial=1e-300)


class HalfTemperature(Faulty):
    """exp(-alpha d^2 / 2), as in a normal density."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha * q * q / 2


class NoStep(Faulty):
    """Temperature in units of the level: q is forgotten."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return alpha


class InverseTemperature(Faulty):
    """Alpha taken for a temperature."""

    def hardness(self, q: Any, alpha: Any) -> Any:
        return q * q / alpha


class LinearDistance(Faulty):
    """Exponent linear in the distance."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(-h * (abs(f - k) - abs(f)))


class SymmetricWeights(Faulty):
    """Weights about the nearest level instead of the coefficient."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(-h * k * k)


class NoMaximum(Faulty):
    """No subtraction of the largest exponent: 0 / 0 far outside."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.exp(-h * (f - k) ** 2)


class ClippedExponent(Faulty):
    """Exponents below -20 are clipped: a floor under every probability."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(np.maximum(h * k * (2 * f - k), -20.0))


class CutTails(Faulty):
    """Weights below 1e-6 are dropped."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        w = super().weights(f, h, k)
        return w * (w > 1e-6)


class HalfWeights(Faulty):
    """Weights are kept in float16."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return super().weights(f, h, k).astype(np.float16).astype(np.float64)


class CoarseExp(Faulty):
    """An exponential from a table: off by 1e-4 of itself."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        return np.exp(np.round(h * k * (2 * f - k) * 4096) / 4096)


class UniformEnds(Faulty):
    """Outer levels of the support count half."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        w = super().weights(f, h, k)
        w[:, [0, -1]] *= 0.5
        return w


class TwosComplement(Faulty):
    """Levels -L - 1 .. L - 1: as many, but one too low."""

    def support(self, c: Any, max_level: int) -> tuple[Any, Any]:
        nearest, k = super().support(c, max_level)
        return nearest, k - 1


class MissingTop(Faulty):
    """Level L is not reached (range(-L, L)): its place stays empty."""

    def weights(self, f: Any, h: Any, k: Any) -> Any:
        w = super().weights(f, h, k)
        w[:, -1] = np.where(k[:, -1] == 0, w[:, -1], 0.0)
        return w


class Unclamped(Faulty):
    """The window leaves the index set at its ends."""

    def support(self, c: Any, max_level: int) -> tuple[Any, Any]:
        assert self.window is not None
        nearest = np.clip(np.floor(c + 0.5), -max_level, max_level)
        offsets = np.arange(self.window) - self.window // 2.0
        return nearest, np.broadcast_to(offsets, (c.size, self.window))


class HalfToEven(Faulty):
    """Ties of the window to even."""

    def support(self, c: Any, max_level: int) -> tuple[Any, Any]:
        assert self.window is not None
        nearest = np.clip(np.round(c), -max_level, max_level)
        first = np.clip(nearest - self.window // 2, -max_level, max_level - self.window + 1)
        return nearest, (first - nearest)[:, None] + np.arange(self.window)


class Late(Faulty):
    """The window starts one level late."""

    def support(self, c: Any, max_level: int) -> tuple[Any, Any]:
        assert self.window is not None
        nearest = np.clip(np.floor(c + 0.5), -max_level, max_level)
        first = np.clip(nearest - self.window // 2 + 1, -max_level, max_level - self.window + 1)
        return nearest, (first - nearest)[:, None] + np.arange(self.window)


def _off_by_one(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return levels + 1, p


def _from_zero(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return np.broadcast_to(np.arange(levels.shape[1]), levels.shape).copy(), p


def _descending(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return levels[:, ::-1].copy(), p[:, ::-1].copy()


def _swapped(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return levels[:, ::-1].copy(), p


def _times_q(_z: Any, q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return levels * q[:, None], p


def _log(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    with np.errstate(all="ignore"):
        return levels, np.log(p)


def _saturated_nan(z: Any, q: Any, _a: Any, levels: Any, p: Any) -> Any:
    far = abs(z / q) > 2 * abs(levels).max(initial=0)
    return levels, np.where(far[:, None], p.dtype.type(np.nan), p)


def _last_unwritten(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    fresh = np.empty_like(p)
    fresh[:-1] = p[:-1]
    return levels, fresh


def _stale_column(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    # A block of 1024 elements is written, and no more.
    fresh = np.empty_like(p)
    fresh[:1024] = p[:1024]
    return levels, fresh


def _percent(_z: Any, _q: Any, _a: Any, levels: Any, p: Any) -> Any:
    return levels, (p * p.dtype.type(1 + 2e-5)).astype(p.dtype)


def first_alpha(window: int | None) -> CpmfFunction:
    """Alpha of element 0 serves all."""
    base = rounded_cpmf(window)
    return lambda z, q, alpha, level: base(z, q, np.resize(alpha[:1], alpha.shape), level)


def jitter(window: int | None) -> CpmfFunction:
    """Another last bit on every call: a race."""
    base = rounded_cpmf(window)
    rng = np.random.default_rng(0)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        levels, p = base(z, q, alpha, max_level)
        up = rng.random(p.shape) < 0.5
        return levels, np.where(up, np.nextafter(p, p.dtype.type(1)), p)

    return fn


def full_as_window(window: int | None) -> CpmfFunction:
    """Probabilities of all levels, cut to the window and not normalized again."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        levels, _ = rounded_cpmf(window)(z, q, alpha, max_level)
        _, p = rounded_cpmf(None)(z, q, alpha, max_level)
        return levels, np.take_along_axis(p, levels + max_level, axis=1)

    return fn


def fails_on_empty(window: int | None) -> CpmfFunction:
    """Asks for the largest alpha of none."""
    base = rounded_cpmf(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        float(np.max(alpha))
        return base(z, q, alpha, max_level)

    return fn


def transposed(window: int | None) -> CpmfFunction:
    """Levels first, elements second."""
    base = rounded_cpmf(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        levels, p = base(z, q, alpha, max_level)
        return np.ascontiguousarray(levels.T), np.ascontiguousarray(p.T)

    return fn


CPMF_MUTANTS: dict[str, Mutant] = {
    "not normalized": Mutant(Unnormalized, BOTH, 2),
    "softmax over the batch": Mutant(BatchSum, BOTH, 2),
    "one sum for the batch": Mutant(TotalSum, BOTH, 2),
    "sum plus 1e-4": Mutant(GuardedSum, BOTH, 2),
    "divided by the largest": Mutant(LargestAsSum, BOTH, 2),
    "half the exponent": Mutant(HalfTemperature, BOTH, 2),
    "alpha instead of alpha q^2": Mutant(NoStep, BOTH, 2),
    "alpha as a temperature": Mutant(InverseTemperature, BOTH, 2),
    "absolute distance": Mutant(LinearDistance, BOTH, 2),
    "weights symmetric about the level": Mutant(SymmetricWeights, BOTH, 2),
    "no subtraction of the maximum": Mutant(NoMaximum, BOTH, 2),
    "exponents clipped at -20": Mutant(ClippedExponent, BOTH, 2),
    "weights below 1e-6 dropped": Mutant(CutTails, BOTH, 2),
    "float16 weights": Mutant(HalfWeights, BOTH, 2),
    "coarse exponential": Mutant(CoarseExp, BOTH, 2),
    "outer levels count half": Mutant(UniformEnds, BOTH, 2),
    "levels one too low": Mutant(TwosComplement, BOTH, 2),
    "top level empty": Mutant(MissingTop, BOTH, 2),
    "window leaves the index set": Mutant(Unclamped, MASKED, 2),
    "window ties to even": Mutant(HalfToEven, MASKED, 2),
    "window one level late": Mutant(Late, MASKED, 2),
    "full probabilities cut to the window": Mutant(full_as_window, MASKED, 2),
    "level names off by one": Mutant(tampered(_off_by_one), BOTH, 2),
    "level names from zero": Mutant(tampered(_from_zero), BOTH, 2),
    "descending": Mutant(tampered(_descending), BOTH, 2),
    "level names descending": Mutant(tampered(_swapped), BOTH, 2),
    "levels times q": Mutant(tampered(_times_q), BOTH, 2),
    "logarithms": Mutant(tampered(_log), BOTH, 2),
    "NaN when saturated": Mutant(tampered(_saturated_nan), BOTH, 2),
    "last element unwritten": Mutant(tampered(_last_unwritten), BOTH, 2),
    "unwritten beyond 1024 elements": Mutant(tampered(_stale_column), BOTH, 2),
    "off by 2e-5": Mutant(tampered(_percent), BOTH, 2),
    "alpha of element 0 for all": Mutant(first_alpha, BOTH, 2),
    "another last bit on each call": Mutant(jitter, BOTH, 2),
    "absolute coordinates in float32": Mutant(absolute, FULL, 2),
    "fails on empty arrays": Mutant(fails_on_empty, BOTH, 1),
    "levels first, elements second": Mutant(transposed, BOTH, 1),
}
