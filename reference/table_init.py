"""Initial quantization tables: from sensitivity, and from mean absolute coefficients.

References
----------
JPEG Inspired Deep Learning, section 4 ("Quantization Table Initialization") and appendix A.10.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import Array, as_int, as_real
from reference.layer_steps import analyse, synthesize_adjoint

__all__ = [
    "mean_absolute_coefficients",
    "sensitivity_from_gradients",
    "tables_from_coefficients",
    "tables_from_sensitivity",
]


def sensitivity_from_gradients(gradient: ArrayLike) -> NDArray[np.float64]:
    """Sensitivity of a loss to each DCT frequency: mean over images of the squared gradient.

    The image is the inverse DCT of its coefficients, in RGB; so the gradient with respect to the
    coefficients is the adjoint of that map, applied to the gradient with respect to the pixels.

    Parameters
    ----------
    gradient : array_like, shape (N, 3, H, W)
        Gradient of each image's own loss with respect to its RGB pixels.

    Returns
    -------
    ndarray of float64, shape (3, 8, 8)
        S of Y, Cb and Cr: squares summed over the blocks of an image, mean over images.

    Raises
    ------
    ValueError
        If the shape is another one.

    References
    ----------
    JPEG-DL, appendix A.10 and Fig. 10.
    """
    squared = [part**2 for part in synthesize_adjoint(_images("gradient", gradient), (1, 1))]
    return np.concatenate(squared, axis=1).sum(axis=(2, 3)).mean(axis=0)


def mean_absolute_coefficients(image: ArrayLike) -> NDArray[np.float64]:
    """Mean of abs(z) per component and frequency over all blocks of all images.

    Parameters
    ----------
    image : array_like, shape (N, 3, H, W)
        RGB in [0, 255].

    Returns
    -------
    ndarray of float64, shape (3, 8, 8)
        Y, Cb and Cr, natural order.

    Raises
    ------
    ValueError
        If the shape is another one.
    """
    z = np.concatenate(analyse(_images("image", image), (1, 1)), axis=1)
    return np.asarray(np.abs(z).mean(axis=(0, 2, 3)))


def tables_from_sensitivity(sensitivity: ArrayLike, *, q_max: float = 10.0) -> NDArray[np.float64]:
    """Quantization tables in inverse proportion to the sensitivity.

    Q_Y = c / S_Y and Q_C = 2 c / (S_Cb + S_Cr), with c so that the largest luma step is `q_max`.

    Parameters
    ----------
    sensitivity : array_like, shape (3, 8, 8)
        S of Y, Cb and Cr; positive (of Cb and Cr: their sum).
    q_max : float
        Largest luma step.

    Returns
    -------
    ndarray of float64, shape (2, 8, 8)
        [0] luma, [1] chroma, natural order.

    Raises
    ------
    ValueError
        If the shape is another one, or a step would not be finite.
    """
    s_y, s_cb, s_cr = _per_component("sensitivity", sensitivity)
    with np.errstate(divide="ignore"):
        tables = np.stack([1 / s_y, 2 / (s_cb + s_cr)])
    if not np.isfinite(tables).all():
        raise ValueError("sensitivity must be positive: a step would not be finite")
    return np.asarray(tables * (q_max / tables[0].max()))


def tables_from_coefficients(means: ArrayLike, *, bits: int) -> NDArray[np.float64]:
    """Quantization tables in proportion to the mean absolute coefficients.

    Q_Y = 2 m_Y / sqrt(2^(b-1)) and Q_C = (m_Cb + m_Cr) / sqrt(2^(b-1)).

    Parameters
    ----------
    means : array_like, shape (3, 8, 8)
        Mean of abs(z) of Y, Cb and Cr.
    bits : int
        b >= 1.

    Returns
    -------
    ndarray of float64, shape (2, 8, 8)
        [0] luma, [1] chroma, natural order.

    Raises
    ------
    TypeError, ValueError
        If the shape is another one, or `bits` is no integer >= 1.

    References
    ----------
    JPEG-DL, section 4, after LSQ (Esser et al., 2019).
    """
    if as_int("bits", bits) < 1:
        raise ValueError(f"bits must be at least 1, got {bits}")
    m_y, m_cb, m_cr = _per_component("means", means)
    return np.stack([2 * m_y, m_cb + m_cr]) / np.sqrt(2.0 ** (bits - 1))


def _per_component(name: str, value: ArrayLike) -> Array:
    array = as_real(name, value)
    if array.shape != (3, 8, 8):
        raise ValueError(f"{name} must have shape (3, 8, 8), for Y, Cb and Cr, got {array.shape}")
    return array


def _images(name: str, value: ArrayLike) -> Array:
    array = as_real(name, value)
    if array.ndim != 4 or array.shape[1] != 3 or 0 in array.shape:
        raise ValueError(f"{name} must have shape (N, 3, H, W), got {array.shape}")
    return array
