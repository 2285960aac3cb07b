"""RGB and YCbCr in 16-bit fixed point, as libjpeg computes them.

References
----------
libjpeg-turbo, jccolor.c (``rgb_ycc_convert``) and jdcolor.c (``ycc_rgb_convert``); ITU-T T.871,
clause 7, for the matrix that they approximate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference._jit import jit

_SHIFT = 16
_HALF = 1 << (_SHIFT - 1)
_CENTRE = 128 << _SHIFT


def _fixed(value: float) -> int:
    return int(value * (1 << _SHIFT) + 0.5)


# To YCbCr; the rows for Cb and Cr add up to 0.
_Y_R, _Y_G, _Y_B = _fixed(0.299), _fixed(0.587), _fixed(0.114)
_CB_R, _CB_G = _fixed(0.168735892), _fixed(0.331264108)
_CR_G, _CR_B = _fixed(0.418687589), _fixed(0.081312411)
_OWN = _fixed(0.5)
# To RGB.
_R_CR, _B_CB = _fixed(1.402), _fixed(1.772)
_G_CB, _G_CR = _fixed(0.34414), _fixed(0.71414)


@jit
def saturated(value: int) -> int:
    """The sample nearest to `value`."""
    return min(max(value, 0), 255)


@jit
def rgb_to_ycbcr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB to (3, H, W) Y, Cb, Cr.

    Luma rounds half up. Chroma rounds half down (libjpeg adds one half less one unit), so that
    the largest value cannot reach 256.
    """
    height, width, _ = image.shape
    planes = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            r, g, b = np.int32(image[y, x, 0]), np.int32(image[y, x, 1]), np.int32(image[y, x, 2])
            luma = _Y_R * r + _Y_G * g + _Y_B * b + _HALF
            cb = _OWN * b - _CB_R * r - _CB_G * g + _CENTRE + _HALF - 1
            cr = _OWN * r - _CR_G * g - _CR_B * b + _CENTRE + _HALF - 1
            planes[0, y, x] = np.int32(luma) >> _SHIFT
            planes[1, y, x] = np.int32(cb) >> _SHIFT
            planes[2, y, x] = np.int32(cr) >> _SHIFT
    return planes


@jit
def ycbcr_to_rgb(
    luma: NDArray[np.uint8], cb: NDArray[np.uint8], cr: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Three planes (H, W) to (H, W, 3) RGB, saturated to 0..255."""
    height, width = luma.shape
    image = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            v = np.int32(luma[y, x])
            b, r = np.int32(cb[y, x]) - 128, np.int32(cr[y, x]) - 128
            red = v + ((_R_CR * r + _HALF) >> _SHIFT)
            green = v + ((-_G_CB * b - _G_CR * r + _HALF) >> _SHIFT)
            blue = v + ((_B_CB * b + _HALF) >> _SHIFT)
            image[y, x, 0] = saturated(red)
            image[y, x, 1] = saturated(green)
            image[y, x, 2] = saturated(blue)
    return image
