"""JPEG layers where the result is known in closed form: limits of the quantizer, basis images.

Nothing of the reference is used. Images are put together from coefficients (n + f) q; a hard
quantizer must give the levels n, so that output and gradients can be written down:
F = 128 + sum over the coefficients of n q times their basis images, F_q by the same sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracles.layer.by_hand import (
    COLOUR,
    SHIFT,
    Planes,
    box_mean,
    decode,
    decode_adjoint,
    encode,
    encode_adjoint,
    plane,
    resample,
)
from oracles.layer.cases import draw_grad_output, draw_image
from oracles.layer.subject import (
    Array,
    LayerCase,
    LayerFindings,
    LayerInputs,
    LayerResult,
    LayerSubject,
)

__all__ = ["check_basis", "check_limits"]

# h of a hard quantizer: with |f| <= 0.4 the next level has the weight exp(-0.2 h) = 4e-44.
_HARD = 500.0
# h of a soft one: the result differs from the input by exp(-pi^2 / h) = 4e-22.
_SOFT = (0.1, 0.2)
_GRID = 1024.0


def _check_hard(
    evidence: str,
    name: str,
    subject: LayerSubject,
    levels: Planes,
    q: Array,
    rng: np.random.Generator,
    out: LayerFindings,
) -> None:
    """Compare with the levels, of coefficients that are those levels but for some rest."""
    rests = (np.where(n != 0, rng.uniform(-0.4, 0.4, n.shape), 0.0) for n in levels)
    exact = Planes(*((n + f) * q[t] for t, (n, f) in enumerate(zip(levels, rests, strict=True))))
    # Rounded, a coefficient moves by less than 8 / 2048 = 0.004: f stays far from a tie.
    image = np.round(_with_detail(exact, subject.factors, rng) * _GRID) / _GRID
    g = draw_grad_output(rng, image)
    alpha = subject.round(_HARD / q**2)
    max_level = 7 if subject.window is None else max(7, subject.window // 2)
    case = LayerCase(name, LayerInputs(image, q, alpha, g), max_level)
    adjoint = decode_adjoint(g, subject.factors)
    expected = LayerResult(
        decode(Planes(*(n * q[t] for t, n in enumerate(levels))), subject.factors),
        np.zeros_like(g),
        np.array([(n * a).sum(axis=(0, 1, 2, 3)) for n, a in zip(levels, adjoint, strict=True)]),
        np.zeros_like(q),
    )
    out.compare(
        evidence,
        case,
        got=subject(case),
        expected=expected,
        tolerance=subject.tolerance(case),
    )


def _with_detail(coefficients: Planes, factors: tuple[int, int], rng: np.random.Generator) -> Array:
    """RGB image with these coefficients: chroma repeated, plus detail that the mean loses."""
    luma, chroma = plane(coefficients.luma), plane(coefficients.chroma)
    sides = tuple(zip(chroma.shape[-2:], factors, strict=True))
    fine = resample(chroma, *(f * box_mean(side, f).T for side, f in sides))
    detail = rng.uniform(-8, 8, fine.shape)
    means = resample(detail, *(f * box_mean(side, f).T @ box_mean(side, f) for side, f in sides))
    ycbcr = np.concatenate([luma, fine + detail - means], axis=1)
    return np.asarray(SHIFT + np.einsum("ij,njhw->nihw", COLOUR, ycbcr))


def _spread_levels(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> Array:
    """Levels -2..2 at some `count` places of each block, so few that samples stay in range."""
    order = rng.random(shape).reshape(*shape[:-2], 64).argsort(axis=-1).reshape(shape)
    return np.where(order < count, rng.integers(-2, 3, shape), 0).astype(np.float64)


def check_limits(subject: LayerSubject, out: LayerFindings, rng: np.random.Generator) -> None:
    """Hard: the nearest levels. Soft (all levels): colour, sampling and their inverses alone.

    Parameters
    ----------
    subject : LayerSubject
        The layer under test.
    out : LayerFindings
        Gets the checks, evidence ``"limits"``.
    rng : numpy.random.Generator
        Of the inputs.
    """
    q = subject.round(rng.uniform(4.0, 9.0, (2, 8, 8)))
    vertical, horizontal = subject.factors
    levels = Planes(
        _spread_levels(rng, (2, 1, 2 * vertical, horizontal, 8, 8), 6),
        _spread_levels(rng, (2, 2, 2, 1, 8, 8), 4),
    )
    _check_hard("limits", "hard limit", subject, levels, q, rng, out)
    if subject.window is not None:
        return
    image = draw_image(rng, (1, 3, 16 * vertical, 8 * horizontal))
    g = draw_grad_output(rng, image)
    q = subject.round(rng.uniform(6.0, 8.0, (2, 8, 8)))
    alpha = subject.round(rng.uniform(*_SOFT, (2, 8, 8)) / q**2)
    # Coefficients reach 1024: the ends of the index set, at 255 q >= 1530, are not felt.
    case = LayerCase("soft limit", LayerInputs(image, q, alpha, g), 255)
    factors = subject.factors
    expected = LayerResult(
        decode(encode(image, factors), factors),
        encode_adjoint(decode_adjoint(g, factors), factors),
        np.zeros_like(q),
        np.zeros_like(q),
    )
    out.compare(
        "limits", case, got=subject(case), expected=expected, tolerance=subject.tolerance(case)
    )


def check_basis(subject: LayerSubject, out: LayerFindings, rng: np.random.Generator) -> None:
    """Blocks of one basis function each, every frequency of Y, Cb and Cr, hard quantizer.

    Parameters
    ----------
    subject : LayerSubject
        The layer under test.
    out : LayerFindings
        Gets the checks, evidence ``"basis"``.
    rng : numpy.random.Generator
        Of the inputs.

    Notes
    -----
    No two of the 128 steps are alike, by 1/4 at least: what is quantized with the step of another
    entry shows, and so does a basis function of another frequency or scale.
    """
    q = 8.0 + rng.permutation(128).reshape(2, 8, 8) / 4
    vertical, horizontal = subject.factors
    each: NDArray[np.float64] = np.eye(64).reshape(1, 1, 8, 8, 8, 8)
    for component, name in enumerate(("Y basis", "Cb basis", "Cr basis")):
        luma = np.zeros((1, 1, 8 * vertical, 8 * horizontal, 8, 8))
        chroma = np.zeros((1, 2, 8, 8, 8, 8))
        chosen = rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], (8, 8, 1, 1)) * each[0, 0]
        if component == 0:
            # Luma needs no more than 64 blocks.
            luma, chroma = chosen[None, None], np.zeros((1, 2, *_per(8, subject.factors), 8, 8))
        else:
            chroma[0, component - 1] = chosen
        _check_hard("basis", name, subject, Planes(luma, chroma), q, rng, out)


def _per(count: int, factors: tuple[int, int]) -> tuple[int, int]:
    """Chroma blocks down and across, for so many luma blocks in each direction."""
    return count // factors[0], count // factors[1]
