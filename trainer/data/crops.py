"""Crops of photographs: random ones in training, the middle in validation (JPEG-DL, A.3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from PIL.Image import Image

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10

Box = tuple[int, int, int, int]


def random_box(width: int, height: int, source: torch.Generator) -> Box:
    """A rectangle of random area and aspect ratio inside an image.

    The area is uniform in 0.08 to 1 of the image's, the logarithm of width over height uniform
    between those of 3/4 and 4/3, and the place uniform; after ten rectangles that do not fit,
    the largest one in the middle whose ratio is allowed. This is the rule of torchvision's
    ``RandomResizedCrop``, with other random numbers.

    Parameters
    ----------
    width, height
        Of the image in pixels, >= 1.
    source
        Random numbers.

    Returns
    -------
    tuple
        Left, top, right and bottom in pixels.
    """
    # All numbers at once: how many are used does not matter to what else is drawn.
    draws = torch.rand((TRIES, 4), generator=source, dtype=torch.float64).tolist()
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for area, ratio, across, down in draws:
        wanted = width * height * (AREA[0] + (AREA[1] - AREA[0]) * area)
        shape = math.exp(low + (high - low) * ratio)
        w, h = round(math.sqrt(wanted * shape)), round(math.sqrt(wanted / shape))
        if 0 < w <= width and 0 < h <= height:
            left = int(across * (width - w + 1))
            top = int(down * (height - h + 1))
            return left, top, left + w, top + h
    w, h = width, height
    if width / height < RATIO[0]:
        h = min(height, round(width / RATIO[0]))
    elif width / height > RATIO[1]:
        w = min(width, round(height * RATIO[1]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def random_crop(image: Image, side: int, source: torch.Generator) -> Image:
    """A random rectangle of an image, resized to a square and flipped half of the time.

    Parameters
    ----------
    image
        RGB.
    side
        Of the square in pixels.
    source
        Random numbers.
    """
    from PIL import Image as Pillow

    box = random_box(*image.size, source)
    flip = bool(torch.randint(2, (), generator=source))
    # Cut out first: Pillow's resize(box=...) would let pixels outside the box weigh in.
    image = image.crop(box).resize((side, side), Pillow.Resampling.BILINEAR)
    return image.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT) if flip else image


def middle_crop(image: Image, side: int, resize: int) -> Image:
    """The middle square of an image whose shorter side is first resized.

    Parameters
    ----------
    image
        RGB.
    side
        Of the square in pixels.
    resize
        Length of the shorter side in pixels, at least ``side``.
    """
    from PIL import Image as Pillow

    shorter = min(image.size)
    width, height = (int(resize * length / shorter) for length in image.size)
    image = image.resize((width, height), Pillow.Resampling.BILINEAR)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))
