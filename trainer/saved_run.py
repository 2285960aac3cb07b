"""A run read back from its folder: the trained model, ready to be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.checkpoint import (
    CHECKPOINT_FILE,
    INITIAL_Q,
    Checkpoint,
    load_checkpoint,
    restore_model,
)
from trainer.config import TrainConfig
from trainer.errors import CheckpointError, RunFolderError
from trainer.metrics import EpochMetrics
from trainer.networks import ImageClassifier, build_model
from trainer.run_folder import CONFIG_FILE, read_config


@dataclass(frozen=True)
class SavedRun:
    """A run as its folder holds it.

    Parameters
    ----------
    folder
        Of the run.
    config
        What was trained.
    model
        Weights of the last checkpoint, in eval mode, on the CPU.
    classes
        Names of the classes; logits are in this order.
    size
        Height and width of the images in pixels.
    history
        Metrics of every epoch done.
    q_initial
        (2, 8, 8) tables that the training began with, natural order; None without a JPEG layer
        before the network.
    """

    folder: Path
    config: TrainConfig
    model: ImageClassifier
    classes: tuple[str, ...]
    size: tuple[int, int]
    history: tuple[EpochMetrics, ...]
    q_initial: Tensor | None

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.history) == self.config.epochs


def load_run(folder: str | Path) -> SavedRun:
    """Read the last checkpoint of a run, finished or not. Writes nothing.

    Parameters
    ----------
    folder
        Of the run, as it was given to ``train``.

    Returns
    -------
    SavedRun

    Raises
    ------
    RunFolderError
        If it is no folder of a run, or the run has no checkpoint yet.
    CheckpointError
        If the checkpoint is damaged or does not fit its configuration.
    """
    folder = Path(folder)
    path = folder / CHECKPOINT_FILE
    if not (folder / CONFIG_FILE).exists():
        raise RunFolderError(
            f"{folder} is no run folder: it has no {CONFIG_FILE}. Give the folder that a run was "
            "trained in"
        )
    config = read_config(folder)
    if not path.exists():
        raise RunFolderError(
            f"run {folder} has no {CHECKPOINT_FILE} yet: train it at least until its first "
            "checkpoint"
        )
    checkpoint = load_checkpoint(path)
    model = build_saved_model(config, checkpoint)
    try:
        restore_model(checkpoint.tensors, model, path)
    except RuntimeError as error:  # the layer refuses tables that are no numbers
        raise CheckpointError(
            f"checkpoint {path} does not fit its configuration: {error}"
        ) from error
    progress = checkpoint.progress
    height, width = progress["size"]
    return SavedRun(
        folder=folder,
        config=config,
        model=model.eval(),
        classes=tuple(progress["classes"]),
        size=(height, width),
        history=tuple(EpochMetrics(**row) for row in progress["history"]),
        q_initial=checkpoint.tensors.get(INITIAL_Q),
    )


def build_saved_model(config: TrainConfig, checkpoint: Checkpoint) -> ImageClassifier:
    """The model of a checkpoint with all that its weights do not say; the weights are random."""
    height, width = checkpoint.progress["size"]
    with torch.random.fork_rng(devices=[]):
        return build_model(
            config,
            classes=len(checkpoint.progress["classes"]),
            mean=torch.zeros(3),  # both are part of the state
            std=torch.ones(3),
            size=(height, width),
            q=checkpoint.tensors.get(INITIAL_Q),
        )
