"""The real codec: libjpeg-turbo as Pillow runs it."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def through_libjpeg(pixels: Pixels, *, quality: int, subsampling: str) -> tuple[Pixels, int]:
    """Encode and decode.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB.
    quality
        1 to 100.
    subsampling
        "4:4:4", "4:2:2" or "4:2:0".

    Returns
    -------
    tuple
        Decoded pixels, and the length of the file in bytes.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(file) as image:
        return np.array(image), len(file.getvalue())
