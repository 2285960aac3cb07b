"""Evidence about a CPMF that needs no reference: what every one obeys.

As in :mod:`oracles.quantizer.identities`, all transformations of inputs are exact in binary
floating point, or judged only where they are; and what is allowed is the sum of what each result
may be off by.
"""

from __future__ import annotations

import numpy as np

from oracles.cpmf.subject import CpmfFindings, CpmfSubject, Masses
from oracles.findings import Codes
from oracles.subject import Array, Inputs
from reference.cpmf import nearest_level

__all__ = ["limits", "oddness", "ratio", "scale", "shift", "sums"]

# exp(-40) is below float64 rounding: further than sqrt(40 / h) from an end, it is not felt.
_REACH = 40.0
# Probabilities so much above the smallest normal number have kept all their digits.
_NORMAL = 1e3


def sums(
    subject: CpmfSubject, inputs: Inputs, regimes: Codes, got: Masses, out: CpmfFindings
) -> None:
    """Probabilities sum to one, and lie between 0 and 1."""
    p = got.probabilities
    bounds = subject.bounds(inputs, subject.expected_like(inputs, got.levels).levels)
    out.compare(
        "sums",
        regimes,
        "probabilities",
        subject,
        inputs,
        levels=None,
        got=p.sum(axis=1, keepdims=True),
        expected=np.ones((p.shape[0], 1)),
        tolerance=bounds.total[:, None],
    )
    limits_ = np.finfo(subject.dtype)
    out.compare(
        "range",
        regimes,
        "probabilities",
        subject,
        inputs,
        levels=got.levels,
        got=p,
        expected=np.clip(p, 0.0, 1.0),
        tolerance=np.where(p < 0, float(limits_.smallest_subnormal) / 2, 4 * float(limits_.eps)),
    )


def ratio(
    subject: CpmfSubject, inputs: Inputs, regimes: Codes, got: Masses, out: CpmfFindings
) -> None:
    """log(p_{i+1} / p_i) = h (2c - 2i - 1), whatever the support: only the exponents enter."""
    levels = subject.expected_like(inputs, got.levels).levels
    bounds = subject.bounds(inputs, levels)
    limits_ = np.finfo(subject.dtype)
    with np.errstate(all="ignore"):
        log_p = np.log(got.probabilities)
        # What the exact logarithm relative to the nearest level is, and how low it may come out.
        _, distance = nearest_level(inputs.z, inputs.q, subject.max_level)
        f, h = (distance / inputs.q)[:, None], (inputs.alpha * inputs.q * inputs.q)[:, None]
        exponent = h * bounds.offsets * (2 * f - bounds.offsets)
        lowest = exponent - bounds.exponents - np.log(subject.count)
        normal = lowest > np.log(_NORMAL * float(limits_.tiny))
        pairs = normal[:, 1:] & normal[:, :-1]
        tolerance = bounds.exponents[:, 1:] + bounds.exponents[:, :-1]
        tolerance = tolerance + 4 * float(limits_.eps)
        found = np.where(pairs, log_p[:, 1:] - log_p[:, :-1], bounds.log_ratio)
    some = pairs.any(axis=1)
    out.compare(
        "ratio",
        regimes if isinstance(regimes, str) else regimes[some],
        "probabilities",
        subject,
        inputs.take(some),
        levels=levels[some],
        got=found[some],
        expected=bounds.log_ratio[some],
        tolerance=tolerance[some],
    )


def oddness(
    subject: CpmfSubject, inputs: Inputs, regimes: Codes, got: Masses, out: CpmfFindings
) -> None:
    """-z has the mirrored levels and probabilities; masked not at ties."""
    mirrored = Inputs(-inputs.z, inputs.q, inputs.alpha)
    keep = np.ones(inputs.z.shape, dtype=np.bool_)
    if subject.window is not None:
        _, distance = nearest_level(inputs.z, inputs.q, subject.max_level)
        keep = subject.sure(inputs) & (np.abs(distance) != 0.5 * inputs.q)
    found = subject(mirrored).take(keep)
    tolerance = subject.bounds(inputs, subject.expected(inputs).levels).probabilities
    out.compare_masses(
        "oddness",
        _chosen(regimes, keep),
        subject,
        mirrored.take(keep),
        got=found,
        expected=Masses(-got.levels[keep, ::-1], got.probabilities[keep, ::-1]),
        tolerance=2 * tolerance[keep, ::-1],
    )


def scale(
    subject: CpmfSubject, inputs: Inputs, regimes: Codes, got: Masses, out: CpmfFindings
) -> None:
    """(s z, s q, alpha / s^2) has the same levels and probabilities, s a power of two."""
    s = np.where(np.arange(inputs.z.size) % 2 == 0, 4.0, 0.125)
    scaled = Inputs(inputs.z * s, inputs.q * s, inputs.alpha / s**2)
    rounded = subject.points.round(*scaled)
    keep = np.all([np.equal(a, b) for a, b in zip(scaled, rounded, strict=True)], axis=0)
    limits_ = np.finfo(subject.dtype)
    for array in (scaled.q, scaled.alpha):
        keep &= (array >= limits_.tiny) & (array <= limits_.max)
    # h and z / q have to stay normal numbers on the way, in whichever order.
    keep &= (scaled.q > float(limits_.tiny) ** 0.3) & (scaled.q < float(limits_.max) ** 0.3)
    keep &= subject.sure(inputs)
    tolerance = subject.bounds(inputs, subject.expected(inputs).levels).probabilities
    out.compare_masses(
        "scale",
        _chosen(regimes, keep),
        subject,
        rounded.take(keep),
        got=subject(rounded).take(keep),
        expected=got.take(keep),
        tolerance=2 * tolerance[keep],
    )


def shift(subject: CpmfSubject, out: CpmfFindings, rng: np.random.Generator, *, count: int) -> None:
    """Z + m q has the probabilities of z, m levels higher, away from the ends."""
    top = subject.max_level
    # Few significant bits, so that z + m q is exact in float32.
    whole = rng.integers(1, 16, count).astype(np.float64)
    q = whole * np.exp2(rng.integers(-6, 5, count).astype(np.float64))
    h = np.exp(rng.uniform(np.log(0.3), np.log(300.0), count))
    reach = np.sqrt(_REACH / h) if subject.window is None else subject.window // 2 + 1.0
    room = top - 1.0 - np.broadcast_to(reach, q.shape)
    step = np.floor(rng.uniform(1, np.maximum(2 * room, 1) + 1))
    start = np.round(rng.uniform(-room, np.maximum(room - step, -room)) * 64) / 64
    near = subject.points.round(start * q, q, (h / q) / q)
    far = subject.points.round(near.z + step * near.q, near.q, near.alpha)
    keep = (room >= 1) & (step <= 2 * room) & (far.z - near.z == step * near.q)
    keep &= subject.sure(near) & subject.sure(far)
    if not keep.any():
        return
    near, far, step = near.take(keep), far.take(keep), step[keep]
    one, other = subject(near), subject(far)
    levels = subject.expected(near).levels
    tolerance = subject.bounds(near, levels).probabilities
    tolerance = tolerance + subject.bounds(far, subject.expected(far).levels).probabilities
    if subject.window is None:
        # Column of the level m higher; the last m levels of the first call have no counterpart.
        column = np.arange(subject.count) + step[:, None].astype(np.intp)
        inside = column < subject.count
        column = np.minimum(column, subject.count - 1)
        moved = np.take_along_axis(other.probabilities, column, axis=1)
        wide = subject.bounds(far, subject.expected(far).levels).probabilities
        allowed = subject.bounds(near, levels).probabilities
        allowed = allowed + np.take_along_axis(wide, column, axis=1)
        # Float64 rounding of the sum, for what the ends cut off.
        tolerance = allowed + np.finfo(np.float64).eps * one.probabilities
        other = Masses(levels + step[:, None], np.where(inside, moved, one.probabilities))
        one = Masses(levels, one.probabilities)
    out.compare_masses(
        "shift",
        "interior",
        subject,
        far,
        got=other,
        expected=Masses(one.levels + step[:, None], one.probabilities),
        tolerance=tolerance,
    )


def limits(
    subject: CpmfSubject, out: CpmfFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Hard: all on the nearest level; a tie: half on each of two; flat: the same on all.

    The expected results are written down here, without the reference.
    """
    top = subject.max_level
    n = rng.integers(-top, top + 1, count).astype(np.float64)
    q = rng.uniform(0.1, 9.0, count)
    f = rng.uniform(-0.4, 0.4, count)
    hard = subject.points.round((n + f) * q, q, 1e7 / q**2)
    levels = _levels(subject, n)
    _limit("hard limit", subject, out, hard, levels, (levels == n[:, None]) * 1.0)

    power = np.exp2(rng.integers(-4, 5, count).astype(np.float64))
    lower = rng.integers(-top, top, count).astype(np.float64)
    tie = subject.points.round((lower + 0.5) * power, power, 1e4 / power**2)
    levels = _levels(subject, lower + 1)
    expected = 0.5 * ((levels == lower[:, None]) | (levels == lower[:, None] + 1))
    _limit("tie limit", subject, out, tie, levels, expected)

    # With q a power of two some of them are exact ties, which go half-up.
    half = np.arange(count) % 2 == 0
    flat = subject.points.round((n + np.where(half, 0.5, f)) * power, power, 1e-30 / power**2)
    levels = _levels(subject, np.minimum(n + half, top))
    _limit("flat limit", subject, out, flat, levels, np.full(levels.shape, 1 / subject.count))


def _levels(subject: CpmfSubject, nearest: Array) -> Array:
    if subject.window is None:
        first = np.full(nearest.shape, -float(subject.max_level))
    else:
        half = subject.window // 2
        lowest, highest = -subject.max_level, subject.max_level - subject.window + 1
        first = np.clip(nearest - half, lowest, highest)
    found: Array = first[:, None] + np.arange(subject.count)
    return found


def _limit(
    regime: str,
    subject: CpmfSubject,
    out: CpmfFindings,
    inputs: Inputs,
    levels: Array,
    expected: Array,
) -> None:
    out.compare_masses(
        "limits",
        regime,
        subject,
        inputs,
        got=subject(inputs),
        expected=Masses(levels, expected),
        tolerance=subject.bounds(inputs, levels).probabilities,
    )


def _chosen(regimes: Codes, keep: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Codes:
    return regimes if isinstance(regimes, str) else regimes[keep]
