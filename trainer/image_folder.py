"""A folder of images: ``root/train/<class>/*`` and ``root/val/<class>/*``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.data import ImageData
from trainer.errors import DataError

_ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_MARGIN = 4
_LAYOUT = "expected root/train/<class>/*.png and root/val/<class>/*.png"


def load_image_folder(root: str | Path) -> ImageData:
    """Read an image folder into memory.

    Parameters
    ----------
    root
        Folder with ``train`` and ``val``, each with one folder per class, the same classes in
        both. All images have one size; grey images repeat their channel three times.
        Training images get a rim of 4 repeated edge pixels, from which shifted crops come.

    Raises
    ------
    DataError
        If a folder is missing or empty, the classes differ, an image cannot be read, or the
        sizes differ. The message names the folder or file.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist; {_LAYOUT}")
    classes = _class_names(root / "train")
    val_classes = _class_names(root / "val")
    if classes != val_classes:
        only_train = sorted(set(classes) - set(val_classes))
        only_val = sorted(set(val_classes) - set(classes))
        raise DataError(
            f"train and val of {root} must have the same classes; "
            f"only in train: {only_train}, only in val: {only_val}"
        )
    if len(classes) < 2:
        raise DataError(f"{root} has one class only ({classes[0]}); two or more are needed")
    train_images, train_labels = _read_split(root / "train", classes)
    val_images, val_labels = _read_split(root / "val", classes)
    if train_images.shape[1:] != val_images.shape[1:]:
        raise DataError(
            f"train images are {train_images.shape[1]}x{train_images.shape[2]} pixels, val images "
            f"{val_images.shape[1]}x{val_images.shape[2]}; all images must have one size"
        )
    rim = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
    return ImageData(
        classes=classes,
        train_tiles=_to_tensor(np.pad(train_images, rim, mode="edge")),
        train_labels=torch.tensor(train_labels),
        val_images=_to_tensor(val_images),
        val_labels=torch.tensor(val_labels),
        margin=_MARGIN,
        origin=f"image folder {root.name}",
    )


def _class_names(split: Path) -> tuple[str, ...]:
    if not split.is_dir():
        raise DataError(f"data folder {split} does not exist; {_LAYOUT}")
    names = tuple(sorted(entry.name for entry in split.iterdir() if entry.is_dir()))
    if not names:
        raise DataError(f"{split} has no class folders; {_LAYOUT}")
    return names


def _read_split(split: Path, classes: tuple[str, ...]) -> tuple[NDArray[np.uint8], list[int]]:
    """Images (N, H, W, 3) and labels, in sorted order of their names."""
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = split / name
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
        if not paths:
            raise DataError(f"{folder} has no images ({', '.join(sorted(_ENDINGS))})")
        for path in paths:
            pixels = _read_image(path)
            if images and pixels.shape != images[0].shape:
                raise DataError(
                    f"{path} is {pixels.shape[0]}x{pixels.shape[1]} pixels, the images before it "
                    f"are {images[0].shape[0]}x{images[0].shape[1]}; resize them to one size"
                )
            images.append(pixels)
            labels.append(label)
    return np.stack(images), labels


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reports damaged files by any of the three, depending on the format.
        raise DataError(
            f"{path} cannot be read as an image ({error}); replace or remove it"
        ) from error


def _to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
