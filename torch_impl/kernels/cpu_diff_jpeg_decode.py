"""Samples of luma and reduced chroma to pixels in float32, with the clipping, and the adjoint.

Edges are those of :mod:`torch_impl._diff_jpeg_steps`: the padding is dropped before chroma is
interpolated, and one or two columns of chroma are widened by repetition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.standard import YCBCR_TO_RGB
from torch_impl.kernels.cpu_codec_constants import NARROW
from torch_impl.kernels.cpu_diff_jpeg_blocks import Array
from torch_impl.kernels.cpu_jit import jit

Mask = NDArray[np.uint8]

_f = np.float32
_R_CR, _G_CB, _G_CR, _B_CB = (_f(YCBCR_TO_RGB[i]) for i in ((0, 2), (1, 1), (1, 2), (2, 1)))
_ZERO, _ONE, _LARGEST = _f(0), _f(1), _f(255)
_NEAR, _FAR = _f(0.75), _f(0.25)

PLAIN, CLIP, WEIGH = 0, 1, 2
"""What happens to pixels: nothing; clipping, which notes what lay inside; multiplication by the
derivative of a clipping that has been."""


@jit
def decode_rows(
    luma: Array,
    chroma: Array,
    vertical: int,
    horizontal: int,
    shift: np.float32,
    mode: int,
    slope: np.float32,
    down: int,
    first: int,
    last: int,
    work: Array,
    images: Array,
    inside: Mask,
) -> None:
    """Pixels of rows of MCUs `first` to `last` - 1.

    Parameters
    ----------
    luma : ndarray of float32, shape (rows, 8, 8 C)
        Samples, local.
    chroma : ndarray of float32, shape (2 N, 8 R', 8 C')
        Samples of all images: interpolation reads across the borders of tasks.
    vertical, horizontal : int
        Factors by which chroma is reduced, 1 or 2.
    shift : float32
        Added to RGB.
    mode : int
        `PLAIN`, `CLIP` to [0, 255], or `WEIGH`.
    slope : float32
        Of the clipping outside the range.
    down : int
        Rows of MCUs of an image.
    first, last : int
        Which of them.
    work : ndarray of float32, shape (3, 8 C' * horizontal + 2)
        Scratch memory.
    images : ndarray of float32, shape (N, 3, H, W)
        Written.
    inside : ndarray of uint8, shape (N, 3, H, W)
        Whether a value lies in the range: written by `CLIP`, read by `WEIGH`.
    """
    height, width = images.shape[2], images.shape[3]
    rows, columns = (height + vertical - 1) // vertical, (width + horizontal - 1) // horizontal
    filtered = horizontal == 1 or columns > NARROW
    for number in range(first, last):
        n, row, local = number // down, number % down, number - first
        for y in range(8 * vertical):
            line = 8 * vertical * row + y
            if line >= height:
                break
            near = line // vertical
            far = near
            if vertical == 2 and filtered:
                far = near + 1 if line % 2 else near - 1
                far = near if far < 0 or far >= rows else far
            for c in range(2):
                # work[2, x + 1]: column x, with the first and the last one repeated.
                for x in range(columns):
                    value = _FAR * chroma[2 * n + c, far, x]
                    work[2, x + 1] = _NEAR * chroma[2 * n + c, near, x] + value
                work[2, 0], work[2, columns + 1] = work[2, 1], work[2, columns]
                if horizontal == 1:
                    for x in range(columns):
                        work[c, x] = work[2, x + 1]
                    continue
                side = _FAR if filtered else _ZERO
                own = _f(_ONE - side)
                for x in range(columns):
                    work[c, 2 * x] = own * work[2, x + 1] + side * work[2, x]
                    work[c, 2 * x + 1] = own * work[2, x + 1] + side * work[2, x + 2]
            block, top = local * vertical + y // 8, y % 8
            for c in range(3):
                cb = _ZERO if c == 0 else (_G_CB if c == 1 else _B_CB)
                cr = _R_CR if c == 0 else (_G_CR if c == 1 else _ZERO)
                for x in range(width):
                    v = luma[block, top, x] + (cb * work[0, x] + cr * work[1, x]) + shift
                    if mode == CLIP:
                        w = v if v < _LARGEST else _LARGEST
                        w = w if w > _ZERO else _ZERO
                        inside[n, c, line, x] = np.uint8(v == w)
                        v = w + slope * (v - w)
                    elif mode == WEIGH:
                        v *= _ONE if inside[n, c, line, x] else slope
                    images[n, c, line, x] = v


@jit
def decode_rows_adjoint(
    grad: Array,
    inside: Mask,
    vertical: int,
    horizontal: int,
    slope: np.float32,
    down: int,
    first: int,
    last: int,
    work: Array,
    luma: Array,
    chroma: Array,
) -> None:
    """Gradients of samples, of rows of MCUs `first` to `last` - 1.

    Parameters
    ----------
    grad : ndarray of float32, shape (N, 3, H, W)
        Of pixels.
    inside : ndarray of uint8, shape (N, 3, H, W)
        What :func:`decode_rows` has noted; not read if `slope` is 1.
    vertical, horizontal, slope, down, first, last
        As of :func:`decode_rows`.
    work : ndarray of float32, shape (5, 8 C' * horizontal + 3)
        Scratch memory.
    luma : ndarray of float32, shape (rows, 8, 8 C)
        Written, local.
    chroma : ndarray of float32, shape (rows, 8, 8 C')
        Written, local: for each row of MCUs Cb and Cr.
    """
    height, width = grad.shape[2], grad.shape[3]
    rows, columns = (height + vertical - 1) // vertical, (width + horizontal - 1) // horizontal
    filtered = horizontal == 1 or columns > NARROW
    halo = 1 if vertical == 2 and filtered else 0
    side = _FAR if filtered else _ZERO
    own = _f(_ONE - side)
    for number in range(first, last):
        n, row, local = number // down, number % down, number - first
        for c in range(2):
            for y in range(8):
                for x in range(chroma.shape[2]):
                    chroma[2 * local + c, y, x] = _ZERO
        for y in range(-halo, 8 * vertical + halo):
            line = 8 * vertical * row + y
            if 0 <= y < 8 * vertical:
                for x in range(0 if line >= height else width, luma.shape[2]):
                    luma[local * vertical + y // 8, y % 8, x] = _ZERO
            if line < 0 or line >= height:
                continue
            for c in range(3):
                for x in range(width):
                    value = grad[n, c, line, x]
                    if slope != _ONE:
                        value *= _ONE if inside[n, c, line, x] else slope
                    work[c, x] = value
            if 0 <= y < 8 * vertical:
                for x in range(width):
                    value = work[0, x] + work[1, x] + work[2, x]
                    luma[local * vertical + y // 8, y % 8, x] = value
            near = line // vertical
            far = near
            if vertical == 2 and filtered:
                far = near + 1 if line % 2 else near - 1
                far = near if far < 0 or far >= rows else far
            for c in range(2):
                # work[3, x + 1]: column x, with zeros around.
                work[3, 0], work[3, width + 1], work[3, width + 2] = _ZERO, _ZERO, _ZERO
                by_1, by_0 = (_G_CB, _B_CB) if c == 0 else (_G_CR, _R_CR)
                other = 2 if c == 0 else 0
                for x in range(width):
                    work[3, x + 1] = by_1 * work[1, x] + by_0 * work[other, x]
                if horizontal == 2:
                    for x in range(columns):
                        value = own * (work[3, 2 * x + 1] + work[3, 2 * x + 2])
                        work[4, x] = value + side * (work[3, 2 * x] + work[3, 2 * x + 3])
                    # The neighbours that the first and the last column lack are themselves.
                    work[4, 0] += side * work[3, 1]
                    work[4, columns - 1] += side * work[3, 2 * columns]
                else:
                    for x in range(columns):
                        work[4, x] = work[3, x + 1]
                for i in range(2):
                    to = near - 8 * row if i == 0 else far - 8 * row
                    weight = _NEAR if i == 0 else _FAR
                    if 0 <= to < 8:
                        for x in range(columns):
                            chroma[2 * local + c, to, x] += weight * work[4, x]
