"""Batches of a run, prepared ahead: each is a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer._randomness import derive_seed, generator
from trainer.config import TrainConfig
from trainer.data import ImageSource, extra_augmentation
from trainer.errors import TrainerError

VAL_BATCH = 256


class Batch(NamedTuple):
    """What one process computes of one step.

    Parameters
    ----------
    image
        (P, 3, H, W) uint8.
    label
        (P,) int64.
    partner, partner_label
        The images and labels that they are mixed with, or None.
    """

    image: Tensor
    label: Tensor
    partner: Tensor | None = None
    partner_label: Tensor | None = None


@dataclass(frozen=True)
class Share:
    """Which positions of a global batch a process computes.

    Parameters
    ----------
    rank
        Of the process, from 0.
    world
        Number of processes.
    """

    rank: int = 0
    world: int = 1

    def part(self, batch_size: int) -> slice:
        """Its positions: the rank-th of `world` equal runs."""
        size = batch_size // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def mirrored(self, batch_size: int) -> slice:
        """The same of the batch read backwards; the images at i and B - 1 - i are mixed."""
        part = self.part(batch_size)
        return slice(batch_size - part.stop, batch_size - part.start)


class StepBatches(Dataset[Batch | TrainerError]):
    """Item ``step`` is this process's part of that step's global batch.

    A picture that cannot be read comes as the error itself: raised in a process that prepares
    batches, it would reach the user as a traceback of that process.

    Parameters
    ----------
    data
        Images.
    config
        Of the run.
    share
        What of each batch.
    purpose
        "" for training; another word draws other numbers.
    """

    def __init__(
        self, data: ImageSource, config: TrainConfig, share: Share, purpose: str = ""
    ) -> None:
        self._data, self._config, self._share = data, config, share
        self._order = (config.seed, "order") if not purpose else (config.seed, purpose, "order")
        self._seed = derive_seed(config.seed, purpose) if purpose else config.seed
        self.steps_per_epoch = len(data.train_labels) // config.batch_size
        self._mixes = not purpose and config.mixup + config.cutmix > 0
        self._extra = extra_augmentation(config)
        self._epoch = (-1, torch.empty(0))

    def __getitem__(self, step: int) -> Batch | TrainerError:
        try:
            return self._batch(step)
        except TrainerError as error:
            return error

    def _batch(self, step: int) -> Batch:
        size = self._config.batch_size
        epoch, number = divmod(step, self.steps_per_epoch)
        index = self._epoch_order(epoch + 1)[number * size : (number + 1) * size]
        part = self._share.part(size)
        image = self._images(index, step, part)
        label = self._data.train_labels[index[part]]
        if not self._mixes:
            return Batch(image, label)
        mirrored = self._share.mirrored(size)
        others = image if mirrored == part else self._images(index, step, mirrored)
        return Batch(image, label, others.flip(0), self._data.train_labels[index[mirrored]].flip(0))

    def _images(self, index: Tensor, step: int, part: slice) -> Tensor:
        image = self._data.train_batch(
            index, seed=self._seed, step=step, augment=self._config.augment, part=part
        )
        if self._extra is not None:
            image = self._extra(image, seed=self._seed, step=step, part=part)
        return image

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._epoch[0] != epoch:
            count = len(self._data.train_labels)
            order = torch.randperm(count, generator=generator(*self._order, epoch))
            self._epoch = (epoch, order)
        return self._epoch[1]


class _ValBatches(Dataset[Batch | TrainerError]):
    """Item i is the i-th run of `size` validation images."""

    def __init__(self, data: ImageSource, size: int) -> None:
        self._data, self._size = data, size

    def __getitem__(self, number: int) -> Batch | TrainerError:
        count = len(self._data.val_labels)
        index = torch.arange(number * self._size, min((number + 1) * self._size, count))
        try:
            return Batch(self._data.val_batch(index), self._data.val_labels[index])
        except TrainerError as error:
            return error


def train_batches(
    data: ImageSource, config: TrainConfig, share: Share, steps: range, purpose: str = ""
) -> Iterator[Batch]:
    """The batches of a range of steps, prepared ahead by ``config.workers`` processes."""
    return _loaded(StepBatches(data, config, share, purpose), steps, config)


def val_batches(data: ImageSource, config: TrainConfig, share: Share) -> Iterator[Batch]:
    """Every ``share.world``-th run of validation images; each image once over all processes."""
    count = len(data.val_labels)
    size = min(VAL_BATCH, -(-count // share.world))  # work for every process
    runs = -(-count // size)
    return _loaded(_ValBatches(data, size), range(share.rank, runs, share.world), config)


def _loaded(items: Dataset[Any], numbers: range, config: TrainConfig) -> Iterator[Batch]:
    loader = DataLoader(
        items,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        pin_memory=config.device == "cuda",
        # Of its own, or it would draw its workers' seeds from the global one.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, TrainerError):
            raise batch
        yield batch


def as_float(image: Tensor, device: torch.device) -> Tensor:
    """A batch of bytes on the device, there turned into float32 in [0, 255]."""
    return image.to(device, non_blocking=True).float()
