"""Evidence that needs no reference: what every soft quantizer obeys.

Each function takes the implementation under test and adds its checks. The acceptable deviation
is always the sum of what each result that enters may be off by (:mod:`oracles.tolerance`).
All transformations of inputs are exact in binary floating point, or judged only where they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracles.subject import Array, Inputs, PointFindings, Subject
from reference.cpmf import nearest_level

__all__ = ["bounds", "euler", "limits", "monotone", "oddness", "scale", "shift"]

Codes = NDArray[np.intp]

# exp(-40) is below float64 rounding: further than sqrt(40 / h) from an end, it is not felt.
_REACH = 40.0
_SIGNS_OF_ODDNESS = np.array([[-1.0], [1.0], [-1.0], [-1.0]])


def oddness(
    subject: Subject, inputs: Inputs, regimes: Codes, got: Array, out: PointFindings
) -> None:
    """Q(-z) = -Q(z); masked not at ties, where half-up takes sides."""
    mirrored = Inputs(-inputs.z, inputs.q, inputs.alpha)
    keep = np.ones(inputs.z.shape, dtype=np.bool_)
    if subject.window is not None:
        _, distance = nearest_level(inputs.z, inputs.q, subject.max_level)
        keep = ~subject.ambiguous(inputs) & (np.abs(distance) != 0.5 * inputs.q)
    expected = _SIGNS_OF_ODDNESS * got
    out.compare_all(
        "oddness",
        regimes[keep],
        subject,
        mirrored.take(keep),
        got=subject(mirrored)[:, keep],
        expected=expected[:, keep],
        tolerance=2 * subject.tolerance(inputs)[:, keep],
    )


def scale(subject: Subject, inputs: Inputs, regimes: Codes, got: Array, out: PointFindings) -> None:
    """Q(s z, s q, alpha / s^2) = s Q(z, q, alpha), with s a power of two per element."""
    s = np.where(np.arange(inputs.z.size) % 2 == 0, 4.0, 0.125)
    scaled = Inputs(inputs.z * s, inputs.q * s, inputs.alpha / s**2)
    rounded = subject.round(*scaled)
    exact = np.all([np.equal(a, b) for a, b in zip(scaled, rounded, strict=True)], axis=0)
    limits_ = np.finfo(subject.dtype)
    for array in (scaled.q, scaled.alpha):
        exact &= (array >= limits_.tiny) & (array <= limits_.max)
    # d/dalpha goes with q^3, which has to stay a normal number.
    exact &= (scaled.q > float(limits_.tiny) ** (1 / 3)) & (scaled.q < float(limits_.max) ** 0.2)
    keep = exact & ~subject.ambiguous(inputs)
    factor = np.array([s, np.ones_like(s), np.ones_like(s), s**3])
    tolerance = factor * subject.tolerance(inputs) + subject.tolerance(rounded)
    out.compare_all(
        "scale",
        regimes[keep],
        subject,
        rounded.take(keep),
        got=subject(rounded)[:, keep],
        expected=(factor * got)[:, keep],
        tolerance=tolerance[:, keep],
    )


def euler(subject: Subject, inputs: Inputs, regimes: Codes, got: Array, out: PointFindings) -> None:
    """Euler: z Q_z + q Q_q - 2 alpha Q_alpha = Q, from one call."""
    keep = ~subject.ambiguous(inputs)
    z, q, alpha = inputs.take(keep)
    value, dz, dq, dalpha = got[:, keep]
    t_value, t_dz, t_dq, t_dalpha = subject.tolerance(inputs)[:, keep]
    out.compare(
        "euler",
        regimes[keep],
        "value",
        subject,
        inputs.take(keep),
        got=z * dz + q * dq - 2 * alpha * dalpha,
        expected=value,
        tolerance=t_value + np.abs(z) * t_dz + q * t_dq + 2 * alpha * t_dalpha,
    )


def bounds(
    subject: Subject, inputs: Inputs, regimes: Codes, got: Array, out: PointFindings
) -> None:
    """The value lies between the first and the last level of the support."""
    keep = ~subject.ambiguous(inputs)
    inside = inputs.take(keep)
    half = subject.max_level if subject.window is None else subject.window // 2
    centre = subject.centre(inside)
    low, high = (centre - half) * inside.q, (centre + half) * inside.q
    value = got[0, keep]
    out.compare(
        "bounds",
        regimes[keep],
        "value",
        subject,
        inside,
        got=value,
        expected=np.clip(value, low, high),
        tolerance=subject.tolerance(inside)[0],
    )


def monotone(
    subject: Subject,
    inputs: Inputs,
    regimes: Codes,
    got: Array,
    out: PointFindings,
    rng: np.random.Generator,
) -> None:
    """Q_z >= 0, and a larger z has no smaller value."""
    tolerance = subject.tolerance(inputs)
    out.compare(
        "monotone",
        regimes,
        "dz",
        subject,
        inputs,
        got=got[1],
        expected=np.maximum(got[1], 0.0),
        tolerance=tolerance[1],
    )
    step = inputs.q * rng.uniform(0.0, 1.5, inputs.q.size)
    larger = subject.round(inputs.z + step, inputs.q, inputs.alpha)
    keep = ~subject.ambiguous(inputs) & ~subject.ambiguous(larger) & (larger.z > inputs.z)
    value = subject(larger)[0, keep]
    out.compare(
        "monotone",
        regimes[keep],
        "value",
        subject,
        larger.take(keep),
        got=value,
        expected=np.maximum(value, got[0, keep]),
        tolerance=tolerance[0, keep] + subject.tolerance(larger)[0, keep],
    )


def shift(subject: Subject, out: PointFindings, rng: np.random.Generator, *, count: int) -> None:
    """Q(z + m q) = Q(z) + m q away from the ends; Q_q grows by m (1 - Q_z)."""
    level = subject.max_level
    # Few significant bits, so that z + m q is exact in float32.
    whole = rng.integers(1, 16, count).astype(np.float64)
    q = whole * np.exp2(rng.integers(-6, 5, count).astype(np.float64))
    h = np.exp(rng.uniform(np.log(0.3), np.log(300.0), count))
    reach = np.sqrt(_REACH / h) if subject.window is None else subject.window // 2 + 1.0
    room = level - 1.0 - np.broadcast_to(reach, q.shape)
    step = np.floor(rng.uniform(1, np.maximum(2 * room, 1) + 1))
    start = np.round(rng.uniform(-room, np.maximum(room - step, -room)) * 64) / 64
    near = subject.round(start * q, q, (h / q) / q)
    far = subject.round(near.z + step * near.q, near.q, near.alpha)
    keep = (room >= 1) & (step <= 2 * room) & (far.z - near.z == step * near.q)
    keep &= ~subject.ambiguous(near) & ~subject.ambiguous(far)
    if not keep.any():
        return
    near, far, step = near.take(keep), far.take(keep), step[keep]
    got = subject(near)
    zero = np.zeros_like(step)
    expected = got + np.array([step * near.q, zero, step * (1 - got[1]), zero])
    tolerance = subject.tolerance(near)
    tolerance[2] += step * tolerance[1]
    out.compare_all(
        "shift",
        "interior",
        subject,
        far,
        got=subject(far),
        expected=expected,
        tolerance=tolerance + subject.tolerance(far),
    )


def limits(subject: Subject, out: PointFindings, rng: np.random.Generator, *, count: int) -> None:
    """Hard: the nearest level, the mean of two at a tie. Soft: the identity, or the window's mean.

    The expected results are written down here, without the reference.
    """
    level = subject.max_level
    n = rng.integers(-level, level + 1, count).astype(np.float64)
    q = rng.uniform(0.1, 9.0, count)
    f = rng.uniform(-0.4, 0.4, count)
    zero, one = np.zeros(count), np.ones(count)
    hard = subject.round((n + f) * q, q, 1e7 / q**2)
    expected = np.array([n * hard.q, zero, n, zero])
    _limit("hard limit", subject, out, hard, expected, rows=slice(None))

    # Near level 0, where h may be largest before the rounding of c decides.
    few = min(level, 2)
    n = rng.integers(-few, few, count).astype(np.float64)
    n = np.where(np.arange(count) % 2 == 0, rng.integers(-level, level, count), n)
    power = np.exp2(rng.integers(-4, 5, count).astype(np.float64))
    h = np.exp(rng.uniform(np.log(1e2), np.log(1e6), count))
    tie = subject.round((n + 0.5) * power, power, h / power**2)
    h = tie.alpha * tie.q**2
    # Two levels, each with probability 1/2: variance q^2 / 4, third moment 0.
    expected = np.array([(n + 0.5) * power, h / 2, (n + 0.5) * (1 - h / 2), zero])
    _limit("tie limit", subject, out, tie, expected, rows=slice(None))

    if subject.window is None:
        h = np.exp(rng.uniform(np.log(0.02), np.log(0.2), count))
        room = level - np.sqrt(_REACH / h) - 1
        keep = room > 0
        if keep.any():
            c = rng.uniform(-1, 1, count) * room
            soft = subject.round(c * q, q, (h / q) / q).take(keep)
            zero, one = zero[keep], one[keep]
            _limit("soft limit", subject, out, soft, np.array([soft.z, one, zero, zero]))
        return
    # Equal weights over the window: its mean, and the moments of a discrete uniform variable.
    # With q a power of two some of them are exact ties, which go half-up.
    f = np.where(np.arange(count) % 2 == 0, 0.5, f)
    flat = subject.round((n + f) * power, power, 1e-30 / power**2)
    centre = subject.centre(flat)
    variance = (subject.window**2 - 1) / 12
    dalpha = -2 * (centre * flat.q - flat.z) * flat.q**2 * variance
    _limit("soft limit", subject, out, flat, np.array([centre * flat.q, zero, centre, dalpha]))


def _limit(
    regime: str,
    subject: Subject,
    out: PointFindings,
    inputs: Inputs,
    expected: Array,
    rows: slice = slice(None),
) -> None:
    out.compare_all(
        "limits",
        regime,
        subject,
        inputs,
        got=subject(inputs)[rows],
        expected=expected[rows],
        tolerance=subject.tolerance(inputs)[rows],
    )
