"""The JPEG layer in place of an activation function: blocks of feature maps, one table a channel.

    pad -> 8x8 DCT -> soft quantizer -> inverse DCT -> crop

No colour conversion and no level shift: feature maps have no colour, and no fixed range whose
middle could be taken off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import Array, as_positive, check_max_level, check_window
from reference.blocks import (
    dct2,
    idct2,
    merge_blocks,
    pad_edges,
    pad_edges_adjoint,
    split_blocks,
)
from reference.cpmf import soft_quantize, soft_quantize_partials
from reference.jpeg_layer import LayerGradients
from reference.standard import BLOCK_SIZE

__all__ = ["feature_quantizer", "feature_quantizer_vjp"]

_WHOLE_BLOCKS = (BLOCK_SIZE, BLOCK_SIZE)


def feature_quantizer(
    features: NDArray[np.floating],
    q: ArrayLike,
    alpha: ArrayLike,
    *,
    max_level: int,
    window: int | None = None,
) -> Array:
    """Soft quantization of feature maps in the DCT domain.

    Parameters
    ----------
    features : ndarray of floats, shape (N, C, H, W)
        Of any range; N, C, H, W >= 1. Sides that are not whole blocks are padded by repeating the
        last row and column, and cropped at the end. A NaN spoils its own block, and so does an
        infinite entry, because the block that holds it has no DCT.
    q, alpha : array_like, shape (C, 8, 8)
        Quantization steps and scaling factors, positive, in natural order.
    max_level : int
        L; the index set of every coefficient is {-L..L}.
    window : int, optional
        Number of levels of the masked CPMF; None for the full space.

    Returns
    -------
    ndarray of float64, shape (N, C, H, W)

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range (the message names it).

    References
    ----------
    JPEG-DL, appendix A.7 and Table 7.
    """
    x, steps, factors = _checked(features, q, alpha)
    level = check_max_level(max_level)
    z = _forth(x)
    value = soft_quantize(z, steps, factors, max_level=level, window=check_window(window, level))
    return merge_blocks(idct2(value))[..., : x.shape[-2], : x.shape[-1]]


def feature_quantizer_vjp(
    features: NDArray[np.floating],
    q: ArrayLike,
    alpha: ArrayLike,
    grad_output: NDArray[np.floating],
    *,
    max_level: int,
    window: int | None = None,
) -> LayerGradients:
    """Gradient of sum(grad_output * feature_quantizer(features, q, alpha)), in closed form.

    Parameters
    ----------
    features, q, alpha, max_level, window
        As in :func:`feature_quantizer`.
    grad_output : ndarray of floats, shape (N, C, H, W)
        Weights of the output.

    Returns
    -------
    LayerGradients
        ``image`` is the gradient of the features, (N, C, H, W); ``q`` and ``alpha`` (C, 8, 8).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range (the message names it).

    References
    ----------
    JPEG-DL, appendix A.1, eq. (10a), (10b) and (13), and the chain rule.
    """
    x, steps, factors = _checked(features, q, alpha)
    level = check_max_level(max_level)
    weights = np.asarray(grad_output, dtype=np.float64)
    if weights.shape != x.shape:
        raise ValueError(
            f"grad_output must have the shape of the features, {x.shape}, got {weights.shape}"
        )
    height, width = x.shape[-2:]
    partials = soft_quantize_partials(
        _forth(x), steps, factors, max_level=level, window=check_window(window, level)
    )
    # What is cropped from the output has no influence: its gradient is zero.
    beyond = ((0, 0), (0, 0), (0, -height % BLOCK_SIZE), (0, -width % BLOCK_SIZE))
    grad = dct2(split_blocks(np.pad(weights, beyond)))
    back = merge_blocks(idct2(grad * partials.dz))
    return LayerGradients(
        image=pad_edges_adjoint(back, (height, width)),
        q=(grad * partials.dq).sum(axis=(0, 2, 3)),
        alpha=(grad * partials.dalpha).sum(axis=(0, 2, 3)),
    )


def _forth(features: Array) -> Array:
    return dct2(split_blocks(pad_edges(features, _WHOLE_BLOCKS)))


def _checked(features: object, q: ArrayLike, alpha: ArrayLike) -> tuple[Array, Array, Array]:
    """Features with NaN for infinity; tables as (C, 1, 1, 8, 8)."""
    if not isinstance(features, np.ndarray) or not np.issubdtype(features.dtype, np.floating):
        raise TypeError(
            "features must be a NumPy array of floats, got "
            f"{getattr(features, 'dtype', type(features).__name__)}; "
            "use numpy.asarray(..., dtype=float)"
        )
    if features.ndim != 4 or 0 in features.shape:
        raise ValueError(
            f"features must have shape (N, C, H, W), none of them 0, got {features.shape}"
        )
    expected = (features.shape[1], BLOCK_SIZE, BLOCK_SIZE)
    tables = []
    for name, table in (("q", q), ("alpha", alpha)):
        array = as_positive(name, table)
        if array.shape != expected:
            raise ValueError(
                f"{name} must have shape {expected}, a table for each channel, got {array.shape}"
            )
        tables.append(array[:, None, None])
    exact = np.asarray(features, dtype=np.float64)
    return np.where(np.isfinite(exact), exact, np.nan), tables[0], tables[1]
