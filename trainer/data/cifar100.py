"""CIFAR-100 from its official binary archive.

The binary version and not the Python one: that has to be unpickled, which runs whatever code it
names.

References
----------
Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from trainer.data.lists import read_lines
from trainer.data.memory import ImageData
from trainer.data.places import Part, find_part
from trainer.data.stored import check_labels
from trainer.data.trees import FileTree
from trainer.errors import DataError

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SIDE = 32
MARGIN = 4
RECORD = 2 + 3 * SIDE * SIDE  # coarse label, fine label, planes R, G, B
_FILES = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")
_PART = Part(
    archive="cifar-100-binary.tar.gz",
    prefix="cifar-100-binary/",
    marker="train.bin",
    wanted=lambda name: name.rsplit("/", 1)[-1] in _FILES,
)


def load_cifar100(data: Path) -> ImageData:
    """CIFAR-100 with its 100 fine classes, in memory.

    Parameters
    ----------
    data
        ``cifar-100-binary.tar.gz``, a folder that holds it, or the folder out of it.

    Returns
    -------
    ImageData
        32x32 images; training images have a rim of 4 zero pixels, from which shifted crops are
        taken as by ``RandomCrop(32, padding=4)``.

    Raises
    ------
    DataError
        If the archive or a file is missing or damaged, or a label is out of range.
    """
    tree = find_part(data, _PART, name="CIFAR-100", page=PAGE)
    for name in _FILES:
        if tree.size(name) is None:
            raise DataError(
                f"{tree.describe()} has no {name}; the binary version of CIFAR-100 "
                f"({_PART.archive}) is needed, from {PAGE}"
            )
    classes = tuple(read_lines(tree, "fine_label_names.txt"))
    groups = tuple(read_lines(tree, "coarse_label_names.txt"))
    train, train_labels = _read(tree, "train.bin", classes, groups)
    val, val_labels = _read(tree, "test.bin", classes, groups)
    rim = (MARGIN,) * 4
    return ImageData(
        classes=classes,
        train_tiles=torch.nn.functional.pad(train, rim),
        train_labels=train_labels,
        val_images=val,
        val_labels=val_labels,
        margin=MARGIN,
        padded=True,
        origin=f"CIFAR-100, {len(train)} training and {len(val)} test images",
    )


def _read(
    tree: FileTree, name: str, classes: tuple[str, ...], groups: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) and fine labels (N,)."""
    content = tree.read(name)
    where = tree.describe(name)
    if not content or len(content) % RECORD:
        raise DataError(
            f"{where} has {len(content)} bytes, not a multiple of {RECORD} (one image with its "
            f"two labels): it is cut off or another file; get it again from {PAGE}"
        )
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, RECORD)
    check_labels(records[:, 0].long(), groups, where=f"{where}, coarse labels", complete=False)
    labels = records[:, 1].long()
    check_labels(labels, classes, where=where, complete=True)
    return records[:, 2:].reshape(-1, 3, SIDE, SIDE), labels
