"""What has to hold of any codec, without a reference: calls, symmetries, and sizes of errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lcm

import numpy as np
from numpy.typing import NDArray

from oracles.codec.cases import Case
from oracles.codec.claim import FACTORS
from oracles.codec.images import probes
from oracles.codec.subject import CodecFindings, CodecSubject
from reference.standard import RGB_TO_YCBCR

__all__ = ["CALLS", "NUMBERS", "table_entries"]

Array = NDArray[np.float64]
_Check = Callable[[CodecSubject, Case, Array, CodecFindings], None]

# Pixels of the neighbouring MCU that the triangle filter reaches.
_REACH = 1


def determinism(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """The same call again gives the same pixels, whatever was coded in between."""
    again = subject(case)
    exact = np.full(got.shape, 1e-9)
    out.pixels(case, got=again, expected=got, tolerance=exact, evidence="determinism")


def strided(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """An image that lies in memory in another way is the same image."""
    wide = np.full((*case.image.shape[:1], 2 * case.image.shape[1], *case.image.shape[2:]), 77)
    view = wide.astype(np.uint8)[:, ::2]
    view[...] = case.image
    tolerance = _repeated(subject, case)
    out.pixels(case, got=subject(case, view), expected=got, tolerance=tolerance, evidence="strided")


def value_range(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """Pixels lie in 0..255."""
    inside = np.clip(got, 0, 255)
    out.pixels(case, got=got, expected=inside, tolerance=np.full(got.shape, 1e-3), evidence="range")


def greyness(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """R = G = B stays so: Cb and Cr are constant 128, and come back as such."""
    image = case.image
    if image.ndim == 2 or (image != image[..., :1]).any():
        return
    green = np.broadcast_to(got[..., 1:2], got.shape)
    out.pixels(case, got=got, expected=green, tolerance=_same(subject, got), evidence="greyness")


def flatness(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """A constant image comes back constant: it has a DC coefficient alone."""
    image = case.image
    if (image != image[:1, :1]).any():
        return
    first = np.broadcast_to(got[:1, :1], got.shape)
    out.pixels(case, got=got, expected=first, tolerance=_same(subject, got), evidence="flatness")


def distortion(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """The error of a grey block is no larger than half of each step (Parseval).

    Beside it stand the error of the forward transform, 0.47 for each of the 64 coefficients at
    most (:mod:`oracles.codec.intervals`), that of the inverse, 1/4, and the rounding of samples
    and of pixels, 1/2 each.
    """
    image = case.image
    height, width = (side // 8 * 8 for side in image.shape[:2])
    if image.ndim == 2 or (image != image[..., :1]).any() or not height * width:
        return
    error = (got - image)[:height, :width, 0].reshape(height // 8, 8, width // 8, 8)
    size = np.sqrt((error**2).mean(axis=(1, 3)))
    limit = np.sqrt((case.tables[0] ** 2).mean()) / 2 + 0.47 + 1.25
    row, column = (8 * index for index in np.indices(size.shape))
    out.pixels(
        case,
        got=size,
        expected=np.zeros_like(size),
        tolerance=np.full(size.shape, limit),
        evidence="distortion",
        place=np.ravel_multi_index((row, column, 0 * row), image.shape),
    )


def translation(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """An image without its first MCUs gives what it gave, but where MCUs touched."""
    unit = _unit(subject, case)
    if any(
        side % step or side < 2 * step for side, step in zip(case.image.shape, unit, strict=False)
    ):
        return
    part = subject(case, np.ascontiguousarray(case.image[unit[0] :, unit[1] :]))
    _compare(subject, case, "translation", part, got, (unit[0], unit[1]), out)


def neighbours(subject: CodecSubject, case: Case, got: Array, out: CodecFindings) -> None:
    """Another first MCU leaves the others as they were."""
    unit = _unit(subject, case)
    if any(side < 2 * step for side, step in zip(case.image.shape, unit, strict=False)):
        return
    other = case.image.copy()
    other[: unit[0], : unit[1]] = 255 - other[: unit[0], : unit[1]]
    changed = subject(case, other)
    for start in ((unit[0], 0), (0, unit[1])):
        part = changed[start[0] :, start[1] :]
        _compare(subject, case, "neighbours", part, got, start, out)


def _unit(subject: CodecSubject, case: Case) -> tuple[int, int]:
    """Sides of whole MCUs, of which what is left of an image has a size that is on offer."""
    factors = FACTORS[case.subsampling] if case.image.ndim == 3 else (1, 1)
    return lcm(8 * factors[0], subject.multiple), lcm(8 * factors[1], subject.multiple)


def _same(subject: CodecSubject, got: Array) -> Array:
    """Between pixels that are equal but for float32: one that is rounded may jump at a tie."""
    return np.full(got.shape, 0.01 if subject.exact else 1.01)


def _repeated(subject: CodecSubject, case: Case) -> Array:
    """Between two sound results: in floating point, ties need not fall alike in both."""
    if subject.exact:
        return np.full(case.image.shape, 0.5)
    low, high = case.pixels[:2]
    return high - low + 1e-3


def _compare(
    subject: CodecSubject,
    case: Case,
    evidence: str,
    part: Array,
    got: Array,
    start: tuple[int, int],
    out: CodecFindings,
) -> None:
    """Compare from a corner on, less the pixels that chroma of another MCU reaches."""
    factors = FACTORS[case.subsampling] if case.image.ndim == 3 else (1, 1)
    skip = [
        _REACH if factor == 2 and begin else 0 for factor, begin in zip(factors, start, strict=True)
    ]
    rows, columns = slice(start[0] + skip[0], None), slice(start[1] + skip[1], None)
    place = np.arange(got.size).reshape(got.shape)[rows, columns]
    tolerance = _repeated(subject, case)[rows, columns]
    out.pixels(
        case,
        got=part[skip[0] :, skip[1] :],
        expected=got[rows, columns],
        tolerance=tolerance,
        evidence=evidence,
        place=place,
    )


def table_entries(subject: CodecSubject, case: Case, out: CodecFindings) -> None:
    """Each entry of the tables by hand: one basis function per block.

    The coefficient that comes back is a whole multiple of its own step, the one nearest to the
    coefficient that went in.

    Parameters
    ----------
    subject : CodecSubject
    case : Case
        Gives the tables, of large steps, and the sampling; chroma is looked at in 4:4:4.
    out : CodecFindings
    """
    for component in range(3 if case.subsampling == "4:4:4" else 1):
        image = probes(component, 100.0 if component == 0 else 60.0)
        own = replace(case, image=image)
        got = subject(own)
        before, after = (_coefficients(x, component) for x in (image.astype(np.float64), got))
        table = case.tables[min(component, 1)]
        level = before / table
        nearest = np.floor(level + 0.5)
        # Off the ties, and not so much larger that pixels saturate.
        sure = np.abs(level - np.floor(level) - 0.5) * table > _SLACK
        sure &= np.abs(nearest * table) <= 1.15 * np.abs(before)
        u, v = np.nonzero(sure)
        out.pixels(
            own,
            got=after[sure],
            expected=(nearest * table)[sure],
            tolerance=np.full(u.size, _SLACK),
            evidence="table entries",
            place=np.ravel_multi_index((8 * u, 8 * v, 0 * u), image.shape),
        )


# What comes back is known to 9.7: samples are rounded to 1/2, the inverse transform is off by 1/4,
# pixels are rounded to 1/2 (rows of the colour matrix add up to no more than 1), and a basis
# function of 64 samples sums to 8 at most. What goes in, to 4.5.
_SLACK = 12.0


def _coefficients(image: Array, component: int) -> Array:
    """Coefficient (u, v) of the block in row u and column v, by its defining sum."""
    plane = image @ RGB_TO_YCBCR[component] - (128 if component == 0 else 0)
    blocks = plane.reshape(8, 8, 8, 8).swapaxes(1, 2)  # (u, v, y, x)
    angle = np.pi / 16 * np.outer(np.arange(8), 2 * np.arange(8) + 1)
    basis = np.cos(angle) / 2
    basis[0] /= np.sqrt(2)
    return np.asarray(np.einsum("uvyx,uy,vx->uv", blocks, basis, basis))


#: On the first cases of each regime: they call again.
CALLS: tuple[_Check, ...] = (determinism, strided, translation, neighbours)
#: On every case: they look at what came back.
NUMBERS: tuple[_Check, ...] = (value_range, greyness, flatness, distortion)
