"""8x8 blocks: padding to whole blocks, split and merge, orthonormal DCT-II, zigzag order.

All of it is linear. The inverse of an orthonormal transform is its transpose, so `idct2` is the
adjoint of `dct2` and `merge_blocks` the adjoint of `split_blocks`; padding has an adjoint of its
own. Blocks never mix: a NaN stays in its block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.standard import BLOCK_SIZE, DCT_MATRIX, ZIGZAG

__all__ = [
    "dct2",
    "from_zigzag",
    "idct2",
    "merge_blocks",
    "pad_edges",
    "pad_edges_adjoint",
    "split_blocks",
    "to_zigzag",
]

_NATURAL = np.argsort(ZIGZAG)  # zigzag position of the i-th coefficient in natural order


def pad_edges(plane: ArrayLike, multiples: tuple[int, int]) -> NDArray[np.float64]:
    """Repeat the last row and column until the sides are multiples of the given numbers.

    Parameters
    ----------
    plane : array_like, shape (..., H, W)
        H, W >= 1.
    multiples : (int, int)
        What the height and the width of the result must be multiples of: 8 for blocks,
        8 times the subsampling factor for whole MCUs.

    Returns
    -------
    ndarray of float64, shape (..., H', W')
        The plane at the top left, repeated edges below and to the right.

    Raises
    ------
    ValueError
        If the plane has fewer than two axes or an empty one.
    """
    plane = _planes("plane", plane)
    height, width = plane.shape[-2:]
    rows = np.minimum(np.arange(_round_up(height, multiples[0])), height - 1)
    columns = np.minimum(np.arange(_round_up(width, multiples[1])), width - 1)
    return plane[..., rows[:, None], columns]


def pad_edges_adjoint(gradient: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Transpose of `pad_edges`: add what the repeated edges received to the samples they repeat.

    Parameters
    ----------
    gradient : array_like, shape (..., H', W')
        Gradient with respect to the padded plane.
    shape : (int, int)
        (H, W) of the plane before padding, H <= H', W <= W'.

    Returns
    -------
    ndarray of float64, shape (..., H, W)

    Raises
    ------
    ValueError
        If (H, W) does not fit into the gradient.
    """
    gradient = _planes("gradient", gradient)
    height, width = shape
    if not (1 <= height <= gradient.shape[-2] and 1 <= width <= gradient.shape[-1]):
        raise ValueError(
            f"shape must lie within the padded plane {gradient.shape[-2:]}, got {shape}"
        )
    by_row = gradient[..., :height, :].copy()
    by_row[..., -1, :] += gradient[..., height:, :].sum(axis=-2)
    result = by_row[..., :width].copy()
    result[..., -1] += by_row[..., width:].sum(axis=-1)
    return result


def split_blocks(plane: ArrayLike) -> NDArray[np.float64]:
    """Cut planes into 8x8 blocks.

    Parameters
    ----------
    plane : array_like, shape (..., H, W)
        H and W multiples of 8 (see `pad_edges`).

    Returns
    -------
    ndarray of float64, shape (..., H/8, W/8, 8, 8)

    Raises
    ------
    ValueError
        If H or W is not a multiple of 8, or zero.
    """
    plane = _planes("plane", plane)
    *lead, height, width = plane.shape
    if height % BLOCK_SIZE or width % BLOCK_SIZE:
        raise ValueError(
            f"plane must have sides that 8 divides, got {height}x{width}; use pad_edges first"
        )
    cut = plane.reshape(*lead, height // BLOCK_SIZE, BLOCK_SIZE, width // BLOCK_SIZE, BLOCK_SIZE)
    return np.ascontiguousarray(cut.swapaxes(-3, -2))


def merge_blocks(blocks: ArrayLike) -> NDArray[np.float64]:
    """Put 8x8 blocks back into planes: inverse, and adjoint, of `split_blocks`.

    Parameters
    ----------
    blocks : array_like, shape (..., H/8, W/8, 8, 8)

    Returns
    -------
    ndarray of float64, shape (..., H, W)

    Raises
    ------
    ValueError
        If the last two axes are not 8x8 or the two before them are missing.
    """
    blocks = _blocks(blocks)
    if blocks.ndim < 4:
        raise ValueError(f"blocks must have shape (..., H/8, W/8, 8, 8), got {blocks.shape}")
    *lead, down, across, _, _ = blocks.shape
    return blocks.swapaxes(-3, -2).reshape(*lead, down * BLOCK_SIZE, across * BLOCK_SIZE)


def dct2(blocks: ArrayLike) -> NDArray[np.float64]:
    """Orthonormal two-dimensional DCT-II of each block.

    Parameters
    ----------
    blocks : array_like, shape (..., 8, 8)
        Samples, level-shifted.

    Returns
    -------
    ndarray of float64, shape (..., 8, 8)
        Coefficients in natural order, DC at [0, 0]: 8 times the mean of the block.

    Raises
    ------
    ValueError
        If the last two axes are not 8x8.

    References
    ----------
    ITU-T T.81, A.3.3.
    """
    return np.asarray(DCT_MATRIX @ _blocks(blocks) @ DCT_MATRIX.T)


def idct2(coefficients: ArrayLike) -> NDArray[np.float64]:
    """Inverse, and adjoint, of `dct2`.

    Parameters
    ----------
    coefficients : array_like, shape (..., 8, 8)

    Returns
    -------
    ndarray of float64, shape (..., 8, 8)

    Raises
    ------
    ValueError
        If the last two axes are not 8x8.
    """
    return np.asarray(DCT_MATRIX.T @ _blocks(coefficients) @ DCT_MATRIX)


def to_zigzag(blocks: ArrayLike) -> NDArray[np.float64]:
    """Flatten blocks or tables into zigzag order.

    Parameters
    ----------
    blocks : array_like, shape (..., 8, 8)

    Returns
    -------
    ndarray of float64, shape (..., 64)

    Raises
    ------
    ValueError
        If the last two axes are not 8x8.
    """
    blocks = _blocks(blocks)
    return blocks.reshape(*blocks.shape[:-2], BLOCK_SIZE**2)[..., ZIGZAG]


def from_zigzag(sequence: ArrayLike) -> NDArray[np.float64]:
    """Inverse of `to_zigzag`.

    Parameters
    ----------
    sequence : array_like, shape (..., 64)

    Returns
    -------
    ndarray of float64, shape (..., 8, 8)

    Raises
    ------
    ValueError
        If the last axis has not 64 entries.
    """
    sequence = np.asarray(sequence, dtype=np.float64)
    if sequence.ndim < 1 or sequence.shape[-1] != BLOCK_SIZE**2:
        raise ValueError(f"sequence must have 64 entries in its last axis, got {sequence.shape}")
    return sequence[..., _NATURAL].reshape(*sequence.shape[:-1], BLOCK_SIZE, BLOCK_SIZE)


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _planes(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise ValueError(f"{name} must have shape (..., H, W) with H, W >= 1, got {array.shape}")
    return array


def _blocks(value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=np.float64)
    if array.shape[-2:] != (BLOCK_SIZE, BLOCK_SIZE):
        raise ValueError(f"blocks must have shape (..., 8, 8), got {array.shape}")
    return array
