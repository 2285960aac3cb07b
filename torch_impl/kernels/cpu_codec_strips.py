"""The integer codec on strips of an image: rows of whole MCUs, to planes of blocks and back.

First the planes of a strip are filled, one for luma and two for chroma; then their blocks are coded
in place; then they are read, with a chroma row above and below where it is interpolated. All strips
of an image have to be coded before the first one is read.

A few long functions without slices of arrays: Numba compiles them twice as fast as many short ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels import cpu_codec_constants as constants
from torch_impl.kernels.cpu_codec_dct import LANES, forward, inverse, quantized
from torch_impl.kernels.cpu_jit import jit

_i = np.int32
_u = np.uint8
_f = np.float32
_Planes = NDArray[np.uint8]
_Tables = NDArray[np.int32]
_Sums = NDArray[np.int32]
_Coefficients = NDArray[np.int16]

_Y_R, _Y_G, _Y_B = _i(constants.Y_R), _i(constants.Y_G), _i(constants.Y_B)
_CB_R, _CB_G = _i(constants.CB_R), _i(constants.CB_G)
_CR_G, _CR_B = _i(constants.CR_G), _i(constants.CR_B)
_OWN, _HALF, _OFFSET = _i(constants.OWN), _i(constants.HALF), _i(constants.CHROMA_OFFSET)
_R_CR, _B_CB = _i(constants.R_CR), _i(constants.B_CB)
_G_CB, _G_CR = _i(constants.G_CB), _i(constants.G_CR)
_SHIFT = _i(constants.COLOUR_BITS)
_NARROW = constants.NARROW
_CENTRE, _LARGEST = _i(128), _i(255)
_ZERO, _ONE, _TWO, _THREE, _FOUR = _i(0), _i(1), _i(2), _i(3), _i(4)
_STEP_SHIFT = _i(constants.COEFFICIENT_SHIFT)
_FLOAT_ONE = _f(1)
_VECTOR = 16  # lanes are done by so many: what is in those without a block does not matter


@jit
def fill_strips(
    images: _Planes,
    vertical: int,
    horizontal: int,
    strip: int,
    first: int,
    last: int,
    luma: _Planes,
    chroma: _Planes,
    work: _Sums,
) -> None:
    """Pixels to planes, for strips `first` to `last` - 1.

    To the right the last input column is repeated, then averaged; at the bottom the last row of
    luma and the last averaged row of chroma are repeated.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, 3 or 1, H, W)
        RGB or grey.
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
    work : ndarray of int32, shape (2, 8 C' * horizontal)
        Scratch memory.
    """
    height, width = images.shape[2], images.shape[3]
    down = (height + 8 * vertical - 1) // (8 * vertical)
    strips = (down + strip - 1) // strip
    # Sums of 1, 2 or 4 samples are weighed to sums of four. Rounding: 0, 2 of 4 by the column
    # for two columns, 2 of 4 for two rows, 1, 2 of 4 by the column for both.
    scale = _i(_FOUR // _i(vertical * horizontal))
    odd = _ZERO if horizontal == 1 else scale
    bias = _ZERO if vertical == 1 else scale
    for number in range(first, last):
        n = number // strips
        start = number % strips * strip
        for y in range(8 * vertical * start, 8 * vertical * (start + strip)):
            if y >= luma.shape[1]:
                break
            line = y if y < height else height - 1
            if images.shape[1] == 1:
                for x in range(width):
                    luma[n, y, x] = images[n, 0, line, x]
            else:
                for x in range(width):
                    r, g = _i(images[n, 0, line, x]), _i(images[n, 1, line, x])
                    b = _i(images[n, 2, line, x])
                    luma[n, y, x] = _u(_i(_Y_R * r + _Y_G * g + _Y_B * b + _HALF) >> _SHIFT)
            for x in range(width, luma.shape[2]):
                luma[n, y, x] = luma[n, y, width - 1]
        if images.shape[1] == 1:
            continue
        for y in range(8 * start, 8 * (start + strip)):
            if y >= chroma.shape[1]:
                break
            for i in range(vertical):
                line = vertical * y
                if line >= height:  # below the last averaged row
                    line = (height - 1) // vertical * vertical
                line = line + i if line + i < height else height - 1
                for x in range(width):
                    r, g = _i(images[n, 0, line, x]), _i(images[n, 1, line, x])
                    b = _i(images[n, 2, line, x])
                    cb = _i(_OWN * b - _CB_R * r - _CB_G * g + _OFFSET) >> _SHIFT
                    cr = _i(_OWN * r - _CR_G * g - _CR_B * b + _OFFSET) >> _SHIFT
                    work[0, x] = _i(cb) if i == 0 else _i(work[0, x] + cb)
                    work[1, x] = _i(cr) if i == 0 else _i(work[1, x] + cr)
            for c in range(2):
                for x in range(width, work.shape[1]):
                    work[c, x] = work[c, width - 1]
                if horizontal == 2:
                    for x in range(chroma.shape[2]):
                        total = _i(work[c, 2 * x] + work[c, 2 * x + 1])
                        more = _i(bias + odd * _i(_i(x) & _ONE))
                        chroma[2 * n + c, y, x] = _u(_i(total * scale + more) >> _TWO)
                else:
                    for x in range(chroma.shape[2]):
                        chroma[2 * n + c, y, x] = _u(_i(work[c, x] * scale + bias) >> _TWO)


@jit
def code_strips(
    planes: _Planes,
    tables: _Tables,
    kind: int,
    strip: int,
    first: int,
    last: int,
    s: _Sums,
    t: _Sums,
    keep: bool,
    blocks: _Coefficients,
) -> None:
    """Quantize strips `first` to `last` - 1, and keep the coefficients or decode them in place.

    Parameters
    ----------
    planes : ndarray of uint8, shape (N or 2 N, R, 8, C, 8)
        Samples; written.
    tables : ndarray of int32, shape (N or 1, 2, 64)
        Quantization steps of luma and chroma, natural order.
    kind : int
        0 for luma, one plane for each image; 1 for chroma, two planes.
    strip : int
        Rows of blocks in a strip.
    first, last : int
        As of :func:`fill_strips`.
    s, t : ndarray of int32, shape (64 * LANES,)
        Scratch memory.
    keep : bool
        True: coefficients go to `blocks`. False: decoded samples go to `planes`.
    blocks : ndarray of int16, shape (N or 2 N, R C, 64)
        Written or ignored.
    """
    rows, columns = planes.shape[1], planes.shape[3]
    strips = (rows + strip - 1) // strip
    each = kind + 1
    for task in range(first * each, last * each):
        number, c = task // each, task % each
        n, start = number // strips, number % strips * strip
        p, of = each * n + c, n if tables.shape[0] > 1 else 0
        end = columns * (start + strip if start + strip < rows else rows)
        for begin in range(start * columns, end, LANES):
            count = end - begin if end - begin < LANES else LANES
            lanes = (count + _VECTOR - 1) // _VECTOR * _VECTOR
            for j in range(count):
                row, column = (begin + j) // columns, (begin + j) % columns
                for y in range(8):
                    for x in range(8):
                        s[LANES * (8 * y + x) + j] = _i(planes[p, row, y, column, x]) - _CENTRE
            forward(s, t, lanes)
            for k in range(64):
                table = tables[of, kind, k]
                step = _i(table << _STEP_SHIFT)
                half, reciprocal = _i(step >> _ONE), _f(_FLOAT_ONE / _f(step))
                for b in range(lanes):
                    level = quantized(s[LANES * k + b], half, reciprocal)
                    s[LANES * k + b] = level if keep else _i(level * table)
            if keep:
                for j in range(count):
                    for k in range(64):
                        blocks[p, begin + j, k] = np.int16(s[LANES * k + j])
                continue
            inverse(s, t, lanes)
            for i in range(64 * LANES):
                value = _i(s[i] + _CENTRE)
                value = value if value < _LARGEST else _LARGEST
                s[i] = value if value > _ZERO else _ZERO
            for j in range(count):
                row, column = (begin + j) // columns, (begin + j) % columns
                for y in range(8):
                    for x in range(8):
                        planes[p, row, y, column, x] = _u(s[LANES * (8 * y + x) + j])


@jit
def decode_strips(
    luma: _Planes,
    chroma: _Planes,
    vertical: int,
    horizontal: int,
    strip: int,
    first: int,
    last: int,
    work: _Planes,
    sums: _Sums,
    images: _Planes,
) -> None:
    """Planes to pixels, for strips `first` to `last` - 1.

    Parameters
    ----------
    luma, chroma, vertical, horizontal, strip, first, last
        As of :func:`fill_strips`; all strips of the images have been coded.
    work : ndarray of uint8, shape (2, 8 C' * horizontal)
        Scratch memory.
    sums : ndarray of int32, shape (C' + 2,) or longer
        Scratch memory.
    images : ndarray of uint8, shape (N, 3 or 1, H, W)
        Written.
    """
    height, width = images.shape[2], images.shape[3]
    down = (height + 8 * vertical - 1) // (8 * vertical)
    strips = (down + strip - 1) // strip
    rows, columns = (height + vertical - 1) // vertical, (width + horizontal - 1) // horizontal
    filtered = horizontal == 1 or columns > _NARROW
    # Rounding, of 16 parts, for even and odd columns: 8, 7 where there are two rows.
    even, odd = (_i(8), _i(7)) if vertical == 2 else (_FOUR, _i(8))
    for number in range(first, last):
        n = number // strips
        top = number % strips * strip * 8 * vertical
        bottom = top + strip * 8 * vertical
        for y in range(top, bottom if bottom < height else height):
            if images.shape[1] == 1:
                for x in range(width):
                    images[n, 0, y, x] = luma[n, y, x]
                continue
            near = y // vertical
            far = near
            if vertical == 2 and filtered:
                far = near + 1 if y % 2 else near - 1
                if far < 0 or far >= rows:
                    far = near
            bias = _ONE + _i(y % 2)
            for c in range(2):
                for x in range(columns):
                    a, b = _i(chroma[2 * n + c, near, x]), _i(chroma[2 * n + c, far, x])
                    sums[x + 1] = _THREE * a + b
                sums[0], sums[columns + 1] = sums[1], sums[columns]
                if horizontal == 1:
                    for x in range(columns):
                        work[c, x] = _u(_i(sums[x + 1] + bias) >> _TWO)
                elif filtered:
                    for x in range(columns):
                        left, middle, right = sums[x], _i(_THREE * sums[x + 1]), sums[x + 2]
                        work[c, 2 * x] = _u(_i(middle + left + even) >> _FOUR)
                        work[c, 2 * x + 1] = _u(_i(middle + right + odd) >> _FOUR)
                else:
                    for x in range(width):
                        work[c, x] = _u(sums[x // 2 + 1] >> _TWO)
            for x in range(width):
                v = _i(luma[n, y, x])
                b, r = _i(_i(work[0, x]) - _CENTRE), _i(_i(work[1, x]) - _CENTRE)
                red = _i(v + _i(_i(_R_CR * r + _HALF) >> _SHIFT))
                blue = _i(v + _i(_i(_B_CB * b + _HALF) >> _SHIFT))
                green = _i(v + _i(_i(_HALF - _G_CB * b - _G_CR * r) >> _SHIFT))
                red, blue = red if red > _ZERO else _ZERO, blue if blue > _ZERO else _ZERO
                green = green if green > _ZERO else _ZERO
                images[n, 0, y, x] = red if red < _LARGEST else _LARGEST
                images[n, 1, y, x] = green if green < _LARGEST else _LARGEST
                images[n, 2, y, x] = blue if blue < _LARGEST else _LARGEST
