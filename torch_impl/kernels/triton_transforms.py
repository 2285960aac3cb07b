"""The linear steps of the JPEG layer on Triton tiles: block geometry, 8x8 DCT, colour.

A plane of a tile is a tuple of eight vectors: vector j holds line j of every 8x8 block, one block
column per lane. Lanes run along the image, so that loads and stores are contiguous, and a 1-D
transform over the eight vectors needs no exchange between lanes. Between the two axes of the
transform the tile is turned once, through shared memory. All arithmetic is float32 on the
ordinary units: no matrix units, no TF32.

References
----------
ITU-T T.81, A.3.3 (DCT); ITU-T T.871, clause 7 (colour).
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from reference.standard import RGB_TO_YCBCR, YCBCR_TO_RGB


def _half_cosine(k: int) -> tl.constexpr:
    return tl.constexpr(0.5 * math.cos(math.pi * k / 16))


_C1, _C2, _C3, _C4, _C5, _C6, _C7 = (_half_cosine(k) for k in range(1, 8))

(
    (_Y_R, _Y_G, _Y_B),
    (_CB_R, _CB_G, _CB_B),
    (_CR_R, _CR_G, _CR_B),
) = ([tl.constexpr(float(x)) for x in row] for row in RGB_TO_YCBCR)
(
    (_R_Y, _R_CB, _R_CR),
    (_G_Y, _G_CB, _G_CR),
    (_B_Y, _B_CB, _B_CR),
) = ([tl.constexpr(float(x)) for x in row] for row in YCBCR_TO_RGB)


@triton.jit
def dct_lines(x):
    """Orthonormal 8-point DCT-II over a tuple of eight: 22 products, even and odd part apart."""
    s0, s1, s2, s3 = x[0] + x[7], x[1] + x[6], x[2] + x[5], x[3] + x[4]
    d0, d1, d2, d3 = x[0] - x[7], x[1] - x[6], x[2] - x[5], x[3] - x[4]
    e0, e1, f0, f1 = s0 + s3, s1 + s2, s0 - s3, s1 - s2
    return (
        (e0 + e1) * _C4,
        d0 * _C1 + d1 * _C3 + d2 * _C5 + d3 * _C7,
        f0 * _C2 + f1 * _C6,
        d0 * _C3 - d1 * _C7 - d2 * _C1 - d3 * _C5,
        (e0 - e1) * _C4,
        d0 * _C5 - d1 * _C1 + d2 * _C7 + d3 * _C3,
        f0 * _C6 - f1 * _C2,
        d0 * _C7 - d1 * _C5 + d2 * _C3 - d3 * _C1,
    )


@triton.jit
def inverse_dct_lines(c):
    """Inverse, and adjoint, of :func:`dct_lines`."""
    p, m = (c[0] + c[4]) * _C4, (c[0] - c[4]) * _C4
    u, v = c[2] * _C2 + c[6] * _C6, c[2] * _C6 - c[6] * _C2
    e0, e1, e2, e3 = p + u, m + v, m - v, p - u
    o0 = c[1] * _C1 + c[3] * _C3 + c[5] * _C5 + c[7] * _C7
    o1 = c[1] * _C3 - c[3] * _C7 - c[5] * _C1 - c[7] * _C5
    o2 = c[1] * _C5 - c[3] * _C1 + c[5] * _C7 + c[7] * _C3
    o3 = c[1] * _C7 - c[3] * _C5 + c[5] * _C3 - c[7] * _C1
    return (e0 + o0, e1 + o1, e2 + o2, e3 + o3, e3 - o3, e2 - o2, e1 - o1, e0 - o0)


@triton.jit
def _join8(x):
    """Eight vectors [M] -> [M, 8]; stays in the registers of each thread."""
    even = tl.join(tl.join(x[0], x[4]), tl.join(x[2], x[6]))
    odd = tl.join(tl.join(x[1], x[5]), tl.join(x[3], x[7]))
    return tl.reshape(tl.join(even, odd), (x[0].shape[0], 8))


@triton.jit
def _split8(x):
    """Inverse of :func:`_join8`."""
    even, odd = tl.split(tl.reshape(x, (x.shape[0], 2, 2, 2)))
    x04, x26 = tl.split(even)
    x15, x37 = tl.split(odd)
    x0, x4 = tl.split(x04)
    x2, x6 = tl.split(x26)
    x1, x5 = tl.split(x15)
    x3, x7 = tl.split(x37)
    return (x0, x1, x2, x3, x4, x5, x6, x7)


@triton.jit
def turn(x):
    """Transpose every block: eight vectors over (block, i), one per j -> one per i."""
    blocks: tl.constexpr = x[0].shape[0] // 8
    turned = tl.permute(tl.reshape(_join8(x), (blocks, 8, 8)), (0, 2, 1))
    return _split8(tl.reshape(turned, (blocks * 8, 8)))


@triton.jit
def halves(x):
    """Eight vectors -> the first and the last four, as [M, 4] each."""
    low = tl.join(tl.join(x[0], x[2]), tl.join(x[1], x[3]))
    high = tl.join(tl.join(x[4], x[6]), tl.join(x[5], x[7]))
    return tl.reshape(low, (x[0].shape[0], 4)), tl.reshape(high, (x[0].shape[0], 4))


@triton.jit
def _split4(x):
    even, odd = tl.split(tl.reshape(x, (x.shape[0], 2, 2)))
    x0, x2 = tl.split(even)
    x1, x3 = tl.split(odd)
    return (x0, x1, x2, x3)


@triton.jit
def whole(low, high):
    """Inverse of :func:`halves`."""
    return _split4(low) + _split4(high)


@triton.jit
def load_half(table, vertical):
    """Four columns of an (8, 8) table beside half of the coefficients, [M, 4]."""
    at = table + vertical * 8
    even = tl.join(tl.load(at), tl.load(at + 2))
    odd = tl.join(tl.load(at + 1), tl.load(at + 3))
    return tl.reshape(tl.join(even, odd), (vertical.shape[0], 4))


@triton.jit
def mix_to_chroma(red, green, blue):
    """Cb and Cr of pixels."""
    cb = red * _CB_R + green * _CB_G + blue * _CB_B
    return cb, red * _CR_R + green * _CR_G + blue * _CR_B


@triton.jit
def mix_chroma_adjoint(red, green, blue):
    """Gradients of Cb and Cr from those of the decoded pixels."""
    cb = red * _R_CB + green * _G_CB + blue * _B_CB
    return cb, red * _R_CR + green * _G_CR + blue * _B_CR


@triton.jit
def mix_to_ycbcr(red, green, blue):
    """RGB planes to Y, Cb, Cr planes."""
    y = ()
    cb = ()
    cr = ()
    for j in tl.static_range(8):
        r, g, b = red[j], green[j], blue[j]
        y = y + (r * _Y_R + g * _Y_G + b * _Y_B,)
        chroma = mix_to_chroma(r, g, b)
        cb = cb + (chroma[0],)
        cr = cr + (chroma[1],)
    return y, cb, cr


@triton.jit
def mix_to_ycbcr_adjoint(y, cb, cr):
    """Gradients of Y, Cb, Cr to gradients of RGB."""
    red = ()
    green = ()
    blue = ()
    for j in tl.static_range(8):
        red = red + (y[j] * _Y_R + cb[j] * _CB_R + cr[j] * _CR_R,)
        green = green + (y[j] * _Y_G + cb[j] * _CB_G + cr[j] * _CR_G,)
        blue = blue + (y[j] * _Y_B + cb[j] * _CB_B + cr[j] * _CR_B,)
    return red, green, blue


@triton.jit
def mix_to_rgb(y, cb, cr):
    """Y, Cb, Cr planes to RGB planes."""
    red = ()
    green = ()
    blue = ()
    for j in tl.static_range(8):
        red = red + (y[j] * _R_Y + cb[j] * _R_CB + cr[j] * _R_CR,)
        green = green + (y[j] * _G_Y + cb[j] * _G_CB + cr[j] * _G_CR,)
        blue = blue + (y[j] * _B_Y + cb[j] * _B_CB + cr[j] * _B_CR,)
    return red, green, blue


@triton.jit
def mix_to_rgb_adjoint(red, green, blue):
    """Gradients of RGB to gradients of Y, Cb, Cr."""
    y = ()
    cb = ()
    cr = ()
    for j in tl.static_range(8):
        r, g, b = red[j], green[j], blue[j]
        y = y + (r * _R_Y + g * _G_Y + b * _B_Y,)
        chroma = mix_chroma_adjoint(r, g, b)
        cb = cb + (chroma[0],)
        cr = cr + (chroma[1],)
    return y, cb, cr


@triton.jit
def fold_lines(x, first, size):
    """Adjoint of edge replication: lines first + j >= size are added to the line before."""
    folded = (x[7],)
    for i in tl.static_range(7):
        beyond = first + (7 - i) >= size
        line = x[6 - i] + tl.where(beyond, folded[0], 0.0)
        folded = (line,) + folded
    return folded
