"""Chroma subsampling by a box mean, bilinear upsampling, and the adjoints of both.

Sample centres lie at half-integers in both resolutions (JPEG's centred siting). A factor of two
upsamples with weights 3/4 and 1/4, the triangle filter that libjpeg calls "fancy", here without
rounding; beyond the edge the outermost sample is repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["downsample", "downsample_adjoint", "upsample", "upsample_adjoint"]

_Array = NDArray[np.float64]


def downsample(plane: ArrayLike, factors: tuple[int, int]) -> _Array:
    """Average each cell of factors[0] x factors[1] samples.

    Parameters
    ----------
    plane : array_like, shape (..., H, W)
        H and W multiples of the factors.
    factors : (int, int)
        (vertical, horizontal), each 1 or 2.

    Returns
    -------
    ndarray of float64, shape (..., H/v, W/h)

    Raises
    ------
    ValueError
        If a factor is neither 1 nor 2, or does not divide its side.
    """
    array = _checked("plane", plane, factors)
    _check_divides("plane", array, factors)
    return _each_axis(array, factors, lambda x: (x[..., 0::2] + x[..., 1::2]) / 2)


def upsample(plane: ArrayLike, factors: tuple[int, int]) -> _Array:
    """Interpolate bilinearly to a finer grid: half-pixel centres, edges repeated.

    Parameters
    ----------
    plane : array_like, shape (..., H, W)
    factors : (int, int)
        (vertical, horizontal), each 1 or 2.

    Returns
    -------
    ndarray of float64, shape (..., v H, h W)

    Raises
    ------
    ValueError
        If a factor is neither 1 nor 2.
    """
    return _each_axis(_checked("plane", plane, factors), factors, _double)


def downsample_adjoint(gradient: ArrayLike, factors: tuple[int, int]) -> _Array:
    """Transpose of `downsample`: spread each value evenly over its cell.

    Parameters
    ----------
    gradient : array_like, shape (..., H/v, W/h)
    factors : (int, int)
        The factors given to `downsample`.

    Returns
    -------
    ndarray of float64, shape (..., H, W)

    Raises
    ------
    ValueError
        If a factor is neither 1 nor 2.
    """
    array = _checked("gradient", gradient, factors)
    return _each_axis(array, factors, lambda g: np.repeat(g / 2, 2, axis=-1))


def upsample_adjoint(gradient: ArrayLike, factors: tuple[int, int]) -> _Array:
    """Transpose of `upsample`: gather each coarse sample's share of the fine ones around it.

    Parameters
    ----------
    gradient : array_like, shape (..., v H, h W)
    factors : (int, int)
        The factors given to `upsample`.

    Returns
    -------
    ndarray of float64, shape (..., H, W)

    Raises
    ------
    ValueError
        If a factor is neither 1 nor 2, or does not divide its side.
    """
    array = _checked("gradient", gradient, factors)
    _check_divides("gradient", array, factors)
    return _each_axis(array, factors, _double_adjoint)


def _double(x: _Array) -> _Array:
    before = np.concatenate([x[..., :1], x[..., :-1]], axis=-1)
    after = np.concatenate([x[..., 1:], x[..., -1:]], axis=-1)
    pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=-1)
    return pairs.reshape(*x.shape[:-1], 2 * x.shape[-1])


def _double_adjoint(g: _Array) -> _Array:
    left, right = g[..., 0::2], g[..., 1::2]  # the two fine samples of each coarse one
    result = 0.75 * (left + right)
    result[..., :-1] += 0.25 * left[..., 1:]
    result[..., 1:] += 0.25 * right[..., :-1]
    result[..., 0] += 0.25 * left[..., 0]  # the repeated edges
    result[..., -1] += 0.25 * right[..., -1]
    return result


def _each_axis(
    x: _Array, factors: tuple[int, int], along_last: Callable[[_Array], _Array]
) -> _Array:
    """Apply a one-dimensional factor-2 operation along each axis whose factor is 2."""
    if factors[1] == 2:
        x = along_last(x)
    if factors[0] == 2:
        x = along_last(x.swapaxes(-2, -1)).swapaxes(-2, -1)
    return x


def _checked(name: str, value: ArrayLike, factors: tuple[int, int]) -> _Array:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise ValueError(f"{name} must have shape (..., H, W) with H, W >= 1, got {array.shape}")
    if len(factors) != 2 or any(factor not in (1, 2) for factor in factors):
        raise ValueError(
            f"factors must be (vertical, horizontal), each 1 or 2, got {factors}; "
            "reference.standard.SUBSAMPLINGS lists the named ones"
        )
    return array


def _check_divides(name: str, array: _Array, factors: tuple[int, int]) -> None:
    if array.shape[-2] % factors[0] or array.shape[-1] % factors[1]:
        raise ValueError(
            f"{name} must have sides that the factors {factors} divide, got {array.shape[-2:]}; "
            "pad it first (reference.blocks.pad_edges)"
        )
