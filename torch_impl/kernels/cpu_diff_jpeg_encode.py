"""Pixels to samples of luma and reduced chroma in float32, and the adjoint of that.

Rows of MCUs are worked on one by one; none needs another one. Edges are those of
:mod:`torch_impl._diff_jpeg_steps`: to the right the last column is repeated, then averaged; at
the bottom the last row of luma and the last averaged row of chroma are repeated. The adjoint of
repeating is to add up.
"""

from __future__ import annotations

import numpy as np

from reference.standard import RGB_TO_YCBCR
from torch_impl.kernels.cpu_diff_jpeg_blocks import Array
from torch_impl.kernels.cpu_jit import jit

_f = np.float32
_Y_R, _Y_G, _Y_B = (_f(value) for value in RGB_TO_YCBCR[0])
_CB_R, _CB_G, _CB_B = (_f(value) for value in RGB_TO_YCBCR[1])
_CR_R, _CR_G, _CR_B = (_f(value) for value in RGB_TO_YCBCR[2])
_ZERO, _ONE, _TWO, _HALF, _LARGEST = _f(0), _f(1), _f(2), _f(0.5), _f(255)


@jit
def encode_rows(
    images: Array,
    vertical: int,
    horizontal: int,
    shift: np.float32,
    whole: bool,
    down: int,
    first: int,
    last: int,
    work: Array,
    luma: Array,
    chroma: Array,
) -> None:
    """Samples of rows of MCUs `first` to `last` - 1.

    Parameters
    ----------
    images : ndarray of float32, shape (N, 3, H, W)
        RGB.
    vertical, horizontal : int
        Factors by which chroma is reduced, 1 or 2.
    shift : float32
        Subtracted from RGB.
    whole : bool
        Whether RGB is rounded to the nearest integers, halves up, and saturated before.
    down : int
        Rows of MCUs of an image.
    first, last : int
        Which of them.
    work : ndarray of float32, shape (5, 8 C' * horizontal)
        Scratch memory.
    luma : ndarray of float32, shape (rows, 8, 8 C)
        Written, local.
    chroma : ndarray of float32, shape (rows, 8, 8 C')
        Written, local: for each row of MCUs Cb and Cr.
    """
    height, width = images.shape[2], images.shape[3]
    reduced = (height + vertical - 1) // vertical
    share = _f(_ONE / _f(vertical * horizontal))
    for number in range(first, last):
        n, row, local = number // down, number % down, number - first
        source = -1  # line that is in `work`
        for task in range(16 * vertical):
            y, for_chroma = task // 2, task % 2 == 1
            top = 8 * vertical * row + y
            at = top if top < height else height - 1
            if for_chroma:
                pair = top // vertical if top // vertical < reduced else reduced - 1
                at = vertical * pair + top % vertical
                at = at if at < height else height - 1
            if at != source:
                source = at
                for c in range(3):
                    for x in range(width):
                        value = images[n, c, source, x]
                        if whole:
                            value = np.ceil(np.floor(_TWO * value) * _HALF)
                            value = value if value < _LARGEST else _LARGEST
                            value = value if value > _ZERO else _ZERO
                        work[c, x] = value - shift
            if not for_chroma:
                block = local * vertical + y // 8
                for x in range(width):
                    value = _Y_R * work[0, x] + _Y_G * work[1, x] + _Y_B * work[2, x]
                    luma[block, y % 8, x] = value
                for x in range(width, luma.shape[2]):
                    luma[block, y % 8, x] = luma[block, y % 8, width - 1]
                continue
            for c in range(2):
                by_r, by_g, by_b = (_CB_R, _CB_G, _CB_B) if c == 0 else (_CR_R, _CR_G, _CR_B)
                if y % vertical == 0:
                    for x in range(width):
                        work[3 + c, x] = _ZERO
                for x in range(width):
                    value = by_r * work[0, x] + by_g * work[1, x] + by_b * work[2, x]
                    work[3 + c, x] += value
                if y % vertical < vertical - 1:
                    continue
                for x in range(width, horizontal * chroma.shape[2]):
                    work[3 + c, x] = work[3 + c, width - 1]
                for x in range(chroma.shape[2]):
                    value = work[3 + c, x]
                    if horizontal == 2:
                        value = work[3 + c, 2 * x] + work[3 + c, 2 * x + 1]
                    chroma[2 * local + c, y // vertical, x] = share * value


@jit
def encode_rows_adjoint(
    luma: Array,
    chroma: Array,
    vertical: int,
    horizontal: int,
    down: int,
    first: int,
    last: int,
    work: Array,
    images: Array,
) -> None:
    """Gradients of pixels, of rows of MCUs `first` to `last` - 1.

    Parameters
    ----------
    luma, chroma, vertical, horizontal, down, first, last, work
        As of :func:`encode_rows`. `luma` and `chroma` hold gradients of samples and are written.
    images : ndarray of float32, shape (N, 3, H, W)
        Written.
    """
    height, width = images.shape[2], images.shape[3]
    reduced = (height + vertical - 1) // vertical
    share = _f(_ONE / _f(vertical * horizontal))
    for number in range(first, last):
        n, row, local = number // down, number % down, number - first
        rows = reduced - 8 * row if reduced - 8 * row < 8 else 8
        for c in range(2):
            for y in range(rows, 8):
                for x in range(chroma.shape[2]):
                    chroma[2 * local + c, rows - 1, x] += chroma[2 * local + c, y, x]
        for y in range(8 * vertical):
            line = 8 * vertical * row + y
            block, top = local * vertical + y // 8, y % 8
            if line >= height:
                break
            if line == height - 1:  # to which the lines below add up
                for i in range(top + 1, 8):
                    for x in range(luma.shape[2]):
                        luma[block, top, x] += luma[block, i, x]
            for x in range(width, luma.shape[2]):
                luma[block, top, width - 1] += luma[block, top, x]
            # A last line without a partner was averaged with itself.
            alone = vertical == 2 and line == height - 1 and line % 2 == 0
            weight = _f(_TWO * share) if alone else share
            for c in range(2):
                for x in range(chroma.shape[2]):
                    value = weight * chroma[2 * local + c, y // vertical, x]
                    if horizontal == 2:
                        work[c, 2 * x] = value
                        work[c, 2 * x + 1] = value
                    else:
                        work[c, x] = value
                for x in range(width, horizontal * chroma.shape[2]):
                    work[c, width - 1] += work[c, x]
            for x in range(width):
                v, cb, cr = luma[block, top, x], work[0, x], work[1, x]
                images[n, 0, line, x] = _Y_R * v + _CB_R * cb + _CR_R * cr
                images[n, 1, line, x] = _Y_G * v + _CB_G * cb + _CR_G * cr
                images[n, 2, line, x] = _Y_B * v + _CB_B * cb + _CR_B * cr
