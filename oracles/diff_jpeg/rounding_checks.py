"""Evidence about roundings that needs no reference: identities, kinks, values by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from oracles.diff_jpeg.rounding_cases import few_bits, with_noise
from oracles.diff_jpeg.rounding_subject import (
    Array,
    RoundingFindings,
    RoundingPoints,
    RoundingSubject,
)
from oracles.diff_jpeg.rounding_tolerance import STEEPNESS
from oracles.findings import Codes

__all__ = [
    "bounds",
    "differences",
    "integers",
    "jumps",
    "limits",
    "monotone",
    "nonfinite",
    "oddness",
    "period",
]

#: How far the value may be from x: the largest |g(d) - d|. The cubic has 1/2 - 1/8 at a tie; a
#: partial Fourier sum of the sawtooth overshoots to Si(pi) / pi.
_REACH = {"cubic": 0.375, "linear": 0.45, "fourier": 0.59}

#: Nodes and weights on [0, 1]. Over 1/32 of a level the integrand moves by two logistic units at
#: most, and the rule of eight nodes is exact to 1e-12.
_NODES, _WEIGHTS = (a / 2 for a in np.polynomial.legendre.leggauss(8))
_NODES = _NODES + 0.5
_WIDTH = 1 / 32


def integers(
    subject: RoundingSubject,
    points: RoundingPoints,
    regimes: Codes,
    got: Array,
    out: RoundingFindings,
) -> None:
    """Where the value is an integer it is that of rational arithmetic, halves up."""
    if not subject.exact:
        return
    half = Fraction(0 if subject.floor else 1, 2)
    whole = np.array([float(math.floor(Fraction(x) + half)) for x in points.x.tolist()])
    _values(subject, "integers", regimes, points, got, whole, out)


def bounds(
    subject: RoundingSubject,
    points: RoundingPoints,
    regimes: Codes,
    got: Array,
    out: RoundingFindings,
) -> None:
    """The value is no further from x (from x - 1/2, where it is floored) than the kind allows."""
    y = points.x - 0.5 * subject.floor
    reach = np.full(y.shape, 0.5 if subject.exact else _REACH.get(subject.kind, 0.5))
    if subject.kind == "uniform_noise" and not subject.exact:
        reach = np.abs(points.noise)
    # x - 1/2 itself rounds, here.
    reach = reach + 2.0**-52 * np.abs(y)
    nearest = np.clip(got[0], y - reach, y + reach)
    _values(subject, "bounds", regimes, points, got, nearest, out)


def monotone(
    subject: RoundingSubject,
    points: RoundingPoints,
    regimes: Codes,
    got: Array,
    out: RoundingFindings,
) -> None:
    """No derivative is negative, and no larger x has a smaller value; Fourier's do and have."""
    if subject.kind == "fourier":
        return
    tolerance = subject.tolerance(points)
    out.compare(
        "monotone",
        regimes,
        subject,
        points,
        got=got[1:],
        expected=np.maximum(got[1:], 0.0),
        tolerance=tolerance[1:],
        outputs=("derivative",),
    )
    if subject.kind == "uniform_noise" and not subject.straight_through:
        return
    order = np.argsort(points.x, kind="stable")
    value, allowed = got[0, order], tolerance[0, order]
    out.compare(
        "monotone",
        "all",
        subject,
        points.take(order[1:]),
        got=value[1:][None],
        expected=np.maximum(value[1:], value[:-1])[None],
        tolerance=(allowed[1:] + allowed[:-1])[None],
        outputs=("value",),
    )


def period(
    subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """R(x + n) = R(x) + n, and the derivative has period 1."""
    n, d = few_bits(rng, count)
    d[::7] = -0.5  # a tie
    here = with_noise(subject.at(d), subject.dtype, rng)
    there = RoundingPoints(here.x + n, here.noise)
    got, moved = subject(here), subject(there)
    out.compare(
        "period",
        "few bits",
        subject,
        there,
        got=moved - np.array([n, 0 * n]),
        expected=got,
        tolerance=subject.tolerance(here) + subject.tolerance(there),
    )


def oddness(
    subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """R(-y) = -R(y), and the derivative is even; not at ties, nor where a logistic step jumps."""
    n, d = few_bits(rng, count)
    d[d == 0] = 0.25
    here = with_noise(subject.at(n + d), subject.dtype, rng)
    mirrored = RoundingPoints(subject.at(-(n + d)), -here.noise)
    got, other = subject(here), subject(mirrored)
    out.compare(
        "oddness",
        "few bits",
        subject,
        here,
        got=np.array([-1.0, 1.0])[:, None] * other,
        expected=got,
        tolerance=subject.tolerance(here) + subject.tolerance(mirrored),
    )


def differences(
    subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Differences of values are integrals of the derivative, up to each side of every kink."""
    if subject.exact:
        return
    n, d = few_bits(rng, count, top=3)
    d = np.clip(d, -0.5 + 2 * _WIDTH, 0.5 - 2 * _WIDTH)
    # Clear of the integers, where the logistic steps jump.
    d = np.where(np.abs(d) < 2 * _WIDTH, 0.25, d)
    below = float(np.spacing(subject.dtype.type(4)))  # nowhere here are two floats further apart
    for regime, start, stop in (
        ("inside", n + d, n + d + _WIDTH),
        ("right of ties", n - 0.5, n - 0.5 + _WIDTH),
        ("left of ties", n + 0.5 - _WIDTH, n + 0.5 - below),
        ("right of integers", n, n + _WIDTH),
        ("left of integers", n - _WIDTH, n - below),
    ):
        width = stop - start
        nodes = subject.at(start + width * _NODES[:, None])
        kind = subject.dtype
        noise = with_noise(start, kind, rng).noise
        ends = [RoundingPoints(subject.at(y), noise) for y in (start, stop)]
        inner = RoundingPoints(
            nodes.astype(kind).astype(np.float64).ravel(), np.tile(noise, _NODES.size)
        )
        first, last = (subject(point) for point in ends)
        slopes = subject(inner)[1].reshape(nodes.shape)
        allowed = subject.tolerance(inner)[1].reshape(nodes.shape)
        # A node that rounds moves by an eps of 4, the derivative by its curvature times that.
        moved = _CURVE[subject.kind] * below
        out.compare(
            "differences",
            regime,
            subject,
            ends[0],
            got=(width * (_WEIGHTS[:, None] * slopes).sum(0))[None],
            expected=(last[0] - first[0])[None],
            tolerance=(
                sum(subject.tolerance(point)[0] for point in ends)
                + width * (allowed.max(0) + moved + 1e-11)
            )[None],
            outputs=("derivative",),
        )


#: Largest curvature of each profile; the Fourier series has 4 pi (1 + ... + 10) at most.
_CURVE = {"cubic": 3.0, "linear": 0.0, "fourier": 700.0, "uniform_noise": 0.0} | {
    kind: 0.1 * steepness**2 for kind, steepness in STEEPNESS.items()
}


def jumps(
    subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """From just below a tie, or an integer, the value jumps by what the kind has there."""
    steepness, noisy = STEEPNESS.get(subject.kind), subject.kind == "uniform_noise"
    tie = {"cubic": 0.75, "linear": 0.9, "straight_through": 1.0}.get(subject.kind, 0.0)
    jump = 0.0
    if steepness is not None and subject.kind != "soft":
        jump = 2 / (1 + math.exp(steepness / 2))
    if subject.exact:
        tie, jump = 1.0, 0.0
    n, _ = few_bits(rng, count, top=20)
    for regime, y, size in (("ties", n + 0.5, tie), ("integers", n, jump)):
        x = subject.at(y)
        here = with_noise(x, subject.dtype, rng)
        low = np.nextafter(x.astype(subject.dtype), -np.inf, dtype=subject.dtype)
        under = RoundingPoints(low.astype(np.float64), here.noise)
        got = subject(here)[0] - subject(under)[0]
        # Between the two the value rises by the slope, 21 at most, times their distance; doubled.
        steepest = 0.0 if subject.exact else 2.0 if noisy else 42.0
        out.compare(
            "jumps",
            regime,
            subject,
            here,
            got=got[None],
            expected=np.full((1, count), size),
            tolerance=(
                subject.tolerance(here)[0]
                + subject.tolerance(under)[0]
                + steepest * (here.x - under.x)
            )[None],
            outputs=("value",),
        )


def limits(
    subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Value and derivative at integers and at ties, by hand."""
    kind = subject.kind
    step = 1 / (1 + math.exp(STEEPNESS.get(kind, 0.0) / 2))
    steep = STEEPNESS.get(kind, 0.0)
    # Of an even number of cosines at 0, of alternating sign, nothing is left; at 1/2 all are -1
    # times their sign.
    at_integer, at_tie = {
        "cubic": ((0.0, 0.0), (-1 / 8, 0.75)),
        "linear": ((0.0, 0.1), (-0.05, 0.1)),
        "fourier": ((0.0, 1.0), (-0.5, 21.0)),
        "straight_through": ((0.0, 1.0), (0.0, 1.0)),
        "uniform_noise": ((0.0, 1.0), (-0.5, 1.0)),
        # Two neighbours, each of weight exp(-10), move the derivative only; further ones have
        # exp(-40). At a tie of two levels, exp(-20) is what the next ones come to.
        "soft": ((0.0, _SOFT_SLOPE[0]), (-0.5, _SOFT_SLOPE[1])),
    }.get(kind, ((step, steep * step * (1 - step)), (-0.5, steep / 4)))
    n, _ = few_bits(rng, count, top=20)
    for regime, y, (g, slope) in (("integers", n, at_integer), ("ties", n - 0.5, at_tie)):
        points = with_noise(subject.at(y), subject.dtype, rng)
        value = n + (0.0 if subject.exact else g)
        if kind == "uniform_noise" and not subject.exact:
            value = value + points.noise
        out.compare(
            "limits",
            regime,
            subject,
            points,
            got=subject(points),
            expected=np.array([value, np.full(count, slope)]),
            tolerance=subject.tolerance(points),
        )


def _soft_slope(d: Fraction) -> float:
    """Twice hbar times the variance of levels weighed by exp(-hbar (d - k)^2), hbar = 10."""
    weights = {k: math.exp(-10 * float((d - k) ** 2)) for k in range(-6, 7)}
    total = sum(weights.values())
    mean = sum(k * w for k, w in weights.items()) / total
    return 20 * sum((k - mean) ** 2 * w for k, w in weights.items()) / total


_SOFT_SLOPE = (_soft_slope(Fraction(0)), _soft_slope(Fraction(-1, 2)))


def nonfinite(subject: RoundingSubject, out: RoundingFindings, rng: np.random.Generator) -> None:
    """NaN stays NaN, infinity becomes no finite number, and neither reaches its neighbours."""
    x = np.array([0.3, np.nan, -1.7, np.inf, 2.5, -np.inf, np.nan, 0.1])
    points = with_noise(x, subject.dtype, rng)
    kept = np.flatnonzero(np.isfinite(x))
    got, alone = subject(points), subject(points.take(kept))
    out.compare(
        "nonfinite",
        "neighbours",
        subject,
        points.take(kept),
        got=got[:, kept],
        expected=alone,
        tolerance=2 * subject.tolerance(points.take(kept)),
    )
    for regime, index in (("NaN", np.isnan(x)), ("inf", np.isinf(x))):
        value = got[0, index]
        good = np.isnan(value) | (np.isinf(value) & (value == x[index]))
        out.compare(
            "nonfinite",
            regime,
            subject,
            points.take(index),
            got=np.where(good, 0.0, value)[None],
            expected=np.zeros((1, value.size)),
            tolerance=np.where(good, 1.0, np.nan)[None],
            outputs=("value",),
        )


def _values(
    subject: RoundingSubject,
    evidence: str,
    regimes: Codes,
    points: RoundingPoints,
    got: Array,
    expected: Array,
    out: RoundingFindings,
) -> None:
    out.compare(
        evidence,
        regimes,
        subject,
        points,
        got=got[:1],
        expected=expected[None],
        tolerance=2 * subject.tolerance(points)[:1],
        outputs=("value",),
    )
