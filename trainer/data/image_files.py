"""Images of any size in files, decoded when they are needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainer._randomness import generator
from trainer.data.crops import middle_crop, random_crop
from trainer.data.memory import ImageData
from trainer.data.stored import StoredImages, TensorImages, decode, spread

if TYPE_CHECKING:
    from PIL.Image import Image

STATISTICS_IMAGES = 2000


@dataclass(frozen=True)
class ImageFiles:
    """Training and validation images in files, as square crops.

    Parameters
    ----------
    classes
        Name of each class; labels index it.
    train, val
        The image files, of any format and size that Pillow reads.
    train_labels, val_labels
        (N,) and (M,) int64.
    image_size
        Side of the crops in pixels.
    val_resize
        Length of the shorter side before the middle of an image is cut out, in pixels; at
        least ``image_size``.
    origin
        One line on where the images come from, for the report.

    Raises
    ------
    ValueError
        If ``val_resize`` is below ``image_size``, or images and labels differ in number.
    """

    classes: tuple[str, ...]
    train: StoredImages = field(repr=False)
    train_labels: Tensor = field(repr=False)
    val: StoredImages = field(repr=False)
    val_labels: Tensor = field(repr=False)
    image_size: int
    val_resize: int
    origin: str

    def __post_init__(self) -> None:
        if self.val_resize < self.image_size:
            raise ValueError(
                f"val_resize must be at least image_size = {self.image_size}, got {self.val_resize}"
            )
        for stored, labels in ((self.train, self.train_labels), (self.val, self.val_labels)):
            if len(stored) != len(labels):
                raise ValueError(f"{len(stored)} images with {len(labels)} labels")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a batch's images in pixels."""
        return self.image_size, self.image_size

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of classes, labels, and name and length in bytes of each file.

        Not of the pixels: a large data set would have to be read as a whole.
        """
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for split, stored, labels in (
            ("train", self.train, self.train_labels),
            ("val", self.val, self.val_labels),
        ):
            digest.update(f"\n\n{split}\n".encode())
            for line, label in zip(stored.listing(), labels.tolist(), strict=True):
                digest.update(f"{label} {line}\n".encode())
        return digest.hexdigest()

    @cached_property
    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of R, G, B over training images, (3,) float32 each.

        Over the middle crops of at most 2,000 images, evenly spread over the training files.
        """
        counts = np.zeros((3, 256), dtype=np.int64)
        for number in spread(len(self.train), STATISTICS_IMAGES):
            pixels = np.asarray(self._middle(self.train, number))
            for channel in range(3):
                counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
        grey = np.arange(256)
        total = counts.sum(1)
        mean = (counts * grey).sum(1) / total
        variance = (counts * (grey - mean[:, None]) ** 2).sum(1) / total
        return torch.from_numpy(mean).float(), torch.from_numpy(variance).sqrt().float()

    def train_batch(
        self, index: Tensor, *, seed: int, step: int, augment: bool, part: slice = slice(None)
    ) -> Tensor:
        """Training images of one batch, or of a part of it: random crops, flipped at random.

        Parameters
        ----------
        index
            (B,) int64: the images of the whole batch.
        seed, step
            The crop of the image at position i is a function of these two and of i.
        augment
            False gives the middle crop, as in validation.
        part
            Which positions of the batch are wanted.

        Returns
        -------
        Tensor
            (P, 3, S, S) uint8.

        Raises
        ------
        DataError
            If a file cannot be read; the message names it.
        """
        images = []
        for position in range(len(index))[part]:
            number = int(index[position])
            if augment:
                source = generator(seed, "augment", step, position)
                image = random_crop(decode(self.train, number), self.image_size, source)
            else:
                image = self._middle(self.train, number)
            images.append(image)
        return self._batch(images)

    def val_batch(self, index: Tensor) -> Tensor:
        """Validation images: (B,) int64 to (B, 3, S, S) uint8.

        Raises
        ------
        DataError
            If a file cannot be read; the message names it.
        """
        return self._batch([self._middle(self.val, int(number)) for number in index])

    def _middle(self, stored: StoredImages, number: int) -> Image:
        return middle_crop(decode(stored, number), self.image_size, self.val_resize)

    def _batch(self, images: list[Image]) -> Tensor:
        batch = torch.empty((len(images), 3, *self.size), dtype=torch.uint8)
        for position, image in enumerate(images):
            batch[position] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return batch


def resized(data: ImageData, *, image_size: int, val_resize: int) -> ImageFiles:
    """Images of one size as crops of another, as larger networks need them of CIFAR-100.

    Parameters
    ----------
    data
        The rim of its training tiles is left out.
    image_size, val_resize
        See `ImageFiles`.
    """
    height, width = data.size
    m = data.margin
    inside = data.train_tiles[:, :, m : m + height, m : m + width]
    return ImageFiles(
        classes=data.classes,
        train=TensorImages(inside, data.origin),
        train_labels=data.train_labels,
        val=TensorImages(data.val_images, data.origin),
        val_labels=data.val_labels,
        image_size=image_size,
        val_resize=val_resize,
        origin=f"{data.origin}, resized to {image_size} pixels",
    )
