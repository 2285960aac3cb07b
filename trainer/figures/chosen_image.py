"""The image that feature maps and class activation maps are shown for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.data import ImageSource
from trainer.errors import DataError
from trainer.saved_run import SavedRun

_BATCH = 64


@dataclass(frozen=True, eq=False)
class ChosenImage:
    """One image, as a run's model takes it.

    Parameters
    ----------
    pixels
        (1, 3, H, W) float32 in [0, 255].
    label
        Name of its class; None where nobody knows it.
    origin
        Where it comes from, for the caption.
    """

    pixels: Tensor
    label: str | None
    origin: str


def read_rgb(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An image file as (H, W, 3) uint8.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise DataError(f"image {path} cannot be read: {error}") from error


def image_from_file(path: Path, size: tuple[int, int]) -> ChosenImage:
    """An image file, its middle cut to the shape of a run's images and scaled to their size.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    from PIL import Image, ImageOps

    height, width = size
    whole = Image.fromarray(read_rgb(path))
    fitted = np.array(ImageOps.fit(whole, (width, height), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(fitted).permute(2, 0, 1)[None].float()
    return ChosenImage(pixels, None, path.name)


def telling_image(run: SavedRun, baseline: SavedRun, data: ImageSource) -> ChosenImage:
    """First validation image that `run` classifies correctly and `baseline` does not.

    As the paper chose its examples; if there is none, the first validation image.

    References
    ----------
    JPEG-DL, Fig. 5, 6 and 12.
    """
    labels = data.val_labels
    for index in torch.arange(len(labels)).split(_BATCH):
        images = data.val_batch(index).float()
        with torch.no_grad():
            right = run.model(images).argmax(1) == labels[index]
            wrong = baseline.model(images).argmax(1) != labels[index]
        if bool((right & wrong).any()):
            place = int(index[right & wrong][0])
            return _validation_image(
                data, place, "the first that JPEG-DL classifies correctly and the baseline does not"
            )
    return _validation_image(
        data, 0, "the first; there is none that only JPEG-DL classifies correctly"
    )


def _validation_image(data: ImageSource, place: int, why: str) -> ChosenImage:
    pixels = data.val_batch(torch.tensor([place])).float()
    label = data.classes[int(data.val_labels[place])]
    return ChosenImage(pixels, label, f"validation image {place}: {why}")
