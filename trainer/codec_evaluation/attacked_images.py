"""What is attacked: a classifier of pixels and labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainer._checks import check_whole
from trainer._randomness import generator
from trainer.codec_evaluation.pictures import ENDINGS
from trainer.data import ImageSource, load_data
from trainer.data.crops import middle_crop
from trainer.data.stored import TreeImages, decode
from trainer.data.trees import FolderTree
from trainer.errors import DataError
from trainer.networks import make_network
from trainer.saved_run import load_run

BATCH = 50


@dataclass(frozen=True)
class AttackedImages:
    """A classifier and its images.

    Parameters
    ----------
    name
        In tables.
    classes
        How many there are.
    model
        From RGB in [0, 255], (N, 3, H, W), to logits (N, classes).
    index
        (N,) numbers of the images.
    labels
        (N,) int64.
    read
        Images (B, 3, H, W) uint8 of some of these numbers.
    fingerprint
        Of weights and images.
    """

    name: str
    classes: int
    model: nn.Module = field(repr=False)
    index: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    read: Callable[[Tensor], Tensor] = field(repr=False)
    fingerprint: str

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in uint8 and labels, the same batches each time."""
        for index, labels in zip(self.index.split(BATCH), self.labels.split(BATCH), strict=True):
            yield self.read(index), labels


def images_of_run(
    folder: Path,
    images: int,
    *,
    data: Callable[..., ImageSource] = load_data,
) -> AttackedImages:
    """A run of this library and some of its validation images.

    Parameters
    ----------
    folder
        Of the run. Its model is taken as it is, with its JPEG layer if it has one.
    images
        How many, at most; the same ones for every run on the same data.
    data
        Images of a configuration.

    Raises
    ------
    TrainerError
        If the run or its data cannot be read.
    ValueError
        If `images` is below 1.
    """
    run = load_run(folder)
    source = data(run.config)
    index = _choose(len(source.val_labels), images)
    return AttackedImages(
        run.folder.resolve().name,
        len(run.classes),
        run.model,
        index,
        source.val_labels[index],
        source.val_batch,
        _fingerprint(run.model, source.fingerprint, index),
    )


def images_of_network(
    network: str, folder: Path, images: int, *, side: int | None = None
) -> AttackedImages:
    """Any network, and images in a folder with one folder for each class.

    Parameters
    ----------
    network
        "package.module:function", which gets the number of classes and gives a network with its
        weights, from RGB in [0, 255] to logits; normalization is its own business. Logits are in
        the order of the sorted names of the folders.
    folder
        With ``class/image`` files.
    images
        How many, at most, spread by chance over the classes.
    side
        Of the square in pixels that is cut from the middle, after the shorter side was resized to
        8/7 of it. None takes images as they are; they must then have one size.

    Raises
    ------
    DataError
        If there are no two classes, no images, one cannot be read, or their sizes differ.
    ValueError, TypeError
        If there is no such function, or it gives no network.
    """
    if not folder.is_dir():
        raise DataError(f"image folder {folder} does not exist; expected folder/<class>/*.png")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (f"{name}/{path.name}", label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in ENDINGS
    ]
    if len(classes) < 2 or not files:
        raise DataError(
            f"{folder} must hold two or more folders with images, one for each class; it has "
            f"{len(classes)} folders and {len(files)} images in them"
        )
    stored = TreeImages(FolderTree(folder), tuple(name for name, _ in files))
    index = _choose(len(files), images)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # a function that loads no weights gives the same ones each time
        model = make_network(network, len(classes)).eval()

    def read(numbers: Tensor) -> Tensor:
        batch = []
        for number in numbers.tolist():
            image = decode(stored, number)
            if side is not None:
                image = middle_crop(image, side, round(side * 8 / 7))
            batch.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
            if batch[-1].shape != batch[0].shape:
                raise DataError(
                    f"{stored.describe(number)} is {tuple(batch[-1].shape[1:])} pixels, another "
                    f"image {tuple(batch[0].shape[1:])}: give --side to cut one size from all"
                )
        return torch.stack(batch)

    labels = torch.tensor([label for _, label in files])[index]
    listing = "\n".join(stored.listing()) + f"\n{side}"
    return AttackedImages(
        network, len(classes), model, index, labels, read, _fingerprint(model, listing, index)
    )


def _choose(count: int, images: int) -> Tensor:
    check_whole("images", images, low=1)
    order = torch.randperm(count, generator=generator("attacked images", count))
    return order[: min(images, count)].sort().values


def _fingerprint(model: nn.Module, data: str, index: Tensor) -> str:
    digest = hashlib.sha256(f"{data} {index.tolist()}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
