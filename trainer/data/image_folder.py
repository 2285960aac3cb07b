"""A folder of images: ``root/train/<class>/*`` and ``root/val/<class>/*``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.data.image_files import ImageFiles
from trainer.data.memory import ImageData
from trainer.data.stored import TreeImages, decode_all, one_size
from trainer.data.trees import MEMORY_LIMIT, FolderTree
from trainer.errors import DataError

_ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_MARGIN = 4
_LAYOUT = "expected root/train/<class>/*.png and root/val/<class>/*.png"


def load_image_folder(
    root: str | Path, *, image_size: int = 224, val_resize: int = 256
) -> ImageData | ImageFiles:
    """Images of a folder.

    Parameters
    ----------
    root
        Folder with ``train`` and ``val``, each with one folder per class, the same classes in
        both. Grey images repeat their channel three times.
    image_size, val_resize
        See `ImageFiles`; not used for images of one size.

    Returns
    -------
    ImageData or ImageFiles
        Images of one size, as far as up to 100 evenly spread images of each split show, are read
        into memory; training images get a rim of 4 repeated edge pixels, from which shifted crops
        come. Images of different sizes, or of more than 2 GB in memory, stay in their files; but
        images of at most 64 pixels must have one size.

    Raises
    ------
    DataError
        If a folder is missing or empty, the classes differ, an image cannot be read, or the
        sizes of small images differ. The message names the folder or file.
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
    train, train_labels = _list_split(root, "train", classes)
    val, val_labels = _list_split(root, "val", classes)
    size = one_size(train, val)
    origin = f"image folder {root.name}"
    if size is None or 3 * size[0] * size[1] * (len(train) + len(val)) > MEMORY_LIMIT:
        return ImageFiles(
            classes=classes,
            train=train,
            train_labels=train_labels,
            val=val,
            val_labels=val_labels,
            image_size=image_size,
            val_resize=val_resize,
            origin=origin,
        )
    rim = ((0, 0), (0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    images = decode_all(train, size=size).numpy()
    return ImageData(
        classes=classes,
        train_tiles=torch.from_numpy(np.pad(images, rim, mode="edge")),
        train_labels=train_labels,
        val_images=decode_all(val, size=size),
        val_labels=val_labels,
        margin=_MARGIN,
        origin=origin,
    )


def _class_names(split: Path) -> tuple[str, ...]:
    if not split.is_dir():
        raise DataError(f"data folder {split} does not exist; {_LAYOUT}")
    names = tuple(sorted(entry.name for entry in split.iterdir() if entry.is_dir()))
    if not names:
        raise DataError(f"{split} has no class folders; {_LAYOUT}")
    return names


def _list_split(root: Path, split: str, classes: tuple[str, ...]) -> tuple[TreeImages, Tensor]:
    """Files and labels, in sorted order of their names."""
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = root / split / name
        found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
        if not found:
            raise DataError(f"{folder} has no images ({', '.join(sorted(_ENDINGS))})")
        files += [f"{split}/{name}/{file}" for file in found]
        labels += [label] * len(found)
    return TreeImages(FolderTree(root), tuple(files)), torch.tensor(labels)
