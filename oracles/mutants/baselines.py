"""Faulty baselines of Table 6, of realistic kinds: every one has to be rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oracles.baselines.subject import BaselineFunction
from oracles.mutants.baselines_sound import LSQ_SCALE, rounded_baseline
from oracles.mutants.table import FULL, Mutant

__all__ = ["BASELINE_MUTANTS"]

Factory = Callable[[int | None], BaselineFunction]


class Step:
    """A correct baseline in float64, in steps that can be overridden; rounded at the end."""

    kind = ""

    def __init__(self, window: int | None = None) -> None:
        del window  # these quantizers have none

    def __call__(self, z: Any, q: Any, *rest: Any) -> Any:
        *noise, max_level = rest
        a, b, *u = (array.astype(np.float64) for array in (z, q, *noise))
        c = a / b
        x, outside = self.cut(c, max_level)
        r = self.round(x)
        rounded = self.substitute(x, r, *u)
        slope = self.at_ends(self.slope(x, r), outside)
        value, dq = self.value(b, rounded), self.by_q(x, r, slope, outside, *u)
        nan = 0 * np.where(np.isinf(a), 0, a)
        parts = np.broadcast_arrays(value, slope + nan, dq + nan)
        return tuple(part.astype(z.dtype) for part in parts)

    def cut(self, c: Any, end: int) -> tuple[Any, Any]:
        return np.clip(c, -end, end), abs(c) >= end

    def round(self, x: Any) -> Any:
        return np.floor(x + 0.5)

    def value(self, q: Any, rounded: Any) -> Any:
        return q * rounded

    def at_ends(self, slope: Any, outside: Any) -> Any:
        return np.where(outside, 0.0, slope)

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        raise NotImplementedError

    def slope(self, x: Any, r: Any) -> Any:
        raise NotImplementedError

    def by_q(self, x: Any, r: Any, slope: Any, outside: Any, *u: Any) -> Any:
        return self.substitute(x, r, *u) - x * slope


class Cubic(Step):
    """Cubic rounding."""

    kind = "cubic"

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        return r + (x - r) ** 3

    def slope(self, x: Any, r: Any) -> Any:
        return 3 * (x - r) ** 2

    def by_q(self, x: Any, r: Any, slope: Any, outside: Any, *u: Any) -> Any:
        return r * (1 - slope) - (x - r) * slope + (x - r) ** 3


class Noise(Step):
    """Uniform noise."""

    kind = "uniform_noise"

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        return x + u[0]

    def slope(self, x: Any, r: Any) -> Any:
        return np.ones_like(x)

    def by_q(self, x: Any, r: Any, slope: Any, outside: Any, *u: Any) -> Any:
        return np.where(outside, x + u[0], u[0])


class Straight(Step):
    """Straight-through with the scale on the step's gradient."""

    kind = "straight_through"

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        return r

    def slope(self, x: Any, r: Any) -> Any:
        return np.ones_like(x)

    def by_q(self, x: Any, r: Any, slope: Any, outside: Any, *u: Any) -> Any:
        return LSQ_SCALE * np.where(outside, r, r - x)


class Hard(Step):
    """Q_u."""

    kind = "hard"

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        return r

    def slope(self, x: Any, r: Any) -> Any:
        return np.zeros_like(x)


class RoundedBeforeTheCut(Cubic):
    """The level is cut off, the distance from it is not."""

    def cut(self, c: Any, end: int) -> tuple[Any, Any]:
        self.end = end
        return c, np.zeros(c.shape, dtype=bool)

    def round(self, x: Any) -> Any:
        return np.clip(np.floor(x + 0.5), -self.end, self.end)


class CutAfterNoise(Noise):
    """The noise of the last level stays within the range."""

    def cut(self, c: Any, end: int) -> tuple[Any, Any]:
        self.end = end
        return super().cut(c, end)

    def substitute(self, x: Any, r: Any, *u: Any) -> Any:
        return np.clip(x + u[0], -self.end, self.end)


class NoiseInLevels(Noise):
    """Noise of the width of one grey level instead of one step."""

    def __call__(self, z: Any, q: Any, *rest: Any) -> Any:
        value, dz, dq = super().__call__(z, q, *rest)
        return (value + (1 - q) * rest[0]).astype(z.dtype), dz, dq


def changed(base: type[Step], evidence: int = 2, **steps: Callable[..., Any]) -> Mutant:
    """A baseline with some of its steps replaced by plain functions of their arguments."""
    methods = {name: _method(step) for name, step in steps.items()}
    return Mutant(type("Changed", (base,), methods), FULL, evidence, kind=base.kind)


def _method(step: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments: step(*arguments)


def called(kind: str, evidence: int, wrap: Callable[[BaselineFunction], Any]) -> Mutant:
    """A fault in how a correct function treats its arrays."""
    return Mutant(lambda window: wrap(rounded_baseline(kind)), FULL, evidence, kind=kind)


def _to_even(x: Any) -> Any:
    return np.round(x)


def _from_zero(x: Any) -> Any:
    return np.trunc(x + np.copysign(0.5, x))


def _half_down(x: Any) -> Any:
    return np.ceil(x - 0.5)


def _uncut(c: Any, end: int) -> tuple[Any, Any]:
    return c, np.zeros(c.shape, dtype=bool)


def _open_ends(c: Any, end: int) -> tuple[Any, Any]:
    return np.clip(c, -end, end), abs(c) > end


def _levels(low: int, high: int) -> Callable[[Any, int], tuple[Any, Any]]:
    def cut(c: Any, end: int) -> tuple[Any, Any]:
        first, last = -end + low, end + high
        return np.clip(c, first, last), (c <= first) | (c >= last)

    return cut


def _half_precision(x: Any, r: Any, *u: Any) -> Any:
    return r + ((x - r).astype(np.float16) ** 3).astype(np.float64)


def _first_step(fn: BaselineFunction) -> Any:
    return lambda z, q, *rest: fn(z, np.resize(q[:1], q.shape), *rest)


def _first_noise(fn: BaselineFunction) -> Any:
    return lambda z, q, u, level: fn(z, q, np.resize(u[:1], u.shape), level)


def _nan_to_zero(fn: BaselineFunction) -> Any:
    return lambda z, *rest: fn(np.where(np.isnan(z), z.dtype.type(0), z), *rest)


def _infinite_ratio(fn: BaselineFunction) -> Any:
    def wrong(z: Any, *rest: Any) -> Any:
        # inf - inf, as of a coefficient and its rounding
        return tuple(part + (z - z) for part in fn(z, *rest))

    return wrong


def _saturated_nan(fn: BaselineFunction) -> Any:
    def wrong(z: Any, q: Any, *rest: Any) -> Any:
        far = abs(z) > 1e4 * q * rest[-1]
        return tuple(np.where(far, part.dtype.type(np.nan), part) for part in fn(z, q, *rest))

    return wrong


def _jitter(fn: BaselineFunction) -> Any:
    rng = np.random.default_rng(0)

    def wrong(z: Any, *rest: Any) -> Any:
        value, dz, dq = fn(z, *rest)
        up = rng.random(value.shape) < 0.5
        return np.where(up, np.nextafter(value, value.dtype.type(np.inf)), value), dz, dq

    return wrong


def _needs_elements(fn: BaselineFunction) -> Any:
    def wrong(z: Any, q: Any, *rest: Any) -> Any:
        float(np.max(q))
        return fn(z, q, *rest)

    return wrong


def _last_unwritten(fn: BaselineFunction) -> Any:
    def wrong(z: Any, *rest: Any) -> Any:
        value, dz, dq = fn(z, *rest)
        fresh = np.empty_like(dq)
        fresh[:-1] = dq[:-1]
        return value, dz, fresh

    return wrong


def _one_stride(fn: BaselineFunction) -> Any:
    def wrong(z: Any, q: Any, *rest: Any) -> Any:
        if z.shape == q.shape and all(a <= b for a, b in zip(q.strides, z.strides, strict=True)):
            z = as_strided(z, z.shape, q.strides)
        return fn(z, q, *rest)

    return wrong


def _repeated(fn: BaselineFunction) -> Any:
    def wrong(z: Any, q: Any, *rest: Any) -> Any:
        *noise, level = rest
        arrays = (z, q, *noise)
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        return fn(*(np.resize(array, shape) for array in arrays), level)

    return wrong


def _in_place(fn: BaselineFunction) -> Any:
    def wrong(z: Any, q: Any, *rest: Any) -> Any:
        out = fn(z, q, *rest)
        z /= q
        return out

    return wrong


def _narrow(fn: BaselineFunction) -> Any:
    return lambda *arguments: tuple(part.astype(np.float16) for part in fn(*arguments))


#: The faults.
BASELINE_MUTANTS: dict[str, Mutant] = {
    "cubic: d squared": changed(Cubic, substitute=lambda x, r: r + (x - r) ** 2),
    "cubic: d |d|": changed(Cubic, substitute=lambda x, r: r + (x - r) * abs(x - r)),
    "cubic: slope without factor 3": changed(Cubic, slope=lambda x, r: (x - r) ** 2),
    "cubic: slope 1": changed(Cubic, slope=lambda x, r: np.ones_like(x)),
    "cubic: ties to even": changed(Cubic, round=_to_even),
    "cubic: ties away from zero": changed(Cubic, round=_from_zero),
    "cubic: floor": changed(Cubic, round=np.floor),
    "cubic: not cut": changed(Cubic, cut=_uncut),
    "cubic: rounded before the cut": Mutant(RoundedBeforeTheCut, FULL, 2, kind="cubic"),
    "cubic: two's complement levels": changed(Cubic, cut=_levels(-1, 0)),
    "cubic: dq is the level": changed(Cubic, by_q=lambda x, r, *_: r),
    "cubic: dq without the cube": changed(Cubic, by_q=lambda x, r, slope, *_: r * (1 - slope)),
    "cubic: dq with the distance in q": changed(Cubic, by_q=lambda x, r, slope, *_: slope * r),
    "cubic: not multiplied by q": changed(Cubic, value=lambda q, rounded: rounded),
    "cubic: float16 cube": changed(Cubic, substitute=_half_precision),
    "noise: subtracted": changed(Noise, substitute=lambda x, r, u: x - u),
    "noise: not multiplied by q": Mutant(NoiseInLevels, FULL, 2, kind="uniform_noise"),
    "noise: twice as wide": changed(Noise, substitute=lambda x, r, u: x + 2 * u),
    "noise: on top of rounding": changed(Noise, substitute=lambda x, r, u: r + u),
    "noise: cut after it is added": Mutant(CutAfterNoise, FULL, 2, kind="uniform_noise"),
    "noise: not cut": changed(Noise, cut=_uncut),
    "noise: gradient passes the ends": changed(Noise, at_ends=lambda slope, outside: slope),
    "noise: last level inside": changed(Noise, cut=_open_ends),
    "noise: no gradient for q": changed(Noise, by_q=lambda x, *_: 0 * x),
    "noise: dq with the level": changed(Noise, by_q=lambda x, r, slope, outside, u: r + u),
    "straight-through: dq of the hard quantizer": changed(
        Straight, by_q=lambda x, r, *_: LSQ_SCALE * r
    ),
    "straight-through: dq with wrong sign": changed(
        Straight,
        by_q=lambda x, r, slope, outside: LSQ_SCALE * np.where(outside, r, x - r),
    ),
    "straight-through: dq without scale": changed(
        Straight, by_q=lambda x, r, slope, outside: np.where(outside, r, r - x)
    ),
    "straight-through: no scale at the ends": changed(
        Straight,
        by_q=lambda x, r, slope, outside: np.where(outside, r, LSQ_SCALE * (r - x)),
    ),
    "straight-through: scale on dz too": changed(
        Straight, slope=lambda x, r: LSQ_SCALE * np.ones_like(x)
    ),
    "straight-through: scale with 2L + 1": changed(
        Straight,
        by_q=lambda x, r, slope, outside: LSQ_SCALE * (7 / 15) ** 0.5 * np.where(outside, r, r - x),
    ),
    "straight-through: dq zero at the ends": changed(
        Straight, by_q=lambda x, r, *_: LSQ_SCALE * (r - x)
    ),
    "straight-through: gradient passes the ends": changed(
        Straight, at_ends=lambda slope, outside: slope
    ),
    "straight-through: last level inside": changed(Straight, cut=_open_ends),
    "straight-through: ties to even": changed(Straight, round=_to_even),
    "straight-through: a level too few": changed(Straight, cut=_levels(0, -1)),
    "straight-through: a level too many on each side": changed(Straight, cut=_levels(-1, 1)),
    "hard: ties down": changed(Hard, round=_half_down),
    "hard: truncated": changed(Hard, round=np.trunc),
    "hard: slope 1": changed(Hard, slope=lambda x, r: np.ones_like(x)),
    "hard: dq of straight-through": changed(Hard, by_q=lambda x, r, *_: r - x),
    "hard: dq is the sign of the level": changed(Hard, by_q=lambda x, r, *_: np.sign(r)),
    "noise: of element 0 for all": called("uniform_noise", 2, _first_noise),
    "cubic: q of element 0 for all": called("cubic", 2, _first_step),
    "cubic: another last bit on each call": called("cubic", 1, _jitter),
    "cubic: NaN far outside": called("cubic", 2, _saturated_nan),
    "cubic: NaN becomes 0": called("cubic", 1, _nan_to_zero),
    "straight-through: infinity becomes NaN": called("straight_through", 1, _infinite_ratio),
    "hard: fails on no elements": called("hard", 1, _needs_elements),
    "cubic: last element not written": called("cubic", 2, _last_unwritten),
    "cubic: one stride for z and q": called("cubic", 1, _one_stride),
    "noise: broadcasts by repeating": called("uniform_noise", 1, _repeated),
    "hard: divides in place": called("hard", 1, _in_place),
    "cubic: float16 results": called("cubic", 1, _narrow),
}
