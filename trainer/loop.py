"""One run in one folder: what begins it, what it leaves, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.checkpoint import CHECKPOINT_FILE, INITIAL_Q, Checkpoint, load_checkpoint
from trainer.config import TrainConfig
from trainer.data import ImageSource, load_data
from trainer.errors import CheckpointError, DataError
from trainer.exports import export_model, tables_of
from trainer.logs import METRICS_FILE, TensorBoardLog, write_metrics
from trainer.metrics import EpochMetrics
from trainer.processes import processes
from trainer.progress import Listener, Silent
from trainer.run_folder import (
    CONFIG_FILE,
    check_owner,
    claim_folder,
    locked,
    prepare_folder,
)


@dataclass(frozen=True)
class TrainResult:
    """A run as its checkpoint tells it.

    Parameters
    ----------
    config
        What was trained.
    history
        Metrics of every epoch done.
    q_tables
        (2, 8, 8) float32 on the CPU, luma and chroma in natural order; (rounds, 2, 8, 8) with
        several rounds, (C, 8, 8) in place of a ReLU; None for the baseline.
    parameters
        Trainable numbers of the network, those of the JPEG layer not counted.
    classes
        Names of the classes.
    origin
        One line on the images.
    images
        How many training and validation images.
    versions
        Of Python and torch at the last checkpoint.
    step
        Optimizer steps done.
    q_initial
        (2, 8, 8) tables that the training began with; None without a JPEG layer before the
        network.
    """

    config: TrainConfig
    history: tuple[EpochMetrics, ...]
    q_tables: Tensor | None
    parameters: int
    classes: tuple[str, ...]
    origin: str
    images: tuple[int, int]
    versions: dict[str, str]
    step: int = 0
    q_initial: Tensor | None = None

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.history) == self.config.epochs

    @property
    def val_accuracy(self) -> float:
        """Fraction of validation images named rightly after the last epoch."""
        return self.history[-1].val_accuracy


def read_run(folder: str | Path, config: TrainConfig) -> TrainResult | None:
    """What a run folder holds of a configuration so far; None if nothing yet. Writes nothing.

    Raises
    ------
    RunFolderError
        If the folder belongs to another configuration.
    CheckpointError
        If its checkpoint is damaged, or there without the configuration.
    """
    checkpoint = _read_checkpoint(Path(folder), config)
    return None if checkpoint is None else _result(config, checkpoint)


def _read_checkpoint(folder: Path, config: TrainConfig) -> Checkpoint | None:
    path = folder / CHECKPOINT_FILE
    check_owner(folder, config)
    if not path.exists():
        return None
    if not (folder / CONFIG_FILE).exists():
        raise CheckpointError(
            f"{path} has no {CONFIG_FILE} beside it, so nobody knows what it was trained with. "
            "Put the file back, or choose another folder with --run-dir"
        )
    return load_checkpoint(path)


def train(
    config: TrainConfig,
    run_dir: str | Path,
    *,
    data: ImageSource | None = None,
    listener: Listener | None = None,
) -> TrainResult:
    """Train one model, or go on where its run folder left off.

    Several processes started by ``torchrun`` or SLURM, each of which calls this function, train
    one model together; the first of them writes and reports.

    Parameters
    ----------
    config
        What to train.
    run_dir
        Folder for ``config.json``, ``checkpoint.safetensors`` and ``metrics.csv``, each rewritten
        whole; in the end also ``model.safetensors`` and ``tables.safetensors``. A finished run
        is only read.
    data
        Images to use instead of those the configuration names (several runs can share one copy).
    listener
        Told of steps and epochs.

    Returns
    -------
    TrainResult
        Equal bit for bit, times aside, whether or not the run was interrupted in between
        (CPU, same machine, same torch, same number of processes).

    Raises
    ------
    RunFolderError
        If the folder cannot be written, belongs to another configuration, or another process
        trains in it; before training.
    CheckpointError
        If its checkpoint is damaged.
    DataError
        If the images cannot be loaded, are too few, or changed since the run began.
    DivergenceError
        If the loss, a gradient or a parameter is no longer finite.
    TrainerError
        If the device is not there, the batch cannot be shared out, or initial tables or weights
        cannot be had.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), eq. (8) and section 4.
    """
    folder = Path(run_dir)
    first = processes().rank == 0
    listener = listener if first and listener is not None else Silent()
    done = _read_checkpoint(folder, config)
    if done is not None and _result(config, done).finished:
        if first:
            _complete(folder, config, done)
        return _result(config, done)
    # A finished run is read without Fabric, which takes a second to import.
    from trainer.fabric import launch, on_first
    from trainer.training_run import TrainingRun

    fabric = launch(config)
    on_first(fabric, lambda: prepare_folder(folder))
    data = data or load_data(config)
    if len(data.train_labels) < config.batch_size:
        raise DataError(
            f"{len(data.train_labels)} training images do not fill one batch of "
            f"{config.batch_size}; lower batch_size"
        )
    with ExitStack() as held:

        def claim() -> None:
            held.enter_context(locked(folder))
            claim_folder(folder, config)

        # Only now: a run that cannot begin leaves no claim that a corrected one would run into.
        on_first(fabric, claim)
        held.enter_context(_repeatable(config))
        TrainingRun(config.name, config, folder, data, listener, fabric).go()
    return _result(config, load_checkpoint(folder / CHECKPOINT_FILE))


def _complete(folder: Path, config: TrainConfig, checkpoint: Checkpoint) -> None:
    """Write what an interruption after the last checkpoint kept from being written."""
    history = _result(config, checkpoint).history
    prepare_folder(folder)
    write_metrics(folder, config, history)
    if config.tensorboard:
        TensorBoardLog(folder, history).close()
    export_model(folder, config, checkpoint)


@contextmanager
def _repeatable(config: TrainConfig) -> Iterator[None]:
    """Fixed threads and deterministic algorithms, and the caller's settings back afterwards."""
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(config.threads)
    # cuBLAS needs an environment variable set before it starts; only the CPU is held to it.
    torch.use_deterministic_algorithms(config.device == "cpu")
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        torch.set_num_threads(threads)


def _result(config: TrainConfig, checkpoint: Checkpoint) -> TrainResult:
    progress = checkpoint.progress
    model = {
        name.removeprefix("model."): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("model.")
    }
    return TrainResult(
        config=config,
        history=tuple(EpochMetrics(**row) for row in progress["history"]),
        q_tables=tables_of(config, model).get("q"),
        parameters=progress["parameters"],
        classes=tuple(progress["classes"]),
        origin=progress["origin"],
        images=(progress["images"][0], progress["images"][1]),
        versions=progress["versions"],
        step=progress["step"],
        q_initial=checkpoint.tensors.get(INITIAL_Q),
    )


__all__ = ["METRICS_FILE", "TrainResult", "read_run", "train"]
