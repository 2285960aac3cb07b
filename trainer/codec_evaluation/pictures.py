"""The pictures that are coded: four photographs of scikit-image, or those of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trainer.codec_evaluation.image_metrics import SSIM_WINDOW
from trainer.codec_evaluation.libjpeg import Pixels
from trainer.data.pictures import PICTURES, read_picture
from trainer.errors import DataError
from trainer.figures.chosen_image import read_rgb

PHOTOGRAPHS = {"astronaut": "astronaut", "chelsea": "cat", "coffee": "coffee", "rocket": "rocket"}
"""Names of the photographs by default, and in `trainer.data.pictures`."""
CROP = 16
"""Sides of these are cut to multiples of it, so that figures compare with other people's."""
ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Picture:
    """A picture that is read when it is needed.

    Parameters
    ----------
    name
        In tables.
    read
        Gives (H, W, 3) uint8, cropped.
    """

    name: str
    read: Callable[[], Pixels]


def find_pictures(path: Path | None, *, crop: int | None = None) -> list[Picture]:
    """Pictures to be coded.

    Parameters
    ----------
    path
        A folder of images of any size, or one image; None for the four photographs.
    crop
        Sides are cut, right and below, to multiples of it. None: 16 for the photographs, and no
        cropping for others.

    Returns
    -------
    list of Picture
        By name.

    Raises
    ------
    DataError
        If there is none, or one is no image or too small; the message names the file.
    """
    if crop is None:
        crop = CROP if path is None else 1
    if path is None:
        return [Picture(name, partial(_photograph, key, crop)) for name, key in PHOTOGRAPHS.items()]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
        if not files:
            raise DataError(f"{path} holds no pictures ({', '.join(ENDINGS)})")
    elif path.exists():
        files = [path]
    else:
        raise DataError(f"pictures {path} do not exist: give a folder of images, or an image")
    for file in files:
        _check_size(file, crop)
    return [Picture(file.name, partial(_file, file, crop)) for file in files]


def digest(pixels: Pixels) -> str:
    """SHA-256 of size and pixels."""
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def _photograph(key: str, crop: int) -> Pixels:
    return _cropped(read_picture(key), crop, PICTURES[key])


def _file(path: Path, crop: int) -> Pixels:
    return _cropped(read_rgb(path), crop, str(path))


def _cropped(pixels: Pixels, crop: int, name: str) -> Pixels:
    height, width = (side // crop * crop for side in pixels.shape[:2])
    if min(height, width) < SSIM_WINDOW:
        raise DataError(
            f"picture {name} is {pixels.shape[0]}x{pixels.shape[1]} pixels and {height}x{width} "
            f"after cropping to multiples of {crop}; SSIM needs {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return np.array(pixels[:height, :width])


def _check_size(path: Path, crop: int) -> None:
    """Look at the header, so that a bad file shows before an hour of work."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"picture {path} cannot be read: {error}; replace or remove it") from error
    _cropped(np.empty((height, width, 0), dtype=np.uint8), crop, str(path))
