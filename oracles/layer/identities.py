"""Evidence on JPEG layers that needs no reference: what every one of them obeys.

The acceptable deviation is always the sum of what each result that enters may be off by
(:mod:`oracles.layer.bounds`). All transformations of inputs are exact in binary floating point.
F is the layer, x the image, g the weights of the output.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oracles.layer.cases import draw_grad_output, draw_image
from oracles.layer.subject import (
    Array,
    LayerCase,
    LayerFindings,
    LayerResult,
    LayerSubject,
)

__all__ = ["Judged", "euler", "linear", "neighbours", "oddness", "padding", "scale", "translation"]

_GRADIENTS = ("grad_image", "grad_q", "grad_alpha")
_SHIFT = 128.0
_BLOCK = 8


class Judged(NamedTuple):
    """A case with what came out, and what that may be off by."""

    case: LayerCase
    got: LayerResult
    tolerance: LayerResult


def euler(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """F - 128 is homogeneous: <g, F - 128> = <F_x, x - 128> + <F_q, q> - 2 <F_alpha, alpha>.

    Coefficients, and with them the output, scale with (x - 128, q, 1 / sqrt(alpha)).
    """
    case, got, tolerance = judged
    image, q, alpha, g = case.inputs
    centred = image - _SHIFT
    left = float((g * (got.output - _SHIFT)).sum())
    right = float(
        (got.grad_image * centred).sum()
        + (got.grad_q * q).sum()
        - 2 * (got.grad_alpha * alpha).sum()
    )
    limit = float(
        (np.abs(g) * tolerance.output).sum()
        + (np.abs(centred) * tolerance.grad_image).sum()
        + (q * tolerance.grad_q).sum()
        + 2 * (alpha * tolerance.grad_alpha).sum()
    )
    out.compare_number("euler", case, "output", right, left, limit)


def oddness(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """F(256 - x) = 256 - F(x); the gradients of the tables change sign."""
    case, got, tolerance = judged
    image = case.inputs.image
    if image.min() < 1.0:  # 256 - x would leave the range of samples
        return
    mirrored = case.replace(image=2 * _SHIFT - image)
    expected = LayerResult(2 * _SHIFT - got.output, got.grad_image, -got.grad_q, -got.grad_alpha)
    # At an exact tie half-up takes sides; the tolerance of either side covers both.
    limit = tolerance.plus(subject.tolerance(mirrored))
    out.compare("oddness", mirrored, got=subject(mirrored), expected=expected, tolerance=limit)


def scale(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """With s = 1/4: s (x - 128), s q and alpha / s^2 give s (F - 128), s^3 F_alpha."""
    case, got, tolerance = judged
    image, q, alpha, _ = case.inputs
    s = 0.25
    small = case.replace(image=_SHIFT + s * (image - _SHIFT), q=s * q, alpha=alpha / s**2)
    expected = LayerResult(
        _SHIFT + s * (got.output - _SHIFT), got.grad_image, got.grad_q, s**3 * got.grad_alpha
    )
    limit = subject.tolerance(small).plus(tolerance, factors=(s, 1, 1, s**3))
    out.compare("scale", small, got=subject(small), expected=expected, tolerance=limit)


def linear(
    subject: LayerSubject, judged: Judged, out: LayerFindings, rng: np.random.Generator
) -> None:
    """The gradients are linear in g: nothing for nothing, and those of a sum are the sum.

    The output does not depend on g.
    """
    case, got, tolerance = judged
    g = case.inputs.grad_output
    other = case.replace(grad_output=draw_grad_output(rng, case.inputs.image) - g)
    both = case.replace(grad_output=g + other.inputs.grad_output)
    first, second = subject(other), subject(both)
    expected = LayerResult(got.output, *(a + b for a, b in zip(got[1:], first[1:], strict=True)))
    limit = tolerance.plus(subject.tolerance(other)).plus(subject.tolerance(both))
    out.compare("linear", case, got=second, expected=expected, tolerance=limit)

    nothing = subject(case.replace(grad_output=np.zeros_like(g)))
    zero = LayerResult(*(np.zeros_like(part) for part in got))
    tiny = LayerResult(*(np.full_like(part, np.finfo(np.float64).tiny) for part in got))
    out.compare("linear", case, got=nothing, expected=zero, tolerance=tiny, outputs=_GRADIENTS)


def neighbours(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """Images do not see each other: alone or in another order, the same output and gradient.

    The gradients of the tables add up over the images.
    """
    case, got, tolerance = judged
    count = len(case.inputs.image)
    if count == 1:
        return
    pixels = ("output", "grad_image")
    tables = (np.zeros_like(got.grad_q), np.zeros_like(got.grad_alpha))
    allowed = (tolerance.grad_q.copy(), tolerance.grad_alpha.copy())
    for i in range(count):
        alone = _images(case, np.array([i]))
        result, limit = subject(alone), subject.tolerance(alone)
        out.compare(
            "neighbours",
            alone,
            got=result,
            expected=_pixels(got, np.array([i])),
            tolerance=limit.plus(_pixels(tolerance, np.array([i]))),
            outputs=pixels,
        )
        for total, part in zip(tables, result[2:], strict=True):
            total += part
        for total, part in zip(allowed, limit[2:], strict=True):
            total += part
    sums = LayerResult(got.output, got.grad_image, *tables)
    limits = LayerResult(tolerance.output, tolerance.grad_image, *allowed)
    out.compare(
        "neighbours",
        case,
        got=got,
        expected=sums,
        tolerance=limits,
        outputs=("grad_q", "grad_alpha"),
    )
    order = np.arange(count)[::-1]
    out.compare(
        "neighbours",
        case,
        got=subject(_images(case, order)),
        expected=_pixels(got, order),
        tolerance=_pixels(tolerance.times(2, 2, 2, 2), order),
    )


def translation(
    subject: LayerSubject, judged: Judged, out: LayerFindings, rng: np.random.Generator
) -> None:
    """Take away the first MCU in each direction: the rest is what it was.

    With subsampled chroma not the two pixels next to the cut, whose interpolation reaches across;
    no weight lies on them.
    """
    case = judged.case
    cut = tuple(_BLOCK * factor for factor in subject.factors)
    seam = tuple(2 * (factor - 1) for factor in subject.factors)
    image = draw_image(rng, (1, 3, cut[0] + 11, cut[1] + 13))
    rest = (..., slice(cut[0], None), slice(cut[1], None))
    g = np.zeros_like(image)
    inner = (..., slice(cut[0] + seam[0], None), slice(cut[1] + seam[1], None))
    g[inner] = draw_grad_output(rng, image)[inner]
    whole = case.replace(image=image, grad_output=g)
    part = case.replace(image=image[rest], grad_output=g[rest])
    got, tolerance = subject(whole), subject.tolerance(whole)
    result, limit = subject(part), subject.tolerance(part)
    # Behind the seam, as seen in the part.
    behind = (..., slice(seam[0], None), slice(seam[1], None))
    out.compare(
        "translation",
        part,
        got=result._replace(output=result.output[behind]),
        expected=LayerResult(
            got.output[rest][behind], got.grad_image[rest], got.grad_q, got.grad_alpha
        ),
        tolerance=LayerResult(
            (limit.output + tolerance.output[rest])[behind],
            limit.grad_image + tolerance.grad_image[rest],
            limit.grad_q + tolerance.grad_q,
            limit.grad_alpha + tolerance.grad_alpha,
        ),
    )
    # What has no weight behind it has no gradient.
    before = np.ones(g.shape, dtype=np.bool_)
    before[rest] = False
    outside = np.where(before, got.grad_image, 0.0)
    out.compare(
        "translation",
        whole,
        got=got._replace(grad_image=outside),
        expected=got._replace(grad_image=np.zeros_like(outside)),
        tolerance=tolerance,
        outputs=("grad_image",),
    )


def padding(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """An image that was extended to whole MCUs by its own edges gives the same output inside.

    What the extension receives as gradient belongs to the edge that it repeats.
    """
    case, got, tolerance = judged
    height, width = case.inputs.image.shape[-2:]
    down, across = (
        -side % (_BLOCK * factor)
        for side, factor in zip((height, width), subject.factors, strict=True)
    )
    if down == across == 0:
        return
    room = ((0, 0), (0, 0), (0, down), (0, across))
    larger = case.replace(
        image=np.pad(case.inputs.image, room, mode="edge"),
        grad_output=np.pad(case.inputs.grad_output, room),
    )
    result, limit = subject(larger), subject.tolerance(larger)
    inside = (..., slice(0, height), slice(0, width))
    out.compare(
        "padding",
        case,
        got=got,
        expected=result._replace(
            output=result.output[inside], grad_image=_fold(result.grad_image, height, width)
        ),
        tolerance=tolerance.plus(
            limit._replace(
                output=limit.output[inside], grad_image=_fold(limit.grad_image, height, width)
            )
        ),
    )


def _fold(gradient: Array, height: int, width: int) -> Array:
    """Add what lies beyond the last row and column to them."""
    starts = np.arange(height), np.arange(width)
    return np.asarray(
        np.add.reduceat(np.add.reduceat(gradient, starts[0], axis=-2), starts[1], axis=-1)
    )


def _images(case: LayerCase, index: Array | np.ndarray) -> LayerCase:
    image, _, _, g = case.inputs
    return case.replace(image=image[index], grad_output=g[index])


def _pixels(result: LayerResult, index: np.ndarray) -> LayerResult:
    return result._replace(output=result.output[index], grad_image=result.grad_image[index])
