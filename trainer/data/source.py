"""What a run needs of its images, whatever they come from."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class ImageSource(Protocol):
    """Training and validation images with labels, as batches that are a pure function of numbers.

    No state: a batch depends on (images, seed, step) alone, so an interrupted run, or one process
    of several, draws exactly what an uninterrupted single one would. Sources can be pickled,
    for processes that prepare batches ahead.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class; labels index it."""

    @property
    def origin(self) -> str:
        """One line on where the images come from, for the report."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a batch's images in pixels."""

    @property
    def train_labels(self) -> Tensor:
        """(N,) int64."""

    @property
    def val_labels(self) -> Tensor:
        """(M,) int64."""

    @property
    def fingerprint(self) -> str:
        """Digest by which a resumed run knows that it sees the same data."""

    @property
    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of R, G, B in [0, 255] over training images, (3,) each."""

    def train_batch(
        self, index: Tensor, *, seed: int, step: int, augment: bool, part: slice = slice(None)
    ) -> Tensor:
        """Training images of one batch, or of a part of it, augmented at random.

        Parameters
        ----------
        index
            (B,) int64: the images of the whole batch.
        seed, step
            The random numbers of the image at position i are a function of these two and of i.
        augment
            False gives each image unchanged, or its middle.
        part
            Which positions of the batch are wanted.

        Returns
        -------
        Tensor
            (P, 3, H, W) uint8.
        """

    def val_batch(self, index: Tensor) -> Tensor:
        """Validation images: (B,) int64 to (B, 3, H, W) uint8."""
