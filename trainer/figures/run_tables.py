"""Quantization tables of a run (Fig. 4, 11) and sensitivity of its loss (Fig. 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torch_impl import measure_sensitivity
from trainer.data import ImageSource
from trainer.errors import RunFolderError
from trainer.plots import zigzag
from trainer.saved_run import SavedRun

_BATCH = 64


@dataclass(frozen=True, eq=False)
class TablesOverTraining:
    """Tables of a run at its beginning and at its last checkpoint, in zigzag order.

    Parameters
    ----------
    initial
        (2, 64): luma, chroma.
    final
        (rounds, 2, 64).
    epochs
        Epochs done.
    """

    initial: Tensor
    final: Tensor
    epochs: int


def tables_of_run(run: SavedRun) -> TablesOverTraining:
    """Initial and final tables of a JPEG-DL run.

    Raises
    ------
    RunFolderError
        If the run has no JPEG layer before its network.

    References
    ----------
    JPEG-DL, Fig. 4 and Fig. 11.
    """
    layer = run.model.jpeg
    if layer is None or run.q_initial is None:
        raise RunFolderError(
            f"run {run.folder} has no luma and chroma tables: its method is "
            f"{run.config.method!r} and its placement {run.config.placement!r}. Give a run with "
            "the JPEG layer before the network"
        )
    order = zigzag()
    with torch.no_grad():
        final = layer.steps().flatten(2)[..., order].double()
    return TablesOverTraining(run.q_initial.flatten(1)[:, order].double(), final, len(run.history))


@dataclass(frozen=True, eq=False)
class SensitivityOfRun:
    """Estimated sensitivity of a run's loss to each DCT frequency.

    Parameters
    ----------
    values
        (3, 64) of Y, Cb, Cr in zigzag order.
    images
        Training images it was averaged over.
    """

    values: Tensor
    images: int


def sensitivity_of_run(
    run: SavedRun, data: ImageSource, *, images: int, progress: bool = False
) -> SensitivityOfRun:
    """Mean squared gradient with respect to the DCT coefficients of a run's training images.

    Parameters
    ----------
    run
        Its whole model is measured, JPEG layer included where it has one.
    data
        Of the run.
    images
        How many training images, at most; drawn evenly over them, without augmentation.
    progress
        Show a bar on the terminal.

    References
    ----------
    JPEG-DL, appendix A.10, Fig. 10.
    """
    measured = measure_sensitivity(
        run.model, _batches(data, images), max_images=images, progress=progress
    )
    order = zigzag()
    values = torch.stack([measured.S_Y, measured.S_Cb, measured.S_Cr])
    return SensitivityOfRun(values.flatten(1)[:, order], measured.images)


def _batches(data: ImageSource, images: int) -> Iterator[tuple[Tensor, Tensor]]:
    labels = data.train_labels
    count = min(images, len(labels))
    # Batches of all classes: batch normalization takes its statistics from them.
    chosen = torch.arange(count) * len(labels) // count
    stride = -(-count // _BATCH)
    for first in range(stride):
        index = chosen[first::stride]
        yield data.train_batch(index, seed=0, step=first, augment=False).float(), labels[index]
