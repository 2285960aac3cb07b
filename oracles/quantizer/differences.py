"""The partials against differences of the implementation's own values: a witness of its own.

A plain difference quotient is too coarse in float32. Here the difference of two values is
compared with the integral of the partial between them, by Simpson's rule on three points: the
steps can be wide, so rounding hardly counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.subject import Array, Inputs, Mask, PointFindings, Subject
from reference.cpmf import nearest_level

__all__ = ["check_differences"]

# Half width of a stencil: the exponents of the weights move by at most about this much.
_STEP = 0.05
# Simpson's error relative to the integral is x^4 / 90 times the fourth relative derivative in the
# exponent, which is at most 2^4 where the second neighbours count: 1e-6 for x = 0.05. Times four,
# because steps are rounded and the nodes not quite equidistant.
_SIMPSON = 4e-6
_NAMES = ("dz", "dq", "dalpha")


class _Stencil(NamedTuple):
    """Three nodes along one input, and the implementation's results there."""

    nodes: tuple[Inputs, Inputs, Inputs]
    results: tuple[Array, Array, Array]
    tolerances: tuple[Array, Array, Array]
    weights: Array  # (3, n): quadrature weights
    keep: Mask


def check_differences(
    subject: Subject, inputs: Inputs, regimes: NDArray[np.intp], out: PointFindings
) -> None:
    """Compare partials with differences of values, and d/dalpha with Burgers' equation.

    Parameters
    ----------
    subject : Subject
        The implementation under test.
    inputs : Inputs
        Middles of the stencils; those without room for one are left out.
    regimes : ndarray of int
        Their regimes.
    out : PointFindings
        Gets the checks, evidence ``"differences"`` and ``"burgers"``.

    References
    ----------
    With P(V) proportional to exp(-alpha (z - V)^2), JPEG-DL eq. (5):
    Q_alpha = -(Q_zz / (4 alpha^2) + (Q - z) Q_z / alpha), integrated once over z.
    """
    h = inputs.alpha * inputs.q**2
    c = np.abs(inputs.z / inputs.q)
    usable = (h > 1e-3) & (h < 1e4) & (c < 2.0 * subject.max_level + 2)
    # Squares of alpha and cubes of q must not leave the range of the working dtype.
    usable &= (inputs.q > 1e-6) & (inputs.q < 1e6)
    if not usable.any():
        return
    inputs, regimes, h, c = inputs.take(usable), regimes[usable], h[usable], c[usable]
    # Soft results go like sin(2 pi f), whatever h: a step in f of _STEP / 4 at most.
    slope = np.maximum(2 * h, 4)
    beyond = np.maximum(c - subject.max_level, 0.5)
    steps = (
        _STEP * inputs.q / slope,
        _STEP * inputs.q / (4 + 2 * h + (1 + c) * slope),
        _STEP * inputs.alpha / np.maximum(2 * h * (1 + 2 * beyond), 4),
    )
    for axis, step in enumerate(steps):
        stencil = _measure(subject, inputs, axis, step)
        if not stencil.keep.any():
            continue
        _compare_partial(subject, regimes, stencil, axis, out)
        if axis == 0:
            _compare_burgers(subject, regimes, stencil, out)


def _measure(subject: Subject, inputs: Inputs, axis: int, step: Array) -> _Stencil:
    columns = [list(inputs), list(inputs), list(inputs)]
    columns[0][axis] = inputs[axis] - step
    columns[2][axis] = inputs[axis] + step
    low, mid, high = (subject.round(*column) for column in columns)
    a, b = mid[axis] - low[axis], high[axis] - mid[axis]
    keep = (a > 0.25 * step) & (b > 0.25 * step) & (np.abs(a - b) <= 0.5 * np.minimum(a, b))
    nodes = (low, mid, high)
    if subject.window is not None:
        levels = [nearest_level(node.z, node.q, subject.max_level)[0] for node in nodes]
        keep &= (levels[0] == levels[1]) & (levels[1] == levels[2])
        for node in nodes:
            keep &= ~subject.ambiguous(node)
    joined = Inputs(*(np.concatenate(parts) for parts in zip(*nodes, strict=True)))
    results = np.split(subject(joined), 3, axis=1)
    limits = np.split(subject.tolerance(joined), 3, axis=1)
    with np.errstate(all="ignore"):
        # The parabola through three nodes, integrated; (1, 4, 1) / 6 when they are equidistant.
        weights = (a + b) / 6 * np.array([2 - b / a, (a + b) ** 2 / (a * b), 2 - a / b])
    return _Stencil(
        nodes,
        (results[0], results[1], results[2]),
        (limits[0], limits[1], limits[2]),
        weights,
        keep,
    )


def _compare_partial(
    subject: Subject, regimes: NDArray[np.intp], stencil: _Stencil, axis: int, out: PointFindings
) -> None:
    row = axis + 1
    partial = np.array([result[row] for result in stencil.results])
    allowed = np.array([limit[row] for limit in stencil.tolerances])
    weights = np.abs(stencil.weights)
    tolerance = (
        stencil.tolerances[0][0]
        + stencil.tolerances[2][0]
        + (weights * (allowed + _SIMPSON * _scale(subject, stencil, row))).sum(axis=0)
    )
    keep = stencil.keep
    out.compare(
        "differences",
        regimes[keep],
        _NAMES[axis],
        subject,
        stencil.nodes[1].take(keep),
        got=(stencil.weights * partial).sum(axis=0)[keep],
        expected=(stencil.results[2][0] - stencil.results[0][0])[keep],
        tolerance=tolerance[keep],
    )


def _scale(subject: Subject, stencil: _Stencil, row: int) -> Array:
    """Size that Simpson's error is relative to: the terms of the partial, not their sum."""
    scales = []
    for node, result in zip(stencil.nodes, stencil.results, strict=True):
        size = np.abs(result[row])
        variance = np.abs(result[1]) / (2 * node.alpha)
        if row == 2:
            size = size + (1 + np.abs(node.z / node.q)) * (np.abs(result[1]) + 1)
        if row == 3:
            size = size + node.q * variance + np.abs(result[0] - node.z) * variance
        scales.append(size)
    return np.array(scales)


def _compare_burgers(
    subject: Subject, regimes: NDArray[np.intp], stencil: _Stencil, out: PointFindings
) -> None:
    integrand, allowed = [], []
    alpha = stencil.nodes[1].alpha
    for node, result, limit in zip(stencil.nodes, stencil.results, stencil.tolerances, strict=True):
        pull = (result[0] - node.z) / alpha
        integrand.append(result[3] + pull * result[1])
        allowed.append(
            limit[3]
            + np.abs(pull) * limit[1]
            + limit[0] * np.abs(result[1]) / alpha
            + _SIMPSON * (np.abs(result[3]) + np.abs(pull * result[1]))
        )
    scale = 1 / (4 * alpha**2)
    weights = np.abs(stencil.weights)
    tolerance = (weights * np.array(allowed)).sum(axis=0) + scale * (
        stencil.tolerances[0][1] + stencil.tolerances[2][1]
    )
    # The integrand may pass through zero where its slope is largest.
    change = scale * np.abs(stencil.results[2][1] - stencil.results[0][1])
    tolerance = tolerance + _SIMPSON * change
    keep = stencil.keep
    out.compare(
        "burgers",
        regimes[keep],
        "dalpha",
        subject,
        stencil.nodes[1].take(keep),
        got=(stencil.weights * np.array(integrand)).sum(axis=0)[keep],
        expected=(-scale * (stencil.results[2][1] - stencil.results[0][1]))[keep],
        tolerance=tolerance[keep],
    )
