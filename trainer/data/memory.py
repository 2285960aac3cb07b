"""Images of one size, held in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from trainer._randomness import generator


@dataclass(frozen=True)
class ImageData:
    """Training and validation images of equal size, in memory.

    Parameters
    ----------
    classes
        Name of each class; labels index it.
    train_tiles
        (N, 3, H + 2 m, W + 2 m) uint8 RGB: training images with a rim of ``margin`` = m
        pixels on each side, from which shifted crops are taken.
    train_labels
        (N,) int64.
    val_images
        (M, 3, H, W) uint8 RGB.
    val_labels
        (M,) int64.
    margin
        Rim of the tiles in pixels, m >= 0.
    origin
        One line on where the images come from, for the report.
    padded
        Whether the rim is made up (zeros) and does not count in `channel_statistics`.
    """

    classes: tuple[str, ...]
    train_tiles: Tensor = field(repr=False)
    train_labels: Tensor = field(repr=False)
    val_images: Tensor = field(repr=False)
    val_labels: Tensor = field(repr=False)
    margin: int
    origin: str
    padded: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of one image in pixels."""
        height, width = self.val_images.shape[-2:]
        return height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of classes, pixels and labels: a resumed run must see the same data."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for tensor in (self.train_tiles, self.train_labels, self.val_images, self.val_labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of R, G, B over the training tiles, (3,) float32 each."""
        tiles = self.train_tiles
        if self.padded:
            height, width = self.size
            tiles = tiles[..., self.margin :, self.margin :][..., :height, :width]
        counts = torch.stack(
            [torch.bincount(tiles[:, c].flatten(), minlength=256) for c in range(3)]
        ).double()  # (3, 256): exact, whatever the order of summation
        grey = torch.arange(256, dtype=torch.float64)
        total = counts.sum(1)
        mean = (counts * grey).sum(1) / total
        variance = (counts * (grey - mean[:, None]) ** 2).sum(1) / total
        return mean.float(), variance.sqrt().float()

    def train_batch(
        self, index: Tensor, *, seed: int, step: int, augment: bool, part: slice = slice(None)
    ) -> Tensor:
        """Training images, flipped and shifted at random.

        Parameters
        ----------
        index
            (B,) int64, the tiles of the whole batch.
        seed, step
            The random flips and shifts are a pure function of these two numbers and of B,
            so a resumed run draws what an uninterrupted one would have drawn.
        augment
            False takes the middle of each tile, unflipped.
        part
            Which positions of the batch are wanted.

        Returns
        -------
        Tensor
            (P, 3, H, W) uint8.
        """
        height, width = self.size
        count, span = len(index), 2 * self.margin + 1
        if augment:
            source = generator(seed, "augment", step)
            top = torch.randint(span, (count, 1), generator=source)
            left = torch.randint(span, (count, 1), generator=source)
            flip = torch.randint(2, (count, 1), generator=source).bool()
        else:
            top = left = torch.full((count, 1), self.margin)
            flip = torch.zeros(count, 1, dtype=torch.bool)
        columns = torch.arange(width)
        rows = top + torch.arange(height)  # (B, H)
        columns = left + torch.where(flip, columns.flip(0), columns)  # (B, W)
        return self.train_tiles[
            index[part, None, None, None],
            torch.arange(3)[None, :, None, None],
            rows[part, None, :, None],
            columns[part, None, None, :],
        ]

    def val_batch(self, index: Tensor) -> Tensor:
        """Validation images: (B,) int64 to (B, 3, H, W) uint8."""
        return self.val_images[index]
