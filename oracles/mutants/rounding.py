"""Faulty substitutes of rounding, of realistic kinds: every one has to be rejected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oracles.diff_jpeg.rounding import verify_rounding
from oracles.diff_jpeg.rounding_subject import RoundingFunction
from oracles.mutants.rounding_sound import profile, rounded_twin
from oracles.mutants.table import FULL, Mutant
from oracles.report import Report

__all__ = ["ROUNDING_MUTANTS", "judge_rounding"]


class Rounding:
    """A correct substitute in float64, in steps that can be overridden; rounded at the end."""

    kind = "cubic"
    floor = False
    straight_through = False

    def __init__(self, window: int | None = None) -> None:
        del window  # nothing here has one

    def __call__(self, x: Any, *noise: Any) -> Any:
        y = x.astype(np.float64)
        whole = self.whole(y)
        d = self.remainder(y, whole)
        g, slope = self.profile(d, *(a.astype(np.float64) for a in noise))
        value = whole if self.straight_through else whole + g
        return value.astype(x.dtype), self.slope(slope, d).astype(x.dtype)

    def whole(self, x: Any) -> Any:
        return np.floor(x) if self.floor else np.ceil(np.floor(2 * x) / 2)

    def remainder(self, x: Any, whole: Any) -> Any:
        return x - whole - 0.5 * self.floor

    def profile(self, d: Any, *noise: Any) -> Any:
        return profile(self.kind, d, *noise)

    def slope(self, slope: Any, d: Any) -> Any:
        return slope


def changed(
    kind: str,
    evidence: int = 2,
    *,
    floor: bool = False,
    straight_through: bool = False,
    dtype: str = "float32",
    **steps: Callable[..., Any],
) -> Mutant:
    """A substitute with some of its steps replaced by plain functions of their arguments."""
    options = {"floor": floor, "straight_through": straight_through}
    body = {"kind": kind, **options} | {name: _method(step) for name, step in steps.items()}
    made = type("Changed", (Rounding,), body)
    return Mutant(made, FULL, evidence, dtype, kind=kind, options=options)


def _method(step: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments: step(*arguments)


def called(
    kind: str, evidence: int, wrap: Callable[[RoundingFunction], Any], **options: bool
) -> Mutant:
    """A fault in how a correct function is called."""
    chosen: Mapping[str, bool] = {"floor": False, "straight_through": False} | options
    return Mutant(
        lambda window: wrap(rounded_twin(kind, **chosen)),
        FULL,
        evidence,
        kind=kind,
        options=chosen,
    )


def _half_added(x: Any) -> Any:
    """floor(x + 1/2) in float32: wrong at the number below 1/2, and at large odd ones."""
    return np.floor(x.astype(np.float32) + np.float32(0.5)).astype(np.float64)


def _minus_half(x: Any) -> Any:
    """The floor as the rounding of x - 1/2 in float32: that difference rounds."""
    y = x.astype(np.float32) - np.float32(0.5)
    return np.ceil(np.floor(2 * y.astype(np.float64)) / 2)


def _from_zero(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _half_down(x: Any) -> Any:
    return np.floor(np.ceil(2 * x) / 2)


def _fourier(terms: int, sign: float = 1.0, scale: float = 2.0) -> Callable[..., Any]:
    def wrong(d: Any, *noise: Any) -> Any:
        k = np.arange(1, terms + 1)
        weights = np.where(k % 2 == 1, 1, -1)
        angle = scale * math.pi * d[..., None] * k
        g = d - sign * np.sin(angle) @ (weights / (math.pi * k))
        return g, 1 - sign * scale * np.cos(angle) @ weights

    return wrong


def _logistic(steepness: float, *, own_slope: bool = True, jump: float = 1.0) -> Any:
    def wrong(d: Any, *noise: Any) -> Any:
        s = jump / (1 + np.exp(steepness * (0.5 - np.abs(d))))
        slope = steepness * s * (1 - s) if own_slope else s * (1 - s)
        return np.where(d < 0, -s, s), slope

    return wrong


def _printed_tanh(d: Any, *noise: Any) -> Any:
    """Table 5.5 as it stands: the step at the integer, not at the tie."""
    t = np.tanh(5 * d)
    return t / 2, 2.5 * (1 - t * t)


def _soft(hbar: float, levels: int) -> Callable[..., Any]:
    def wrong(d: Any, *noise: Any) -> Any:
        k = np.arange(-levels, levels + 1.0)
        weights = np.exp(-hbar * (d[..., None] - k) ** 2)
        weights = weights / weights.sum(-1, keepdims=True)
        mean = (weights * k).sum(-1)
        return mean, 2 * hbar * (weights * (k - mean[..., None]) ** 2).sum(-1)

    return wrong


def _nan_to_zero(fn: RoundingFunction) -> Any:
    return lambda x, *u: fn(np.where(np.isnan(x), x.dtype.type(0), x), *u)


def _inf_to_zero(fn: RoundingFunction) -> Any:
    return lambda x, *u: fn(np.where(np.isinf(x), x.dtype.type(0), x), *u)


def _by_int32(fn: RoundingFunction) -> Any:
    def wrong(x: Any, *u: Any) -> Any:
        whole = np.clip(x, -(2.0**31), 2.0**31 - 129)
        return fn(whole.astype(x.dtype), *u)

    return wrong


def _in_place(fn: RoundingFunction) -> Any:
    def wrong(x: Any, *u: Any) -> Any:
        out = fn(x, *u)
        x -= out[0]
        return out

    return wrong


def _spread(fn: RoundingFunction) -> Any:
    """NaN of one element reaches them all, through a mean that should not be there."""

    def wrong(x: Any, *u: Any) -> Any:
        value, slope = fn(x, *u)
        return value + (0 * x.sum()).astype(x.dtype), slope

    return wrong


def _first_noise(fn: RoundingFunction) -> Any:
    return lambda x, u: fn(x, np.resize(u[:1], u.shape))


def _jitter(fn: RoundingFunction) -> Any:
    rng = np.random.default_rng(0)

    def wrong(x: Any, *u: Any) -> Any:
        value, slope = fn(x, *u)
        up = rng.random(value.shape) < 0.5
        return np.where(up, np.nextafter(value, value.dtype.type(np.inf)), value), slope

    return wrong


def _last_unwritten(fn: RoundingFunction) -> Any:
    def wrong(x: Any, *u: Any) -> Any:
        value, slope = fn(x, *u)
        fresh = np.empty_like(slope)
        fresh[:-1] = slope[:-1]
        return value, fresh

    return wrong


def _of_its_base(fn: RoundingFunction) -> Any:
    """Reads from the start of the memory that a view lies in."""

    def wrong(x: Any, *u: Any) -> Any:
        base = x if x.base is None else x.base.ravel()[: x.size]
        return fn(base.reshape(x.shape), *u)

    return wrong


def _needs_elements(fn: RoundingFunction) -> Any:
    def wrong(x: Any, *u: Any) -> Any:
        float(np.max(x))
        return fn(x, *u)

    return wrong


_OFF = 1e-5
_STE = {"straight_through": True}

#: The faults.
ROUNDING_MUTANTS: dict[str, Mutant] = {
    "cubic: ties to even": changed("cubic", whole=np.round),
    "cubic: ties away from zero": changed("cubic", whole=_from_zero),
    "cubic: ties down": changed("cubic", whole=_half_down),
    "cubic: truncated": changed("cubic", whole=np.trunc),
    "cubic: floor(x + 1/2) in float32": changed("cubic", whole=_half_added),
    "cubic: d squared": changed("cubic", profile=lambda d: (d * d, 2 * d)),
    "cubic: d |d|": changed("cubic", profile=lambda d: (d * abs(d), 2 * abs(d))),
    "cubic: slope without factor 3": changed("cubic", slope=lambda s, d: s / 3),
    "cubic: slope 1": changed("cubic", slope=lambda s, d: np.ones_like(s)),
    "cubic: slope of value less identity": changed("cubic", slope=lambda s, d: s - 1),
    "cubic: a little steeper": changed("cubic", 2, slope=lambda s, d: s * (1 + _OFF)),
    "cubic: linear's slope": changed("cubic", slope=lambda s, d: np.full_like(s, 0.1)),
    "cubic: NaN becomes 0": called("cubic", 1, _nan_to_zero),
    "cubic: infinity becomes 0": called("cubic", 1, _inf_to_zero),
    "cubic: through 32-bit integers": called("cubic", 2, _by_int32),
    "cubic: works in place": called("cubic", 1, _in_place),
    "cubic: NaN reaches its neighbours": called("cubic", 1, _spread),
    "cubic: another last bit on each call": called("cubic", 2, _jitter),
    "cubic: last element not written": called("cubic", 2, _last_unwritten),
    "cubic: strides ignored": called("cubic", 1, _of_its_base),
    "cubic: fails on no elements": called("cubic", 1, _needs_elements),
    "cubic floor: rounds instead": changed("cubic", floor=True, whole=np.rint),
    "cubic floor: of x - 1/2 in float32": changed("cubic", floor=True, whole=_minus_half),
    "cubic floor: remainder not centred": changed(
        "cubic", floor=True, remainder=lambda x, whole: x - whole
    ),
    "cubic floor: truncated": changed("cubic", floor=True, whole=np.trunc),
    "linear: slope 1": changed("linear", slope=lambda s, d: np.ones_like(s)),
    "linear: 1/8": changed("linear", profile=lambda d: (d / 8, np.full_like(d, 1 / 8))),
    "linear: slope 0": changed("linear", slope=lambda s, d: 0 * s),
    "fourier: nine terms": changed("fourier", profile=_fourier(9)),
    "fourier: eleven terms": changed("fourier", profile=_fourier(11)),
    "fourier: signs do not alternate back": changed("fourier", profile=_fourier(10, -1.0)),
    "fourier: half the frequency": changed("fourier", profile=_fourier(10, scale=1.0)),
    "fourier: slope never negative": changed("fourier", slope=lambda s, d: np.maximum(s, 0)),
    "sigmoid: steepness 50": changed("sigmoid", profile=_logistic(50.0)),
    "sigmoid: slope without the steepness": changed(
        "sigmoid", profile=_logistic(60.0, own_slope=False)
    ),
    "sigmoid: ties to even": changed("sigmoid", 2, straight_through=True, whole=np.round),
    "sigmoid: no step down below": changed(
        "sigmoid", profile=lambda d: tuple(abs(a) for a in profile("sigmoid", d))
    ),
    "tanh: as printed": changed("tanh", profile=_printed_tanh),
    "tanh: steepness 5": changed("tanh", profile=_logistic(5.0)),
    "tanh: of a whole step": changed("tanh", profile=_logistic(10.0, jump=2.0)),
    "soft: h half of it": changed("soft", profile=_soft(5.0, 4)),
    "soft: three levels' worth of h twice": changed("soft", profile=_soft(20.0, 1)),
    "soft: one level": changed("soft", profile=lambda d: (0 * d, 0 * d)),
    "straight-through kind: slope 0": changed("straight_through", slope=lambda s, d: 0 * s),
    "straight-through kind: ties to even": changed("straight_through", whole=np.round),
    "straight-through kind: value of x": changed(
        "straight_through", profile=lambda d: (d, np.ones_like(d))
    ),
    "noise: subtracted": changed("uniform_noise", profile=lambda d, u: (d - u, np.ones_like(d))),
    "noise: on top of rounding": changed(
        "uniform_noise", profile=lambda d, u: (u, np.ones_like(d))
    ),
    "noise: twice as wide": changed(
        "uniform_noise", profile=lambda d, u: (d + 2 * u, np.ones_like(d))
    ),
    "noise: of element 0 for all": called("uniform_noise", 2, _first_noise),
    "straight-through form: value of the substitute": called(
        "cubic",
        2,
        lambda fn: lambda x, *u: (rounded_twin("cubic")(x)[0], fn(x)[1]),
        **_STE,
    ),
    "straight-through form: slope 1": called(
        "cubic", 2, lambda fn: lambda x, *u: (fn(x)[0], np.ones_like(x)), **_STE
    ),
    "straight-through form: floor(x + 1/2) in float32": changed(
        "linear", 2, straight_through=True, whole=_half_added
    ),
    "straight-through floor: of x - 1/2 in float32": changed(
        "linear", 2, floor=True, straight_through=True, whole=_minus_half
    ),
    "straight-through floor: soft by 1e-7": changed(
        "tanh", 2, floor=True, straight_through=True, whole=lambda x: np.floor(x + 1e-7)
    ),
}


def judge_rounding(mutant: Mutant, window: int | None, seed: int) -> Report:
    """Judge a fault under the claim that it breaks.

    Parameters
    ----------
    mutant : Mutant
        Of :data:`ROUNDING_MUTANTS`.
    window : None
        Roundings have none.
    seed : int
        Of the inputs.

    Returns
    -------
    Report
    """
    faulty = mutant.factory(window)
    return verify_rounding(faulty, mutant.kind, dtype=mutant.dtype, seed=seed, **mutant.options)
