"""Evidence that needs no reference: identities, limits by hand, the definition in fractions.

Each function adds one kind of evidence to the findings.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from oracles.baselines.cases import round_points
from oracles.baselines.subject import BaselineFindings, BaselineSubject, Points
from oracles.findings import Codes
from oracles.subject import Array
from reference.cpmf import nearest_level

__all__ = [
    "bounds",
    "definition",
    "differences",
    "euler",
    "limits",
    "nonfinite",
    "oddness",
    "scale",
    "shift",
]

# Points of the definition in one batch: fractions are slow.
_DEFINED = 40


def definition(
    subject: BaselineSubject, points: Points, regimes: Codes, got: Array, out: BaselineFindings
) -> None:
    """The definition, q R(clip(z/q)) and what stands for its derivatives, in fractions."""
    chosen = np.flatnonzero(subject.sure(points))[:_DEFINED]
    points, got = points.take(chosen), got[:, chosen]
    rows = [
        _exactly(subject.kind, Fraction(z), Fraction(q), Fraction(u), subject.max_level)
        for z, q, u in zip(*(array.tolist() for array in points), strict=True)
    ]
    expected = np.array([[float(x) for x in row] for row in rows]).T.reshape(3, -1)
    expected[2] *= subject.scale
    out.compare(
        "definition",
        "all" if isinstance(regimes, str) else regimes[chosen],
        subject,
        points,
        got=got,
        expected=expected,
        tolerance=subject.tolerance(points),
    )


def _exactly(
    kind: str, z: Fraction, q: Fraction, u: Fraction, end: int
) -> tuple[Fraction, Fraction, Fraction]:
    c = z / q
    x = min(max(c, Fraction(-end)), Fraction(end))
    r = Fraction(math.floor(x + Fraction(1, 2)))
    rounded, slope = {
        "uniform_noise": (x + u, Fraction(1)),
        "cubic": (r + (x - r) ** 3, 3 * (x - r) ** 2),
        "straight_through": (r, Fraction(1)),
        "hard": (r, Fraction(0)),
    }[kind]
    if abs(c) >= end:
        slope = Fraction(0)
    return q * rounded, slope, rounded - slope * x


def euler(
    subject: BaselineSubject, points: Points, regimes: Codes, got: Array, out: BaselineFindings
) -> None:
    """Each is homogeneous of degree one in (z, q): z Q_z + q Q_q = Q, stand-ins included."""
    value, dz, dq = got
    z, q, _ = points
    allowed = subject.tolerance(points)
    out.compare(
        "euler",
        regimes,
        subject,
        points,
        got=(z * dz + q * (dq / subject.scale))[None],
        expected=value[None],
        tolerance=(np.abs(z) * allowed[1] + q * (allowed[2] / subject.scale) + allowed[0])[None],
        outputs=("value",),
    )


def bounds(
    subject: BaselineSubject, points: Points, regimes: Codes, got: Array, out: BaselineFindings
) -> None:
    """The value is no further from the cut coefficient than the kind allows, and in the range."""
    z, q, noise = points
    end = subject.max_level * q
    cut = np.clip(z, -end, end)
    # d - d^3 rises up to d = 1/2, where it is 3/8.
    reach = {
        "uniform_noise": np.abs(noise),
        "cubic": np.full(z.shape, 0.375),
        "straight_through": np.full(z.shape, 0.5),
        "hard": np.full(z.shape, 0.5),
    }[subject.kind]
    extra = np.abs(noise) if subject.kind == "uniform_noise" else 0.0
    low = np.maximum(cut - reach * q, -end - extra * q)
    high = np.minimum(cut + reach * q, end + extra * q)
    out.compare(
        "bounds",
        regimes,
        subject,
        points,
        got=got[:1],
        expected=np.clip(got[:1], low, high),
        tolerance=2 * subject.tolerance(points)[:1],
        outputs=("value",),
    )


def oddness(
    subject: BaselineSubject, points: Points, regimes: Codes, got: Array, out: BaselineFindings
) -> None:
    """Q(-z) = -Q(z), with noise Q(-z, -u) = -Q(z, u), and the derivatives; not at ties."""
    _, distance = nearest_level(points.z, points.q, subject.max_level)
    keep = subject.sure(points) & (np.abs(distance) != 0.5 * points.q)
    mirrored = subject(Points(-points.z, points.q, -points.noise))
    out.compare(
        "oddness",
        regimes if isinstance(regimes, str) else regimes[keep],
        subject,
        points.take(keep),
        got=np.array([-1.0, 1.0, -1.0])[:, None] * mirrored[:, keep],
        expected=got[:, keep],
        tolerance=2 * subject.tolerance(points.take(keep)),
    )


def scale(
    subject: BaselineSubject, points: Points, regimes: Codes, got: Array, out: BaselineFindings
) -> None:
    """Q(sz, sq) = s Q(z, q), partials unchanged; powers of two, which are exact in binary."""
    factor = np.where(np.arange(points.z.size) % 2 == 0, 4.0, 0.125)
    scaled = Points(factor * points.z, factor * points.q, points.noise)
    limits = np.finfo(subject.dtype)
    size = np.abs(np.array([*points[:2], *scaled[:2]]))
    normal = (size >= 64 * float(limits.tiny)) | (size == 0)
    keep = (normal & (size <= float(limits.max) / 64)).all(axis=0) & subject.sure(points)
    again = subject(scaled)
    again[0] /= factor
    out.compare(
        "scale",
        regimes if isinstance(regimes, str) else regimes[keep],
        subject,
        points.take(keep),
        got=again[:, keep],
        expected=got[:, keep],
        tolerance=2 * subject.tolerance(points.take(keep)),
    )


def _few_bits(
    subject: BaselineSubject, rng: np.random.Generator, count: int
) -> tuple[Array, Array, Array]:
    """Levels, offsets and steps whose sums and products are exact in float32.

    Steps have 8 bits, offsets are even multiples of 1/64 within 7/16, levels have 7 bits.
    """
    top = min(subject.max_level - 1, 100)
    n, f = (rng.integers(-end, end + 1, count).astype(np.float64) for end in (top, 14))
    digits, power = rng.integers(1, 256, count), rng.integers(-9, 1, count)
    q = digits.astype(np.float64) * np.exp2(power.astype(np.float64))
    return n, f / 32, q


def shift(
    subject: BaselineSubject, out: BaselineFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Q(z + mq) = Q(z) + mq in the interior, and its derivatives."""
    n, f, q = _few_bits(subject, rng, count)
    m = np.rint(n * rng.uniform(-1.0, 1.0, count)) - n
    noise = rng.integers(-64, 65, count) / 128
    here, there = Points((n + f) * q, q, noise), Points((n + m + f) * q, q, noise)
    got, moved = subject(here), subject(there)
    _, dz, dq = got
    # Of d/dq the level's share changes: R - x R' becomes R + m - (x + m) R'.
    expected = np.array([got[0] + m * q, dz, dq + subject.scale * m * (1 - dz)])
    allowed = subject.tolerance(here) + subject.tolerance(there)
    allowed[2] += subject.scale * np.abs(m) * subject.tolerance(here)[1]
    out.compare(
        "shift", "interior", subject, there, got=moved, expected=expected, tolerance=allowed
    )


def differences(
    subject: BaselineSubject, out: BaselineFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Within a bin, differences of values are integrals of dz, by Simpson's rule.

    dz is a polynomial of degree two there, for which the rule is exact. With Euler's identity dq
    follows. The straight-through gradient is no derivative.
    """
    if subject.kind == "straight_through":
        return
    n, f, q = _few_bits(subject, rng, count)
    g = rng.integers(-14, 15, count) / 32
    noise = rng.integers(-64, 65, count) / 128
    places = [Points((n + x) * q, q, noise) for x in (f, (f + g) / 2, g)]
    first, middle, last = (subject(point) for point in places)
    width = (g - f) * q
    allowed = [subject.tolerance(point) for point in places]
    out.compare(
        "differences",
        "one bin",
        subject,
        places[2],
        got=(width / 6 * (first[1] + 4 * middle[1] + last[1]))[None],
        expected=(last[0] - first[0])[None],
        tolerance=(
            allowed[0][0] + allowed[2][0] + np.abs(width) * np.max([a[1] for a in allowed], axis=0)
        )[None],
        outputs=("dz",),
    )


def limits(
    subject: BaselineSubject, out: BaselineFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Levels, ties and saturation, by hand; steps are powers of two, so nothing rounds."""
    end = subject.max_level
    q = np.exp2(rng.integers(-6, 7, count)).astype(float)
    n = rng.integers(-end + 1, end, count).astype(float)
    zero, one, kind = np.zeros(count), np.ones(count), subject.kind
    through = one if kind in ("uniform_noise", "straight_through") else zero
    level = (n * q, through, zero if kind in ("uniform_noise", "straight_through") else n)
    # Half-up: the tie n + 1/2 belongs to n + 1, half a step above it.
    tie = {
        "uniform_noise": ((n + 0.5) * q, one, zero),
        "cubic": ((n + 0.875) * q, 0.75 * one, (n + 1) / 4 + 0.25),
        "straight_through": ((n + 1) * q, one, 0.5 * one),
        "hard": ((n + 1) * q, zero, n + 1),
    }[kind]
    side = np.where(n < 0, -1.0, 1.0)
    beyond = side * (end + np.abs(n) * 0.75)
    saturated = (side * end * q, zero, side * end)
    for regime, c, rows in (
        ("level", n, level),
        ("tie", n + 0.5, tie),
        ("saturated", beyond, saturated),
    ):
        points = Points(c * q, q, zero)
        expected = np.array(rows)
        expected[2] *= subject.scale
        out.compare(
            "limits",
            regime,
            subject,
            points,
            got=subject(points),
            expected=expected,
            tolerance=subject.tolerance(points),
        )


def nonfinite(subject: BaselineSubject, out: BaselineFindings, rng: np.random.Generator) -> None:
    """Infinity saturates; NaN makes the three outputs of its own element NaN, and no other."""
    z = np.array([np.inf, 0.3, -np.inf, np.nan, -1.2, np.nan, np.inf])
    points = round_points(subject.dtype, z, rng.uniform(0.5, 2.0, 7), rng.uniform(-0.5, 0.5, 7))
    got, expected = subject(points), subject.expected(points)
    both = np.isnan(got) & np.isnan(expected)
    out.compare(
        "nonfinite",
        "inf and NaN",
        subject,
        points,
        got=np.where(both, 0.0, got),
        expected=np.where(both, 0.0, expected),
        tolerance=subject.tolerance(points),
    )
