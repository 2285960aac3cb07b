"""The gradients of a JPEG layer against differences of its own outputs: a witness of its own.

A plain difference quotient is too coarse in float32. Here the change of <g, F> along a direction
is compared with the integral of the gradient along it, by Simpson's rule on three points: the
steps can be wide, so rounding hardly counts. The weights g are the change itself, so that the
contributions of all pixels have one sign and their rounding does not drown them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oracles.layer.cases import draw_grad_output
from oracles.layer.subject import Array, LayerCase, LayerFindings, LayerInputs, LayerSubject
from reference.layer_steps import Coefficients, analyse

__all__ = ["check_layer_differences"]

# Half width of a stencil: the exponents of the weights move by at most about this much.
_STEP = 0.2
# Simpson's error relative to the integral is x^4 / 90 times the fourth relative derivative in the
# exponent, at most 2^4 where the second neighbours count: 3e-4 for x = 0.2. Seven times that,
# because contributions of different coefficients may cancel in part.
_SIMPSON = 2e-3
_MAX_LEVEL = 127


class _Direction(NamedTuple):
    """A line through the case: which input changes, and by how much to either side."""

    name: str
    argument: str
    step: Array


def check_layer_differences(
    subject: LayerSubject, out: LayerFindings, rng: np.random.Generator
) -> None:
    """Compare each gradient with differences of the output.

    Parameters
    ----------
    subject : LayerSubject
        The layer under test.
    out : LayerFindings
        Gets the checks, evidence ``"differences"``: along a change of all pixels, of the last row
        and column (which padding repeats), and of each table.
    rng : numpy.random.Generator
        Of the inputs.

    Notes
    -----
    The reference serves to choose the width of the steps, nothing else.
    """
    size = tuple(8 * factor + extra for factor, extra in zip(subject.factors, (3, 5), strict=True))
    # Contrast low enough that z / q stays small: steps in q can be wide.
    image = np.clip(np.round(128 + 20 * rng.normal(size=(1, 3, *size))), 1, 255)
    q = subject.round(rng.uniform(10.0, 30.0, (2, 8, 8)))
    # Where a window moves, the masked quantizer jumps by exp(-h (w - 1)), or so.
    low, high = {None: (1.0, 2.5), 3: (8.0, 12.0)}.get(subject.window, (4.0, 7.0))
    hardness = rng.uniform(low, high, (2, 8, 8))
    max_level = max(_MAX_LEVEL, (subject.window or 1) // 2)
    inputs = LayerInputs(image, q, subject.round(hardness / q**2), draw_grad_output(rng, image))
    case = LayerCase("differences", inputs, max_level)
    for direction in _directions(subject, case, rng):
        _compare(subject, case, direction, out)


def _directions(
    subject: LayerSubject, case: LayerCase, rng: np.random.Generator
) -> list[_Direction]:
    image, q, alpha, _ = case.inputs
    slope = np.maximum(2 * alpha * q**2, 4.0)
    # The exponents move by slope / q per unit of z, and the most in the block where |z| is largest.
    everywhere = rng.choice([-1.0, 1.0], image.shape)
    edge = np.zeros_like(image)
    edge[..., -1, :] = everywhere[..., -1, :]
    edge[..., -1] = everywhere[..., -1]
    found = []
    zero = analyse(np.full_like(image, 128.0), subject.factors)
    for name, pattern in (("grad_image", everywhere), ("grad_image at the edge", edge)):
        moved = analyse(128.0 + pattern, subject.factors)
        change = [_largest(a - b) for a, b in zip(moved, zero, strict=True)]
        width = _STEP / float((np.array(change) * slope / q).max())
        # A power of two: image and step add up exactly.
        found.append(_Direction(name, "image", 2.0 ** np.floor(np.log2(width)) * pattern))
    coefficients: Coefficients = analyse(image, subject.factors)
    ratio = np.array([_largest(z) for z in coefficients]) / q
    signs = rng.choice([-1.0, 1.0], q.shape)
    widths = (
        ("q", _STEP * q / (4.0 + slope * (1.0 + ratio))),
        ("alpha", _STEP * alpha / slope),
    )
    for argument, steps in widths:
        for table, name in enumerate(("luma", "chroma")):
            step = np.zeros_like(q)
            step[table] = (signs * steps)[table]
            found.append(_Direction(f"grad_{argument} {name}", argument, step))
    return found


def _largest(z: Array) -> Array:
    return np.asarray(np.abs(z).max(axis=(0, 1, 2, 3)))


def _compare(
    subject: LayerSubject, case: LayerCase, direction: _Direction, out: LayerFindings
) -> None:
    name, argument, step = direction
    middle: Array = getattr(case.inputs, argument)
    nodes = [case.replace(**{argument: subject.round(middle + sign * step)}) for sign in (-1, 0, 1)]
    change = subject(nodes[2]).output - subject(nodes[0]).output
    largest = float(np.abs(change).max())
    # Nothing moved, or NaN: the gradient has to agree with that, whatever the weights.
    usable = 0 < largest < np.inf
    weights = subject.round(change / largest) if usable else case.inputs.grad_output
    nodes = [node.replace(grad_output=weights) for node in nodes]
    results = [subject(node) for node in nodes]
    limits = [subject.tolerance(node) for node in nodes]
    gradient = f"grad_{argument}"
    length = getattr(nodes[2].inputs, argument) - getattr(nodes[0].inputs, argument)
    slopes, errors = (
        (getattr(a, gradient) + 4 * getattr(b, gradient) + getattr(c, gradient)) / 6
        for a, b, c in (results, limits)
    )
    moved = weights * (results[2].output - results[0].output)
    limit = float(
        (np.abs(weights) * (limits[0].output + limits[2].output)).sum()
        + (np.abs(length) * errors).sum()
        + _SIMPSON * np.abs(moved).sum()
    )
    out.compare_number(
        "differences", case, name, float((slopes * length).sum()), float(moved.sum()), limit
    )
