"""Arguments of the codec, checked in one place."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.standard import SUBSAMPLINGS, annex_k_tables

FACTORS = {**SUBSAMPLINGS, "4:4:0": (2, 1)}
"""Name -> (vertical, horizontal) factor by which chroma is reduced."""
MAX_SIDE = 65_535


def check_image(image: Any) -> NDArray[np.uint8]:
    """A uint8 image, (H, W, 3) or (H, W)."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a NumPy array, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise TypeError(
            f"image must be uint8, got {image.dtype}; round it and clip it to 0..255 first"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"image must be (H, W, 3) RGB or (H, W) grey, got shape {image.shape}")
    if not all(1 <= side <= MAX_SIDE for side in image.shape[:2]):
        raise ValueError(f"image must have 1..{MAX_SIDE} rows and columns, got {image.shape[:2]}")
    # Read-only arrays are another type to Numba, which would compile everything again.
    return np.require(image, requirements=["C", "W"])


def check_subsampling(subsampling: Any) -> tuple[int, int]:
    """(vertical, horizontal) factor of a name."""
    if not isinstance(subsampling, str) or subsampling not in FACTORS:
        raise ValueError(f"subsampling must be one of {', '.join(FACTORS)}, got {subsampling!r}")
    return FACTORS[subsampling]


def check_tables(quality: Any, qtables: Any) -> NDArray[np.int32]:
    """(2, 8, 8) tables from a quality or from themselves; quality 75 if there is neither."""
    if quality is not None and qtables is not None:
        raise ValueError("give quality or qtables, not both: quality stands for the Annex K tables")
    if qtables is None:
        return annex_k_tables(75 if quality is None else quality).astype(np.int32)
    tables = np.asarray(qtables)
    if tables.shape != (2, 8, 8):
        raise ValueError(
            f"qtables must have shape (2, 8, 8), luma and chroma in natural order, got "
            f"{tables.shape}"
        )
    if tables.dtype.kind not in "iuf" or not np.isfinite(tables).all():
        raise TypeError(f"qtables must hold whole numbers, got {tables.dtype} {tables.ravel()[:3]}")
    if (tables != np.round(tables)).any():
        raise ValueError("qtables must hold whole numbers; round them first")
    if (tables < 1).any() or (tables > 255).any():
        raise ValueError(f"qtables must lie in 1..255, got {tables.min():g} to {tables.max():g}")
    return tables.astype(np.int32)


def check_pixels(max_pixels: Any) -> int:
    """A number of pixels."""
    try:
        count = operator.index(max_pixels)
    except TypeError:
        raise TypeError(f"max_pixels must be a whole number, got {max_pixels!r}") from None
    if count < 1:
        raise ValueError(f"max_pixels must be at least 1, got {count}")
    return count
