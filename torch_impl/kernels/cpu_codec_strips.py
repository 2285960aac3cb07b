"""The integer codec on strips of an image: rows of whole MCUs, to planes of blocks and back.

Encoding fills one plane for luma and two for chroma, and codes their blocks in place; decoding
reads them, with a chroma row above and below where it interpolates. All strips of an image have to
be encoded before the first one is decoded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels.cpu_codec_constants import NARROW
from torch_impl.kernels.cpu_codec_dct import LANES, quantize, reconstruct
from torch_impl.kernels.cpu_codec_planes import (
    average_columns,
    average_rows,
    average_squares,
    chroma_row,
    copy_row,
    halve_distances,
    luma_row,
    quarter,
    repeat_columns,
    repeat_last,
    rgb_row,
    take_row,
    weigh_rows,
)
from torch_impl.kernels.cpu_jit import jit, jit_part

_i = np.int32
_u = np.uint8
_Planes = NDArray[np.uint8]
_Plane = NDArray[np.uint8]
_Rows = NDArray[np.uint8]
_Tables = NDArray[np.int32]
_Coefficients = NDArray[np.int16]

_CENTRE = _i(128)
_ONE, _TWO, _FOUR, _SEVEN, _EIGHT = _i(1), _i(2), _i(4), _i(7), _i(8)
_VECTOR = 16  # lanes are done by so many: what is in those without a block does not matter


@jit_part
def _gather(plane: _Plane, first: int, n: int, s: NDArray[np.int32]) -> None:
    """Blocks `first` to `first` + n - 1 of a plane, less 128."""
    columns = plane.shape[1] // 8
    for j in range(n):
        top, left = (first + j) // columns * 8, (first + j) % columns * 8
        for y in range(8):
            line = plane[top + y, left : left + 8]
            for x in range(8):
                s[LANES * (8 * y + x) + j] = _i(_i(line[x]) - _CENTRE)


@jit_part
def _scatter(plane: _Plane, first: int, n: int, s: NDArray[np.int32]) -> None:
    columns = plane.shape[1] // 8
    for j in range(n):
        top, left = (first + j) // columns * 8, (first + j) % columns * 8
        for y in range(8):
            line = plane[top + y, left : left + 8]
            for x in range(8):
                line[x] = _u(s[LANES * (8 * y + x) + j])


@jit_part
def _store(blocks: _Coefficients, first: int, n: int, s: NDArray[np.int32]) -> None:
    """Coefficients of a component, (blocks, 64)."""
    for j in range(n):
        block = blocks[first + j]
        for k in range(64):
            block[k] = np.int16(s[LANES * k + j])


@jit_part
def _code(
    plane: _Plane,
    rows: int,
    end: int,
    table: NDArray[np.int32],
    s: NDArray[np.int32],
    keep: bool,
    blocks: _Coefficients,
) -> None:
    """Quantize block rows `rows`..`end` - 1 of a plane, and decode them in place or keep them."""
    columns = plane.shape[1] // 8
    for first in range(rows * columns, end * columns, LANES):
        n = min(LANES, end * columns - first)
        lanes = (n + _VECTOR - 1) // _VECTOR * _VECTOR
        _gather(plane, first, n, s)
        quantize(s, lanes, table)
        if keep:
            _store(blocks, first, n, s)
        else:
            reconstruct(s, lanes, table)
            _scatter(plane, first, n, s)


@jit_part
def _fill_luma(image: _Planes, rows: int, end: int, luma: _Plane) -> None:
    height, width = image.shape[1], image.shape[2]
    for y in range(rows, end):
        if y >= height:  # repeat the last row
            copy_row(luma[y - 1], luma[y])
            continue
        if image.shape[0] == 1:
            copy_row(image[0, y], luma[y, :width])
        else:
            luma_row(image[0, y], image[1, y], image[2, y], luma[y, :width])
        repeat_last(luma[y], width)


@jit_part
def _fill_chroma(
    image: _Planes,
    vertical: int,
    horizontal: int,
    rows: int,
    end: int,
    chroma: _Planes,
    work: _Rows,
) -> None:
    """Fill rows `rows`..`end` - 1 of Cb and Cr.

    To the right the last input column is repeated, then averaged; at the bottom the last averaged
    row is repeated.
    """
    height, width = image.shape[1], image.shape[2]
    own = (height + vertical - 1) // vertical
    for y in range(rows, end):
        if y >= own:
            copy_row(chroma[0, y - 1], chroma[0, y])
            copy_row(chroma[1, y - 1], chroma[1, y])
            continue
        for i in range(vertical):
            row = min(vertical * y + i, height - 1)
            cb, cr = work[2 * i], work[2 * i + 1]
            chroma_row(image[0, row], image[1, row], image[2, row], cb[:width], cr[:width])
            repeat_last(cb, width)
            repeat_last(cr, width)
        for c in range(2):
            if vertical == 2 and horizontal == 2:
                average_squares(work[c], work[2 + c], chroma[c, y])
            elif vertical == 2:
                average_rows(work[c], work[2 + c], chroma[c, y])
            elif horizontal == 2:
                average_columns(work[c], chroma[c, y])
            else:
                copy_row(work[c], chroma[c, y])


@jit
def encode_strips(
    images: _Planes,
    tables: _Tables,
    vertical: int,
    horizontal: int,
    strip: int,
    first: int,
    last: int,
    luma: _Planes,
    chroma: _Planes,
    work: _Rows,
    s: NDArray[np.int32],
    keep: bool,
    luma_blocks: _Coefficients,
    chroma_blocks: _Coefficients,
) -> None:
    """Quantize strips `first` to `last` - 1 of a batch, and keep the coefficients or decode them.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, 3 or 1, H, W)
        RGB or grey.
    tables : ndarray of int32, shape (N or 1, 2, 64)
        Quantization steps of luma and chroma, natural order.
    vertical, horizontal : int
        Factors by which chroma is reduced, 1 or 2.
    strip : int
        Rows of MCUs in a strip.
    first, last : int
        Strips are numbered from image to image, from top to bottom.
    luma : ndarray of uint8, shape (N, 8 R, 8 C)
        Written.
    chroma : ndarray of uint8, shape (2 N, 8 R', 8 C')
        Written: Cb and Cr of each image; N = 0 for grey.
    work : ndarray of uint8, shape (4, 8 C' * horizontal)
        Scratch memory.
    s : ndarray of int32, shape (64 * LANES,)
        Scratch memory.
    keep : bool
        True: coefficients go to `luma_blocks` and `chroma_blocks`. False: decoded samples stay in
        `luma` and `chroma`.
    luma_blocks, chroma_blocks : ndarray of int16, shape (N, R C, 64) and (2 N, R' C', 64)
        Written or ignored.
    """
    height = images.shape[2]
    down = (height + 8 * vertical - 1) // (8 * vertical)
    strips = (down + strip - 1) // strip
    for number in range(first, last):
        n = number // strips
        start = number % strips * strip
        stop = min(start + strip, down)
        steps = tables[n % tables.shape[0]]
        plane = luma[n]
        rows, end = start * vertical, min(stop * vertical, plane.shape[0] // 8)
        _fill_luma(images[n], 8 * rows, 8 * end, plane)
        _code(plane, rows, end, steps[0], s, keep, luma_blocks[n])
        if images.shape[1] == 1:
            continue
        pair = chroma[2 * n : 2 * n + 2]
        _fill_chroma(images[n], vertical, horizontal, 8 * start, 8 * stop, pair, work)
        for c in range(2):
            _code(pair[c], start, stop, steps[1], s, keep, chroma_blocks[2 * n + c])


@jit_part
def _widen(
    plane: _Plane, y: int, vertical: int, horizontal: int, sums: NDArray[np.int32], row: _Rows
) -> None:
    """Row y of a chroma plane, which is cropped to its own samples, at full resolution."""
    rows, columns = plane.shape
    near = plane[y // vertical]
    if horizontal == 1 and vertical == 1:
        copy_row(near, row)
        return
    if horizontal == 2 and columns <= NARROW:
        repeat_columns(near, row)
        return
    if vertical == 2:
        other = y // 2 + (1 if y % 2 else -1)
        weigh_rows(near, plane[min(max(other, 0), rows - 1)], columns, sums)
        if horizontal == 2:
            halve_distances(sums, columns, _EIGHT, _SEVEN, _FOUR, row)
        else:
            quarter(sums, columns, _TWO if y % 2 else _ONE, row)
    else:
        take_row(near, columns, sums)
        halve_distances(sums, columns, _ONE, _TWO, _TWO, row)


@jit
def decode_strips(
    luma: _Planes,
    chroma: _Planes,
    vertical: int,
    horizontal: int,
    strip: int,
    first: int,
    last: int,
    work: _Rows,
    sums: NDArray[np.int32],
    images: _Planes,
) -> None:
    """Planes to pixels, for strips `first` to `last` - 1.

    Parameters
    ----------
    luma, chroma, vertical, horizontal, strip, first, last, work
        As of :func:`encode_strips`; all strips of the images have been through it.
    sums : ndarray of int32, shape (C' + 2,) or longer
        Scratch memory.
    images : ndarray of uint8, shape (N, 3 or 1, H, W)
        Written.
    """
    height, width = images.shape[2], images.shape[3]
    down = (height + 8 * vertical - 1) // (8 * vertical)
    strips = (down + strip - 1) // strip
    own_rows = (height + vertical - 1) // vertical
    own_columns = (width + horizontal - 1) // horizontal
    for number in range(first, last):
        n = number // strips
        start = number % strips * strip * 8 * vertical
        image, plane = images[n], luma[n]
        for y in range(start, min(start + strip * 8 * vertical, height)):
            if image.shape[0] == 1:
                copy_row(plane[y, :width], image[0, y])
                continue
            for c in range(2):
                own = chroma[2 * n + c, :own_rows, :own_columns]
                _widen(own, y, vertical, horizontal, sums, work[c, : own_columns * horizontal])
            rgb_row(
                plane[y, :width],
                work[0, :width],
                work[1, :width],
                image[0, y],
                image[1, y],
                image[2, y],
            )
