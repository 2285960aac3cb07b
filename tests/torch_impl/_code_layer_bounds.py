"""How far rounding may take the layer of the authors' code from its float64 twin.

Rounding moves a coefficient z by some delta. What that does to the quantizer, its jumps between
windows included, is seen by evaluating the twin at z - delta and z + delta; what rounding does
inside the quantizer is what the oracles allow. The rest is linear. These are bounds of the worst
case: 240 random cases in float32 and float64 needed at most 0.03 of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles import tolerances
from reference import jpeg_dl_code as twin
from reference.blocks import merge_blocks, split_blocks
from reference.standard import DCT_MATRIX, LEVEL_SHIFT, RGB_TO_YCBCR, YCBCR_TO_RGB

Array = NDArray[np.float64]

# Sums of 3, 8 and 8 products, one rounding each and one per product: at most 20 roundings of eps/2.
LINEAR = 10
# A sum over the blocks, in pieces: torch adds in lanes of at most some ten thousand terms, in
# which errors of random sign grow as the root of their number, and it multiplies first.
SUMMATION = 100


class Bounds(NamedTuple):
    output: Array
    image: Array
    q: Array
    alpha: Array


def _mix(matrix: Array, image: Array) -> Array:
    return np.einsum("ij,njhw->nihw", np.abs(matrix), np.abs(image))


def _dct(planes: Array) -> Array:
    """As the DCT, all terms with a positive sign."""
    return np.abs(DCT_MATRIX) @ split_blocks(np.abs(planes)) @ np.abs(DCT_MATRIX).T


def _idct(coefficients: Array, size: tuple[int, int]) -> Array:
    matrix = np.abs(DCT_MATRIX)
    return merge_blocks(matrix.T @ np.abs(coefficients) @ matrix)[..., : size[0], : size[1]]


def bounds(image: Array, q: Array, alpha: Array, weight: Array, *, bits: int, dtype: str) -> Bounds:
    """Largest acceptable errors of output and gradients, for one round."""
    eps = float(np.finfo(dtype).eps)
    size = image.shape[-2:]
    support = {"max_level": 2 ** (bits - 1) - 1, "window": 5, "dtype": dtype}
    q_, alpha_ = (np.broadcast_to(t[[0, 1, 1], None, None], (3, 1, 1, 8, 8)) for t in (q, alpha))
    z = twin._analyse(image)
    delta = LINEAR * eps * _dct(twin._pad(_mix(RGB_TO_YCBCR, image - LEVEL_SHIFT) + 0.5))
    here = np.array(twin.quantize_code_partials(z, q_, alpha_, bits=bits))
    error = np.zeros_like(here)
    for moved in (z, z - delta, z + delta):
        there = np.array(twin.quantize_code_partials(moved, q_, alpha_, bits=bits))
        allowed = np.array(tolerances(moved, q_, alpha_, **support))
        error = np.maximum(error, np.abs(there - here) + allowed)
    (value, dz, dq, dalpha), (e_value, e_dz, e_dq, e_dalpha) = here, error

    pixels = _idct(e_value + LINEAR * eps * np.abs(value), size)
    output = _mix(YCBCR_TO_RGB, pixels) + LINEAR * eps * 255

    grad = np.abs(twin.dct2(split_blocks(twin._pad(twin.ycbcr_to_rgb_adjoint(weight)))))
    e_grad = LINEAR * eps * _dct(twin._pad(_mix(YCBCR_TO_RGB.T, weight)))

    def product(partial: Array, e_partial: Array) -> Array:
        return grad * e_partial + e_grad * (np.abs(partial) + e_partial)

    def table(partial: Array, e_partial: Array) -> Array:
        terms = product(partial, e_partial) + SUMMATION * eps * grad * np.abs(partial)
        luma, cb, cr = terms.sum(axis=(0, 2, 3))
        return np.stack([luma, cb + cr])

    back = product(dz, e_dz) + LINEAR * eps * grad * np.abs(dz)
    return Bounds(
        output=output,
        image=_mix(RGB_TO_YCBCR.T, _idct(back, size)),
        q=table(dq, e_dq),
        alpha=table(dalpha, e_dalpha),
    )
