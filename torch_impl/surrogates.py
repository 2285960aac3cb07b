"""What stands for rounding, floor and clipping in differentiable JPEG, as torch functions.

Each substitute of rounding is a profile g on the remainder d = x - r, d in [-1/2, 1/2):

    round(x)  ->  r + g(x - r)              r = nearest integer, halves up
    floor(x)  ->  f + g(x - 1/2 - f)        f = floor(x), the nearest integer of x - 1/2

- cubic: d^3 (Shin & Song 2017), the choice of the thesis;
- linear: d / 10;
- fourier: d less the first ten terms of its Fourier series (Xing et al.);
- sigmoid: a logistic step of steepness 60 at d = +-1/2; tanh: one of steepness 10;
- straight_through: 0, its derivative taken for 1;
- uniform_noise: d + u with u drawn from [-1/2, 1/2), so that the value is x + u;
- soft: the soft quantizer of JPEG-DL with step 1 and h = alpha q^2 = 10 over all whole numbers,
  smooth everywhere; with levels this far apart a logistic step of steepness 2 h at d = +-1/2.

Table 5.5 prints sigmoid and tanh with slips; :mod:`reference.surrogates` says how they are read.
All functions keep dtype and device, are differentiable as often as one likes, and are made of
torch operations only, so that torch.compile and torch.func see through them. The noise comes from
torch's own generator.

References
----------
Codec control thesis (*Differentiable JPEG: The Devil is in the Details*), sections 4.1.1 and 4.1.2,
eq. (2.3), (4.2)-(4.4), Tables 5.5-5.7. Uniform noise: Ballé et al. (2016). JPEG Inspired Deep
Learning, eq. (5)-(7), for the soft quantizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

CLIP_SLOPE = 1e-3
"""gamma of eq. (4.4)."""

Rounding = str | Callable[[Tensor], Tensor]
"""A name of `KINDS`, or a function that rounds a tensor in a differentiable way."""

SOFT_HBAR = 10.0
"""h = alpha q^2 of the kind "soft": twice that is its steepness at ties."""

SMALLEST_STEP = 1e-3
"""What unclipped tables are kept above: fine enough to lose nothing, and far from overflow."""

_FOURIER_TERMS = 10


def soft_round(x: Tensor, kind: Rounding = "cubic", *, straight_through: bool = False) -> Tensor:
    """Nearest integer, with a derivative.

    Parameters
    ----------
    x : Tensor
        Finite, floating point, any shape, dimensionless.
    kind : str or callable
        Which substitute, one of `KINDS`. A function is given x and returns its substitute of the
        rounding.
    straight_through : bool
        Value of the true rounding, halves up; gradient of the substitute.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        If `kind` is no substitute; the message names the nearest.

    References
    ----------
    Thesis, eq. (4.2) and Table 5.5; section 4.1.2 for straight-through.

    Examples
    --------
    >>> import torch
    >>> from torch_impl.surrogates import soft_round
    >>> soft_round(torch.tensor([1.75, 2.0, 2.25]))
    tensor([1.9844, 2.0000, 2.0156])
    """
    check_rounding("kind", kind)
    # floor(x + 1/2) would be 1 at the number below 1/2: that sum rounds.
    nearest = ((2 * x.detach()).floor() / 2).ceil()
    if not isinstance(kind, str):
        return _choose(nearest, kind(x), straight_through)
    return _around(nearest, x - nearest, kind, straight_through)


def soft_floor(x: Tensor, kind: Rounding = "cubic", *, straight_through: bool = False) -> Tensor:
    """Largest integer not above x, with a derivative: :func:`soft_round` of x - 1/2.

    Parameters
    ----------
    x, kind, straight_through
        As in :func:`soft_round`; a function is given x - 1/2.

    Returns
    -------
    Tensor
        At an integer n the value lies on the way up: n - 1/8 with "cubic", n - 1/2 with
        "sigmoid" and "tanh".

    Raises
    ------
    TypeError, ValueError
        As :func:`soft_round`.

    References
    ----------
    Thesis, eq. (4.3).
    """
    check_rounding("kind", kind)
    floor = x.detach().floor()
    if not isinstance(kind, str):
        return _choose(floor, kind(x - 0.5), straight_through)
    return _around(floor, x - floor - 0.5, kind, straight_through)


def soft_clip(
    x: Tensor,
    low: float,
    high: float,
    *,
    slope: float = CLIP_SLOPE,
    straight_through: bool = False,
) -> Tensor:
    """Clipping that keeps a slope outside.

    Parameters
    ----------
    x : Tensor
        Floating point, any shape.
    low, high : float
        Range, in the unit of x. Both ends belong to it: the derivative there is 1.
    slope : float
        gamma in [0, 1], the derivative outside; 0 clips hard.
    straight_through : bool
        Value of the true clipping, gradient of this one.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        If the slope is no number in [0, 1].

    References
    ----------
    Thesis, eq. (4.4).
    """
    check_slope("slope", slope)
    inside = x.clamp(low, high)
    beyond = x - inside
    if straight_through:
        beyond = beyond - beyond.detach()
    return inside + slope * beyond


def quality_scale(
    quality: Tensor, floor: Rounding | None = "cubic", *, straight_through: bool = False
) -> Tensor:
    """Percentage by which libjpeg scales tables: 5000 / q below 50, 200 - 2 q from there, floored.

    Parameters
    ----------
    quality : Tensor
        In [1, 100], floating point, any shape; need not be whole.
    floor : Rounding or None
        What :func:`soft_floor` takes; None leaves the floor out.
    straight_through : bool
        As in :func:`soft_round`.

    Returns
    -------
    Tensor
        In percent. Before the floor the two branches meet at 50 in value and slope (-2).

    Raises
    ------
    TypeError, ValueError
        As :func:`soft_round`.

    References
    ----------
    Thesis, eq. (2.3) and section 4.1.1, "QT scale floor"; libjpeg, jpeg_quality_scaling.
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    if floor is None:
        return scale
    return soft_floor(scale, floor, straight_through=straight_through)


def scaled_table(
    base: Tensor,
    scale: Tensor,
    *,
    floor: Rounding | None = "cubic",
    slope: float | None = CLIP_SLOPE,
    straight_through: bool = False,
) -> Tensor:
    """Quantization table of a scale: floor((scale base + 50) / 100), clipped to [1, 255].

    Parameters
    ----------
    base : Tensor
        Steps at 100 %, positive.
    scale : Tensor
        In percent; broadcasts with base.
    floor : Rounding or None
        What :func:`soft_floor` takes. None: scale base / 100, without the half that makes a
        rounding of the floor, as Shin & Song (2017) have it.
    slope : float or None
        gamma of the clipping. None leaves it out, and keeps steps at or above 1e-3 instead, where
        the derivative is 0: quality 100 would make them 0.
    straight_through : bool
        As in :func:`soft_round`.

    Returns
    -------
    Tensor
        Steps, of the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        As :func:`soft_round` and :func:`soft_clip`.

    References
    ----------
    Thesis, section 2.1.1 and section 4.1.1, "QT floor", "QT clipping"; libjpeg,
    jpeg_add_quant_table with force_baseline.
    """
    if floor is None:
        table = base * scale / 100
    else:
        table = soft_floor((base * scale + 50) / 100, floor, straight_through=straight_through)
    if slope is None:
        return table.clamp(min=SMALLEST_STEP)
    return soft_clip(table, 1, 255, slope=slope, straight_through=straight_through)


def check_rounding(name: str, kind: Any) -> None:
    """Refuse what is neither a name of `KINDS` nor a function."""
    if not isinstance(kind, str):
        if not callable(kind):
            raise TypeError(
                f"{name} must be one of {', '.join(KINDS)}, or a function of a tensor; "
                f"got {kind!r} of type {type(kind).__name__}"
            )
    elif kind not in _PROFILES:
        near = get_close_matches(kind, KINDS, 1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{name} must be one of {', '.join(KINDS)}, or a function; got {kind!r}{hint}"
        )


def check_slope(name: str, slope: Any) -> None:
    """Refuse what is no number in [0, 1]."""
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise TypeError(f"{name} must be a number, got {slope!r} of type {type(slope).__name__}")
    if not 0 <= slope <= 1:
        raise ValueError(f"{name} must lie in [0, 1], 0 for hard clipping, got {slope!r}")


def _around(whole: Tensor, d: Tensor, kind: str, straight_through: bool) -> Tensor:
    g = _PROFILES[kind](d)
    return whole + (g - g.detach() if straight_through else g)


def _choose(whole: Tensor, soft: Tensor, straight_through: bool) -> Tensor:
    return whole + (soft - soft.detach()) if straight_through else soft


def _cubic(d: Tensor) -> Tensor:
    return d * d * d


def _linear(d: Tensor) -> Tensor:
    return 0.1 * d


def _fourier(d: Tensor) -> Tensor:
    g = d
    for k in range(1, _FOURIER_TERMS + 1):
        g = g + (-1) ** k / (k * math.pi) * torch.sin(2 * math.pi * k * d)
    return g


def _logistic(d: Tensor, steepness: float) -> Tensor:
    upper = d >= 0
    # S(t) - 1 = -S(-t): the upper end of the step below, without cancellation.
    s = torch.sigmoid(steepness * torch.where(upper, d - 0.5, -d - 0.5))
    return torch.where(upper, s, -s)


def _sigmoid(d: Tensor) -> Tensor:
    return _logistic(d, 60.0)


def _tanh(d: Tensor) -> Tensor:
    # 1/2 + tanh(5 y) / 2 = S(10 y)
    return _logistic(d, 10.0)


def _straight_through(d: Tensor) -> Tensor:
    return d - d.detach()


def _uniform_noise(d: Tensor) -> Tensor:
    return d + (torch.rand_like(d) - 0.5)


def _soft(d: Tensor) -> Tensor:
    # Levels k weigh exp(-h (d - k)^2). Those beyond +-2 weigh below exp(-60), and are left out.
    # Relative to the middle level; no exponent is positive, also in float16.
    mean = torch.zeros_like(d)
    total = torch.ones_like(d)
    for k in (1, 2):
        above, below = (torch.exp(-SOFT_HBAR * k * (k - sign * 2 * d)) for sign in (1, -1))
        mean = mean + k * (above - below)
        total = total + (above + below)
    return mean / total


_PROFILES: dict[str, Callable[[Tensor], Tensor]] = {
    "cubic": _cubic,
    "linear": _linear,
    "fourier": _fourier,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "straight_through": _straight_through,
    "soft": _soft,
    "uniform_noise": _uniform_noise,
}

KINDS = tuple(_PROFILES)
"""Names of the substitutes of rounding."""

__all__ = [
    "CLIP_SLOPE",
    "KINDS",
    "SMALLEST_STEP",
    "SOFT_HBAR",
    "Rounding",
    "check_rounding",
    "check_slope",
    "quality_scale",
    "scaled_table",
    "soft_clip",
    "soft_floor",
    "soft_round",
]
