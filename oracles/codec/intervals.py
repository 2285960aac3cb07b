"""Which pixels a sound codec may give that is not libjpeg: interval arithmetic, stage by stage.

JPEG leaves open how exactly each stage is computed. A codec of this contract evaluates the real
pipeline (colour, mean of chroma cells, DCT, true rounding of z/q, inverse DCT, triangle filter,
colour) and at each stage either keeps real numbers or rounds to the nearest whole number, ties
either way; it saturates samples to 0..255 or does not, except at the end; its transforms are off
by no more than those of libjpeg, whose error is bounded below. An interval is carried through all
stages that holds whatever any such codec has there: worst cases, nothing is measured.

Where the interval of a coefficient holds no tie, the level is known, and the pixels of the block
may differ by the rounding behind it alone, a little more than half a grey level for each stage
that rounds. Where it holds one, both levels are let through; such blocks are counted. The judge
chooses its images so that these are few (:mod:`oracles.codec.images`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.blocks import dct2, idct2, merge_blocks, pad_edges, split_blocks
from reference.color import rgb_to_ycbcr
from reference.sampling import downsample, upsample
from reference.standard import DCT_MATRIX, YCBCR_TO_RGB

__all__ = [
    "COLOUR",
    "CONSTANTS",
    "INVERSE_ROUNDING",
    "PASS_ROUNDING",
    "Interval",
    "Pixels",
    "acceptable",
]

Array = NDArray[np.float64]

#: Colour conversion, either way: constants of 16 bits are off by 2^-17 each, three times 255 of
#: them 0.006; the printed ones of four decimals come to 0.0092. float32 adds 1e-4.
COLOUR = 0.01

#: Rounding in a forward DCT of two passes that keeps 2 bits between them and 3 at the end, in
#: units of the orthonormal DCT: at the end 1/2 of 1/8; in between 1/2 of 1/(4 sqrt 8), of which
#: the second pass adds up to sqrt(8).
PASS_ROUNDING = 1 / 16 + 1 / 8

#: Constants of 13 bits are off by 2^-14. In a flow graph of 12 multiplications no output of a pass
#: on samples of size M takes more than 18 M of it, in units of sqrt(8); two passes: 36 M 2^-14.
CONSTANTS = 2.0**-14

#: Of the inverse: 2 bits are kept between the passes, as above; its end is rounded as a sample.
INVERSE_ROUNDING = 1 / 8

# float32 between stages: 1e-7 of numbers up to some thousands.
_FLOAT = 2e-3
_NARROW = 2  # columns of chroma that libjpeg does not filter where it widens


class Interval(NamedTuple):
    """What a number may be: arrays of equal shape, low <= high."""

    low: Array
    high: Array

    def widened(self, by: Array | float) -> Interval:
        """Wider by that much on either side."""
        return Interval(self.low - by, self.high + by)

    def rounded(self) -> Interval:
        """Kept as it is, or rounded to a whole number, ties either way."""
        return Interval(
            np.minimum(self.low, np.ceil(self.low - 0.5)),
            np.maximum(self.high, np.floor(self.high + 0.5)),
        )

    def saturated(self) -> Interval:
        """Kept as it is, or cut off where a sample ends."""
        return Interval(
            np.minimum(self.low, np.clip(self.low, -128, 127)),
            np.maximum(self.high, np.clip(self.high, -128, 127)),
        )


class Pixels(NamedTuple):
    """Pixels that are accepted.

    Parameters
    ----------
    low, high : ndarray, shape of the image
        Ends, both included.
    ambiguous, blocks : int
        Blocks of which more than one level is accepted, and all blocks.
    """

    low: Array
    high: Array
    ambiguous: int
    blocks: int


def acceptable(image: NDArray[np.uint8], tables: Array, factors: tuple[int, int]) -> Pixels:
    """Pixels that a sound codec may give for an image.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3) RGB or (H, W) grey.
    tables : ndarray, shape (2, 8, 8)
        Quantization steps of luma and chroma, natural order.
    factors : (int, int)
        (vertical, horizontal) factor by which chroma is reduced.

    Returns
    -------
    Pixels
    """
    shape = image.shape[0], image.shape[1]
    if image.ndim == 2:
        grey = image.astype(np.float64) - 128
        found, ambiguous, blocks = _plane(Interval(grey, grey), tables[0])
        cut = Interval(*(end[: shape[0], : shape[1]] + 128 for end in found))
        return _finished(cut, ambiguous, blocks)
    exact = rgb_to_ycbcr(np.moveaxis(image, -1, 0).astype(np.float64) - 128)
    # Grey pixels are whole numbers in Y and 0 in Cb and Cr, up to float32, whoever computes them.
    inexact = np.where((image == image[..., :1]).all(axis=-1), 1e-4, COLOUR)
    planes = Interval(exact, exact).widened(inexact).rounded()
    counts = np.zeros(2, dtype=np.int64)
    decoded = []
    for index in range(3):
        plane = Interval(*(end[index] for end in planes))
        if index:
            plane = _reduced(plane, factors)
        back, *count = _plane(plane, tables[min(index, 1)])
        counts += count
        back = _enlarged(back, shape, factors) if index else back
        decoded.append([end[: shape[0], : shape[1]] for end in back])
    low, high = (np.stack(ends, axis=-1) for ends in zip(*decoded, strict=True))
    up, down = np.maximum(YCBCR_TO_RGB, 0).T, np.minimum(YCBCR_TO_RGB, 0).T
    colours = Interval(low @ up + high @ down + 128, high @ up + low @ down + 128)
    # Without chroma nothing is converted; a filter leaves 1e-6 of it.
    still = np.abs(low[..., 1:]).max(axis=-1) + np.abs(high[..., 1:]).max(axis=-1) < 1e-5
    wider = np.where(still, 0.0, COLOUR)[..., None]
    return _finished(colours.widened(wider), int(counts[0]), int(counts[1]))


def _finished(pixels: Interval, ambiguous: int, blocks: int) -> Pixels:
    low, high = (np.clip(end, 0, 255) for end in pixels.widened(_FLOAT).rounded())
    return Pixels(low, high, ambiguous, blocks)


def _reduced(plane: Interval, factors: tuple[int, int]) -> Interval:
    """Means of cells; rows are filled up to whole cells, columns to whole blocks of the result."""
    if factors == (1, 1):
        return plane
    multiples = factors[0], 8 * factors[1]
    ends = (downsample(pad_edges(end, multiples), factors) for end in plane)
    return Interval(*ends).widened(1e-6).rounded()


def _enlarged(plane: Interval, shape: tuple[int, int], factors: tuple[int, int]) -> Interval:
    """The triangle filter on the samples that the image has; its weights are positive."""
    rows, columns = (-(-side // factor) for side, factor in zip(shape, factors, strict=True))
    if factors == (1, 1):
        return plane
    kept = (end[:rows, :columns] for end in plane)
    if factors[1] == 2 and columns <= _NARROW:
        return Interval(*(end.repeat(factors[0], 0).repeat(factors[1], 1) for end in kept))
    return Interval(*(upsample(end, factors) for end in kept)).widened(1e-6).rounded()


def _plane(plane: Interval, table: Array) -> tuple[Interval, int, int]:
    """Through DCT, quantization and back; (R, C, 8, 8) blocks that are ambiguous, and all."""
    low, high = (split_blocks(pad_edges(end, (8, 8))) for end in plane)
    size = np.maximum(np.abs(low), np.abs(high)).max(axis=(-2, -1), keepdims=True)
    basis = np.abs(DCT_MATRIX)
    middle = dct2((low + high) / 2)
    off = basis @ ((high - low) / 2) @ basis.T
    # A constant block has no rounding between the passes. One whole number at most in the
    # interval: biases of a mean take turns, and constant ends may hold samples that are not.
    flat = (np.ptp(low, axis=(-2, -1)) == 0) & (np.ptp(high, axis=(-2, -1)) == 0)
    flat &= high[..., 0, 0] - low[..., 0, 0] < 0.5
    transform = PASS_ROUNDING + 36 * CONSTANTS * size
    off += np.where(flat[..., None, None], _FLOAT, transform)
    first = np.ceil((middle - off) / table - 0.5)
    last = np.floor((middle + off) / table + 0.5)
    centre, radius = table * (first + last) / 2, table * (last - first) / 2
    back = idct2(centre)
    off = basis.T @ radius @ basis
    reach = np.abs(centre) + radius
    total = reach.sum(axis=(-2, -1), keepdims=True)
    # DC alone comes back without rounding but that of the sample; nothing comes back as nothing.
    alone = total == reach[..., :1, :1]
    inverse = np.where(alone, _FLOAT, INVERSE_ROUNDING + np.sqrt(2) * CONSTANTS * total + _FLOAT)
    off += np.where(total == 0, 0.0, inverse)
    found = Interval(merge_blocks(back - off), merge_blocks(back + off)).rounded().saturated()
    wide = (last > first).any(axis=(-2, -1))
    return found, int(wide.sum()), wide.size
