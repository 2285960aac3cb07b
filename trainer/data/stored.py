"""Encoded images by number, and how each is decoded."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from trainer.data.trees import FileTree
from trainer.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# Side in pixels up to which images are taken for data like CIFAR's, all of one size.
SMALL = 64


class StoredImages(Protocol):
    """Image files of one split, by number."""

    def __len__(self) -> int:
        """How many."""

    def describe(self, number: int) -> str:
        """How an error names an image."""

    def read(self, number: int) -> bytes:
        """The encoded image."""

    def listing(self) -> Iterator[str]:
        """One line for each image that changes when the image is likely to have."""


@dataclass(frozen=True)
class TreeImages:
    """Image files of a tree.

    Parameters
    ----------
    tree
        Folder or archive.
    names
        Of the files in it.
    """

    tree: FileTree
    names: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def describe(self, number: int) -> str:
        """The path of the file, or the archive and the member."""
        return self.tree.describe(self.names[number])

    def read(self, number: int) -> bytes:
        """The encoded image."""
        return self.tree.read(self.names[number])

    def listing(self) -> Iterator[str]:
        """Name and length of each file."""
        return (f"{name} {self.tree.size(name)}" for name in self.names)


@dataclass(frozen=True)
class TensorImages:
    """Images of one size in memory, for what else reads files.

    Parameters
    ----------
    images
        (N, 3, H, W) uint8 RGB.
    origin
        Where they come from.
    """

    images: Tensor = field(repr=False)
    origin: str

    def __len__(self) -> int:
        return len(self.images)

    def describe(self, number: int) -> str:
        """The origin, and the number."""
        return f"image {number} of {self.origin}"

    def read(self, number: int) -> bytes:
        """The image as an uncompressed PPM file."""
        pixels = self.images[number].permute(1, 2, 0).contiguous()
        height, width = pixels.shape[:2]
        return f"P6\n{width} {height}\n255\n".encode() + pixels.numpy().tobytes()

    def listing(self) -> Iterator[str]:
        """SHA-256 of each image."""
        return (hashlib.sha256(self.read(number)).hexdigest() for number in range(len(self)))


def decode(stored: StoredImages, number: int) -> Image:
    """One image as 8-bit RGB; grey images repeat their channel three times.

    Raises
    ------
    DataError
        If Pillow cannot read it; the message names the file.
    """
    from PIL import Image

    content = stored.read(number)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reports damaged files by any of the three, depending on the format.
        raise DataError(
            f"{stored.describe(number)} cannot be read as an image ({error}); replace or remove it"
        ) from error


def size_of(stored: StoredImages, number: int) -> tuple[int, int]:
    """Width and height of an image in pixels, from its header.

    Raises
    ------
    DataError
        If Pillow cannot read it; the message names the file.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(stored.read(number))) as image:
            return image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{stored.describe(number)} cannot be read as an image ({error}); replace or remove it"
        ) from error


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` numbers below ``count``, evenly spread and increasing."""
    kept = min(count, most)
    return [number * count // kept for number in range(kept)]


def one_size(*splits: StoredImages) -> tuple[int, int] | None:
    """Width and height that all splits share, as far as up to 100 images of each show.

    None if they differ; images of at most 64 pixels on each side count as alike, so that an odd
    one among them is reported and not taken for photographs.
    """
    sizes = [size_of(split, number) for split in splits for number in spread(len(split), 100)]
    if len(set(sizes)) == 1 or max(max(size) for size in sizes) <= SMALL:
        return sizes[0]
    return None


def decode_all(stored: StoredImages, *, size: tuple[int, int], margin: int = 0) -> Tensor:
    """All images of a split in memory.

    Parameters
    ----------
    stored
        Images of one size.
    size
        Their width and height in pixels.
    margin
        Width of the rim of zeros around each, in pixels.

    Returns
    -------
    Tensor
        (N, 3, H + 2 margin, W + 2 margin) uint8.

    Raises
    ------
    DataError
        If an image has another size or cannot be read; the message names it.
    """
    import numpy as np

    width, height = size
    tiles = torch.zeros(
        (len(stored), 3, height + 2 * margin, width + 2 * margin), dtype=torch.uint8
    )
    inside = tiles[:, :, margin : margin + height, margin : margin + width]
    for number in range(len(stored)):
        image = decode(stored, number)
        if image.size != size:
            raise DataError(
                f"{stored.describe(number)} is {image.height}x{image.width} pixels, the first "
                f"training image {height}x{width}; resize them to one size"
            )
        inside[number] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return tiles


def check_labels(labels: Tensor, classes: tuple[str, ...], *, where: str, complete: bool) -> None:
    """Labels of a split fit the classes.

    Parameters
    ----------
    labels
        (N,) int64.
    classes
        Names that they index.
    where
        The file that they come from, for error messages.
    complete
        Whether every class must occur.

    Raises
    ------
    DataError
        If there are no labels, one is out of range, or a class has no images.
    """
    if not len(labels):
        raise DataError(f"{where} names no images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        wrong = low if low < 0 else high
        raise DataError(
            f"{where}: image {int((labels == wrong).nonzero()[0])} (counted from 0) has label "
            f"{wrong}, which is not in 0 to {len(classes) - 1}"
        )
    counts = torch.bincount(labels, minlength=len(classes))
    if complete and not counts.all():
        empty = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
        raise DataError(
            f"{where}: {len(empty)} of {len(classes)} classes have no images, such as {empty[0]}"
        )
