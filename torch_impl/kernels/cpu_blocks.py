"""Planes to DCT coefficients and back, a tile of 8x8 blocks at a time, in NumPy.

A tile is held frequency by frequency: one row of numbers for each plane and each of the 64
positions, one number for each block. Colour, DCT and quantizer then all run over rows of
neighbouring numbers, and a row of coefficients has one quantization step. Each step serves both
passes, forward and backward: the adjoint of an orthonormal DCT is its inverse, the adjoint of
a colour matrix its transpose, and the adjoint of repeating an edge is to add up there.

NumPy does this about as fast as compiled loops would, and needs no compilation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float32]

# Blocks per tile: three planes take 192 KiB and stay in the second-level cache. Shorter rows cost
# more (measured: 8 % of the layer at 144).
_BLOCKS = 256


@dataclass(frozen=True)
class Tile:
    """Blocks of some images: half-open ranges of images, block rows and block columns."""

    images: slice
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, block rows and block columns."""
        n, i, j = (s.stop - s.start for s in (self.images, self.rows, self.columns))
        return n, i, j

    @property
    def size(self) -> int:
        """Number of blocks."""
        n, i, j = self.shape
        return n * i * j


def tiles(images: int, height: int, width: int) -> list[Tile]:
    """Cut a batch into tiles of about `_BLOCKS` blocks; depends on the shape alone."""
    down, across = -(-height // 8), -(-width // 8)
    columns = min(across, _BLOCKS)
    rows = min(down, max(1, _BLOCKS // columns))
    many = max(1, _BLOCKS // (rows * columns)) if rows == down else 1
    return [
        Tile(*(slice(a, min(a + step, end)) for a, step, end in corner))
        for corner in (
            ((n, many, images), (i, rows, down), (j, columns, across))
            for n in range(0, images, many)
            for i in range(0, down, rows)
            for j in range(0, across, columns)
        )
    ]


def read(
    image: _Array, tile: Tile, shift: float, repeat: bool, colour: _Array | None, matrix: _Array
) -> _Array:
    """Coefficients of one tile.

    Parameters
    ----------
    image : ndarray, shape (N, planes, H, W)
        Samples.
    tile : Tile
        Blocks to read.
    shift : float
        Added to each sample.
    repeat : bool
        Beyond the edges: repeat the last sample (True), or 0.
    colour : ndarray, shape (3, 3), optional
        Matrix across the three planes.
    matrix : ndarray, shape (8, 8)
        The DCT matrix.

    Returns
    -------
    ndarray, shape (planes * 64, blocks)
    """
    n, i, j = tile.shape
    part = _part(image, tile)
    missing = 8 * i - part.shape[2], 8 * j - part.shape[3]
    if any(missing):
        widths = ((0, 0), (0, 0), (0, missing[0]), (0, missing[1]))
        part = np.pad(part, widths, mode="edge" if repeat else "constant")
    planes = part.shape[1]
    blocks = np.empty((planes, 8, 8, n, i, j), np.float32)
    np.add(
        part.reshape(n, planes, i, 8, j, 8).transpose(1, 3, 5, 0, 2, 4),
        np.float32(shift),
        out=blocks,
    )
    if repeat and not math.isfinite(blocks.sum()):
        # Infinity counts as NaN: the block that holds it has no DCT.
        blocks[np.isinf(blocks)] = np.nan
    if colour is not None:
        blocks = colour @ blocks.reshape(planes, -1)
    return _transform(blocks, planes, matrix).reshape(planes * 64, -1)


def write(
    image: _Array,
    tile: Tile,
    shift: float,
    fold: bool,
    colour: _Array | None,
    matrix: _Array,
    coefficients: _Array,
) -> None:
    """Store one tile; the way back from :func:`read`.

    Parameters
    ----------
    image, tile, shift, colour
        As of :func:`read`; `image` is written.
    fold : bool
        Samples beyond the edges: add them to the last sample (True), or drop them.
    matrix : ndarray, shape (8, 8)
        The transpose of the DCT matrix.
    coefficients : ndarray, shape (planes * 64, blocks)
        What to store.
    """
    n, i, j = tile.shape
    planes = image.shape[1]
    blocks = _transform(coefficients, planes, matrix)
    if colour is not None:
        blocks = colour @ blocks.reshape(planes, -1)
    source = blocks.reshape(planes, 8, 8, n, i, j).transpose(3, 0, 4, 1, 5, 2)
    part = _part(image, tile)
    height, width = part.shape[2:]
    if (height, width) == (8 * i, 8 * j):
        np.add(source, np.float32(shift), out=part.reshape(n, planes, i, 8, j, 8))
        return
    samples = np.add(source, np.float32(shift)).reshape(n, planes, 8 * i, 8 * j)
    if fold:
        samples[..., width - 1] = samples[..., width - 1 :].sum(axis=-1)
        samples[..., height - 1, :] = samples[..., height - 1 :, :].sum(axis=-2)
    part[:] = samples[..., :height, :width]


def _part(image: _Array, tile: Tile) -> _Array:
    rows, columns = (slice(8 * s.start, 8 * s.stop) for s in (tile.rows, tile.columns))
    return image[tile.images, :, rows, columns]


def _transform(blocks: _Array, planes: int, matrix: _Array) -> _Array:
    """Multiply every block from the left by a matrix and from the right by its transpose."""
    columns = matrix @ blocks.reshape(planes, 8, -1)
    result: _Array = matrix @ columns.reshape(planes * 8, 8, -1)
    return result
