"""Faulty soft quantizers of realistic kinds: every one has to be rejected.

Faults in a step of the computation stand in :mod:`oracles.mutants.quantizer_steps`; here are
those in its results, those that mix up elements, those of constant-cost forms, and the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.mutants.quantizer_steps import (
    AbsoluteDistance,
    AlphaTimesQ,
    AwayFromZero,
    Bfloat16,
    BiasedVariance,
    CutWindow,
    FarCutoff,
    Faulty,
    Float16Weights,
    HalfDown,
    HalfDz,
    HalfScale,
    HalfToEven,
    HardGradients,
    HardQuantizer,
    MissingTop,
    NoDirectTerm,
    NoMaximum,
    NoThirdMoment,
    OneLevelMore,
    ShiftedWindow,
    SquaredInDq,
    StraightThrough,
    TableExp,
    Truncates,
    TwosComplement,
    UnclampedWindow,
    WeightedWindow,
    WideWindow,
    WrongSignDalpha,
)
from oracles.mutants.sound import (
    direct,
    poisson,
    rounded_reference,
    softmax_scaled,
)
from oracles.mutants.table import BOTH, FULL, MASKED, Mutant
from oracles.subject import QuantizerFunction


def uncentred(window: int | None) -> QuantizerFunction:
    """d/dq by the uncentred third moment, the paper's (10b), in the working dtype."""
    base = softmax_scaled(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, _, dalpha = base(z, q, alpha, max_level)
        c, h = z / q, alpha * q * q
        r = np.clip(np.floor(c + z.dtype.type(0.5)), -max_level, max_level)
        first, count = Faulty(window).support(r, max_level)
        levels = (first[:, None] + np.arange(count)).astype(z.dtype)
        k = levels - r[:, None]
        p = np.exp(h[:, None] * k * (2 * (c - r)[:, None] - k))
        p /= p.sum(1, keepdims=True)
        one, two, three = ((p * levels**n).sum(1) for n in (1, 2, 3))
        dq = one - 2 * h * (three - one * two - c * (two - one * one))
        return value, dz, dq, dalpha

    return fn


def short_theta(kind: str, terms: int) -> Callable[[int | None], QuantizerFunction]:
    """Theta function with a term too few, ``"direct"`` or ``"poisson"``, partials included."""

    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)

        def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
            out = np.array(base(z, q, alpha, max_level))
            h = alpha * q * q
            with np.errstate(all="ignore"):
                inside = abs(z / q) < max_level - np.sqrt(24 / h) - 2
            form = direct if kind == "direct" else poisson
            chosen = inside & ((h >= np.pi) == (kind == "direct"))
            if chosen.any():
                out[:, chosen] = form(z[chosen], q[chosen], alpha[chosen], terms)
            return tuple(out)

        return fn

    return factory


def no_ends(window: int | None) -> QuantizerFunction:
    """The theta function everywhere: the index set never ends."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        h = alpha * q * q
        soft = np.array(poisson(z, q, alpha))
        return tuple(np.where(h < np.pi, soft, np.array(direct(z, q, alpha))))

    return fn


Tamper = Callable[[Any, Any, Any, int, list[Any]], None]


def tampered(change: Tamper) -> Callable[[int | None], QuantizerFunction]:
    """Plant a fault in the results of a correct implementation."""

    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)

        def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
            out = list(base(z, q, alpha, max_level))
            with np.errstate(all="ignore"):
                change(z, q, alpha, max_level, out)
            return tuple(out)

        return fn

    return factory


def _where(row: int, mask: Any, out: list[Any], factor: float) -> None:
    out[row] = np.where(mask, out[row] * out[row].dtype.type(factor), out[row])


def _beyond(z: Any, q: Any, _a: Any, max_level: int, out: list[Any]) -> None:
    _where(2, abs(z / q) > max_level, out, 0.0)


def _saturation_nan(z: Any, q: Any, alpha: Any, max_level: int, out: list[Any]) -> None:
    far = alpha * (abs(z) - max_level * q) ** 2 > 1e4
    out[1] = np.where(far & (abs(z) > max_level * q), np.nan, out[1])


def _last_unwritten(_z: Any, _q: Any, _a: Any, _l: int, out: list[Any]) -> None:
    fresh = np.empty_like(out[0])
    fresh[:-1] = out[0][:-1]
    out[0] = fresh


def _vector_tail(_z: Any, _q: Any, _a: Any, _l: int, out: list[Any]) -> None:
    body = out[3].size // 8 * 8
    out[3][body:] = 0


def _ulps(_z: Any, _q: Any, _a: Any, _l: int, out: list[Any]) -> None:
    out[0] = (out[0].astype(np.float64) * (1 + 2e-4)).astype(out[0].dtype)


def _leaks_order(_z: Any, _q: Any, _a: Any, _l: int, out: list[Any]) -> None:
    out[1][1:] += out[1][:-1] * out[1].dtype.type(1e-3)


def alpha_of_first(window: int | None) -> QuantizerFunction:
    """Alpha of element 0 serves all."""
    base = rounded_reference(window)
    return lambda z, q, alpha, level: base(z, q, np.full_like(alpha, alpha[0]), level)


def mean_step(window: int | None) -> QuantizerFunction:
    """One q for all: the mean of the batch."""
    base = rounded_reference(window)
    return lambda z, q, alpha, level: base(z, np.full_like(q, q.mean()), alpha, level)


def rolled_q(window: int | None) -> QuantizerFunction:
    """Q of the neighbour."""
    base = rounded_reference(window)
    return lambda z, q, alpha, level: base(z, np.roll(q, 1), alpha, level)


def stale(window: int | None) -> QuantizerFunction:
    """The first element keeps the result of the previous call."""
    base = rounded_reference(window)
    kept: list[Any] = []

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        out = base(z, q, alpha, max_level)
        previous = kept[:] or [part[0] for part in out]
        kept[:] = [part[0] for part in out]
        for part, old in zip(out, previous, strict=True):
            part[0] = old
        return out

    return fn


def jitter(window: int | None) -> QuantizerFunction:
    """Another last bit on every call: a race."""
    base = rounded_reference(window)
    rng = np.random.default_rng(0)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        out = list(base(z, q, alpha, max_level))
        up = rng.random(z.size) < 0.5
        out[0] = np.where(up, np.nextafter(out[0], out[0].dtype.type(np.inf)), out[0])
        return tuple(out)

    return fn


def other_window(passed: int | None) -> Callable[[int | None], QuantizerFunction]:
    """Passes another support off as the one that was asked for."""

    def factory(_window: int | None) -> QuantizerFunction:
        def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
            fits = passed is None or passed <= 2 * max_level + 1
            return rounded_reference(passed if fits else None)(z, q, alpha, max_level)

        return fn

    return factory


def float32_inside(window: int | None) -> QuantizerFunction:
    """Claims float64, computes in float32."""
    base = softmax_scaled(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        a, b, c = (array.astype(np.float32) for array in (z, q, alpha))
        return tuple(part.astype(z.dtype) for part in base(a, b, c, max_level))

    return fn


MUTANTS: dict[str, Mutant] = {
    "half the exponent": Mutant(HalfScale, BOTH, 2),
    "alpha q instead of alpha q^2": Mutant(AlphaTimesQ, BOTH, 2),
    "absolute distance": Mutant(AbsoluteDistance, BOTH, 2),
    "no subtraction of the maximum": Mutant(NoMaximum, BOTH, 2),
    "window passed as full": Mutant(other_window(5), FULL, 2),
    "full passed as window": Mutant(other_window(None), MASKED, 2),
    "window 7 passed as 5": Mutant(other_window(7), MASKED, 2),
    "levels cut off at two": Mutant(FarCutoff, FULL, 2),
    "level L missing": Mutant(MissingTop, FULL, 2),
    "one level more on each side": Mutant(OneLevelMore, BOTH, 2),
    "two's complement levels": Mutant(TwosComplement, FULL, 2),
    "ties to even": Mutant(HalfToEven, MASKED, 2),
    "ties down": Mutant(HalfDown, MASKED, 2),
    "ties away from zero": Mutant(AwayFromZero, MASKED, 2),
    "floor instead of round": Mutant(Truncates, MASKED, 2),
    "window one level late": Mutant(ShiftedWindow, MASKED, 2),
    "window two levels wide": Mutant(WideWindow, MASKED, 2),
    "window leaves the index set": Mutant(UnclampedWindow, MASKED, 2),
    "window cut off at the ends": Mutant(CutWindow, MASKED, 2),
    "outer levels count half": Mutant(WeightedWindow, MASKED, 2),
    "bfloat16 inputs": Mutant(Bfloat16, BOTH, 2),
    "float16 weights": Mutant(Float16Weights, BOTH, 2),
    "coarse exponential": Mutant(TableExp, BOTH, 2),
    "dz without factor 2": Mutant(HalfDz, BOTH, 2),
    "dq without E/q": Mutant(NoDirectTerm, BOTH, 2),
    "dq with E - z": Mutant(SquaredInDq, BOTH, 2),
    "dq uncentred": Mutant(uncentred, FULL, 2),
    "dalpha without third moment": Mutant(NoThirdMoment, BOTH, 2),
    "dalpha with wrong sign": Mutant(WrongSignDalpha, BOTH, 2),
    "straight-through gradient": Mutant(StraightThrough, BOTH, 2),
    "gradient of the hard quantizer": Mutant(HardGradients, BOTH, 2),
    "hard quantizer": Mutant(HardQuantizer, BOTH, 2),
    "variance off by 6e-5": Mutant(BiasedVariance, BOTH, 2),
    "direct theta, three levels": Mutant(short_theta("direct", 1), FULL, 2),
    "Poisson theta, one term": Mutant(short_theta("poisson", 1), FULL, 1),
    "direct theta, five levels in float64": Mutant(short_theta("direct", 2), FULL, 1, "float64"),
    "Poisson theta, two terms in float64": Mutant(short_theta("poisson", 2), FULL, 1, "float64"),
    "float32 inside float64": Mutant(float32_inside, BOTH, 2, "float64"),
    "theta without ends": Mutant(no_ends, FULL, 2),
    "dz wrong only for h > pi": Mutant(
        tampered(lambda z, q, a, n, o: _where(1, a * q * q > np.pi, o, 1.01)), BOTH, 2
    ),
    "dalpha wrong only for h < 1": Mutant(
        tampered(lambda z, q, a, n, o: _where(3, a * q * q < 1, o, 0.99)), MASKED, 2
    ),
    "dq wrong only for z < 0": Mutant(
        tampered(lambda z, q, a, n, o: _where(2, z < 0, o, -1.0)), BOTH, 2
    ),
    "dq zero beyond the end": Mutant(tampered(_beyond), BOTH, 2),
    "dz NaN when saturated": Mutant(tampered(_saturation_nan), BOTH, 2),
    "last element unwritten": Mutant(tampered(_last_unwritten), BOTH, 2),
    "vector tail of dalpha unwritten": Mutant(tampered(_vector_tail), BOTH, 2),
    "value off by 2e-4": Mutant(tampered(_ulps), BOTH, 2),
    "dz leaks to the neighbour": Mutant(tampered(_leaks_order), BOTH, 2),
    "alpha of element 0 for all": Mutant(alpha_of_first, BOTH, 2),
    "mean q for all": Mutant(mean_step, BOTH, 2),
    "q of the neighbour": Mutant(rolled_q, BOTH, 2),
    "stale first element": Mutant(stale, BOTH, 2),
    "another last bit on each call": Mutant(jitter, BOTH, 2),
}
