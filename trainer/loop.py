"""The training loop: two optimizers, a checkpoint after every epoch, exact resume.

A run is a function of its configuration and data alone. Every random number is a function of
(seed, purpose, epoch or step), every schedule of the step, so a checkpoint at the end of an
epoch is all that an interrupted run needs to end where an uninterrupted one would: on one
machine and one release of torch, at the same bits.
"""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainer._randomness import derive_seed, generator
from trainer.checkpoint import (
    CHECKPOINT_FILE,
    Checkpoint,
    collect_tensors,
    load_checkpoint,
    restore_tensors,
    save_checkpoint,
)
from trainer.config import TrainConfig
from trainer.data import ImageData, load_data
from trainer.errors import CheckpointError, DataError, DivergenceError, TrainerError
from trainer.metrics import EpochMetrics, metrics_csv
from trainer.networks import ImageClassifier, build_model
from trainer.optimizers import build_optimizers, schedule_factor
from trainer.progress import Listener, Silent
from trainer.run_folder import (
    CONFIG_FILE,
    check_owner,
    claim_folder,
    prepare_folder,
    write_atomically,
)

METRICS_FILE = "metrics.csv"
_VAL_BATCH = 256


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
        (2, 8, 8) float32 on the CPU, luma and chroma in natural order; None for the baseline.
    parameters
        Trainable numbers of the network, those of the JPEG layer not counted.
    classes
        Names of the classes.
    origin
        One line on the images.
    images
        How many training and validation images.
    versions
        Of Python and torch at the last epoch.
    """

    config: TrainConfig
    history: tuple[EpochMetrics, ...]
    q_tables: Tensor | None
    parameters: int
    classes: tuple[str, ...]
    origin: str
    images: tuple[int, int]
    versions: dict[str, str]

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.history) == self.config.epochs

    @property
    def val_accuracy(self) -> float:
        """Fraction of validation images named rightly after the last epoch."""
        return self.history[-1].val_accuracy


def run_name(config: TrainConfig) -> str:
    """Name of a run within a comparison."""
    return f"{config.method}-seed{config.seed}"


def read_run(folder: str | Path, config: TrainConfig) -> TrainResult | None:
    """What a run folder holds of a configuration so far; None if nothing yet. Writes nothing.

    Raises
    ------
    RunFolderError
        If the folder belongs to another configuration.
    CheckpointError
        If its checkpoint is damaged, or there without the configuration.
    """
    folder = Path(folder)
    path = folder / CHECKPOINT_FILE
    check_owner(folder, config)
    if not path.exists():
        return None
    if not (folder / CONFIG_FILE).exists():
        raise CheckpointError(
            f"{path} has no {CONFIG_FILE} beside it, so nobody knows what it was trained with. "
            "Put the file back, or choose another folder with --run-dir"
        )
    return _result(config, load_checkpoint(path))


def train(
    config: TrainConfig,
    run_dir: str | Path,
    *,
    data: ImageData | None = None,
    listener: Listener | None = None,
) -> TrainResult:
    """Train one model, or go on where its run folder left off.

    Parameters
    ----------
    config
        What to train.
    run_dir
        Folder for ``config.json``, ``checkpoint.safetensors`` and ``metrics.csv``; all are
        rewritten whole after each epoch. A finished run is only read.
    data
        Images to use instead of those the configuration names (several runs can share one copy).
    listener
        Told of steps and epochs.

    Returns
    -------
    TrainResult
        Equal bit for bit, times aside, whether or not the run was interrupted in between
        (CPU, same machine, same torch).

    Raises
    ------
    RunFolderError
        If the folder cannot be written or belongs to another configuration; before training.
    CheckpointError
        If its checkpoint is damaged.
    DataError
        If the images cannot be loaded, are too few, or changed since the run began.
    DivergenceError
        If the loss, a gradient or a parameter is no longer finite.
    TrainerError
        If the device is not there.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), eq. (8) and section 4.
    """
    folder = Path(run_dir)
    listener = listener or Silent()
    done = read_run(folder, config)
    prepare_folder(folder)
    if done is not None and done.finished:
        _write_metrics(folder, done)
        return done
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainerError("device is cuda, but torch sees no CUDA device; use --device cpu")
    data = data or load_data(config)
    if len(data.train_labels) < config.batch_size:
        raise DataError(
            f"{len(data.train_labels)} training images do not fill one batch of "
            f"{config.batch_size}; lower --batch-size"
        )
    # Only now: a run that cannot begin leaves no claim that a corrected one would run into.
    claim_folder(folder, config)
    with _repeatable(config):
        return _Run(config, folder, data, listener).go()


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


class _Run:
    """The moving parts of one run."""

    def __init__(
        self, config: TrainConfig, folder: Path, data: ImageData, listener: Listener
    ) -> None:
        self.config, self.folder, self.data, self.listener = config, folder, data, listener
        self.name = run_name(config)
        self.steps_per_epoch = len(data.train_labels) // config.batch_size
        self.history: list[EpochMetrics] = []
        torch.manual_seed(derive_seed(config.seed, "weights"))
        mean, std = data.channel_statistics
        self.model = build_model(config, classes=len(data.classes), mean=mean, std=std)
        self.model.to(config.device)
        self.optimizers = build_optimizers(config, self.model)
        self.path = folder / CHECKPOINT_FILE
        if self.path.exists():
            self._resume()

    def go(self) -> TrainResult:
        """Train the epochs that are left."""
        for epoch in range(len(self.history) + 1, self.config.epochs + 1):
            self._epoch(epoch)
            checkpoint = Checkpoint(collect_tensors(self.model, self.optimizers), self._progress())
            save_checkpoint(self.path, checkpoint)
            result = _result(self.config, checkpoint)
            _write_metrics(self.folder, result)
            self.listener.on_epoch(self.name, self.config.epochs, self.history[-1])
        return result

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.path)
        if checkpoint.progress["fingerprint"] != self.data.fingerprint:
            raise DataError(
                f"the images are not those that {self.folder} was begun with; put them back, "
                "or choose another folder with --run-dir"
            )
        restore_tensors(checkpoint.tensors, self.model, self.optimizers, self.path)
        self.history = [EpochMetrics(**row) for row in checkpoint.progress["history"]]
        self.listener.on_message(
            f"{self.name}: resumed after epoch {len(self.history)} of {self.config.epochs}"
        )

    def _progress(self) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.model.network.parameters())
        return {
            "history": [dataclasses.asdict(metrics) for metrics in self.history],
            "fingerprint": self.data.fingerprint,
            "classes": self.data.classes,
            "origin": self.data.origin,
            "images": [len(self.data.train_labels), len(self.data.val_labels)],
            "parameters": parameters,
            "versions": {"Python": platform.python_version(), "torch": str(torch.__version__)},
        }

    def _epoch(self, epoch: int) -> None:
        started = time.perf_counter()
        config, labels = self.config, self.data.train_labels
        # Layers that draw random numbers (dropout) start each epoch from a known state.
        torch.manual_seed(derive_seed(config.seed, "layers", epoch))
        order = torch.randperm(len(labels), generator=generator(config.seed, "order", epoch))
        total_loss = 0.0
        right = 0
        self.model.train()
        for number in range(self.steps_per_epoch):
            index = order[number * config.batch_size : (number + 1) * config.batch_size]
            loss, correct = self._step(index, step=(epoch - 1) * self.steps_per_epoch + number)
            total_loss += loss
            right += correct
            seen = (number + 1) * config.batch_size
            self.listener.on_step(self.name, epoch, right / seen)
        if self.model.jpeg is not None:
            # The layer's clamping rule, which the next forward pass would apply anyway: what is
            # validated and saved is then within the range that the layer accepts on loading.
            self.model.jpeg.tables()
        val_loss, val_accuracy = evaluate(self.model, self.data)
        q = None if self.model.jpeg is None else self.model.jpeg.q.detach()
        rates = {role: o.param_groups[0]["lr"] for role, o in self.optimizers.items()}
        self.history.append(
            EpochMetrics(
                epoch=epoch,
                step=epoch * self.steps_per_epoch,
                learning_rate=rates["network"],
                q_learning_rate=rates.get("q"),
                train_loss=total_loss / self.steps_per_epoch,
                train_accuracy=right / (self.steps_per_epoch * config.batch_size),
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                q_min=None if q is None else q.min().item(),
                q_mean=None if q is None else q.mean().item(),
                q_max=None if q is None else q.max().item(),
                seconds=time.perf_counter() - started,
            )
        )

    def _step(self, index: Tensor, *, step: int) -> tuple[float, int]:
        """One step of both optimizers; loss and number of rightly named images."""
        config = self.config
        image = self.data.train_batch(index, seed=config.seed, step=step, augment=config.augment)
        label = self.data.train_labels[index].to(config.device)
        factor = schedule_factor(config, step, self.steps_per_epoch)
        for group in self.optimizers["network"].param_groups:
            group["lr"] = config.learning_rate * factor
        if "q" in self.optimizers:
            q_factor = factor if config.q_follows_schedule else 1.0
            self.optimizers["q"].param_groups[0]["lr"] = config.q_learning_rate * q_factor
        logits = self.model(image.to(config.device))
        loss = functional.cross_entropy(logits, label)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(step, f"the loss is {value}")
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        # Said here, because the layer's clamping would make an infinite step a large one.
        if self.model.jpeg is not None and not bool(self.model.jpeg.q.isfinite().all()):
            raise self._diverged(step, "a quantization step became NaN or infinite")
        return value, int((logits.argmax(1) == label).sum())

    def _diverged(self, step: int, what: str) -> DivergenceError:
        kept = (
            f"the checkpoint after epoch {len(self.history)} was kept"
            if self.history
            else "no epoch was finished, so there is no checkpoint"
        )
        return DivergenceError(
            f"{self.name} diverged at step {step + 1}: {what}. Lower the learning rates "
            f"(--learning-rate, --q-learning-rate) in a new folder; {kept}"
        )


def evaluate(model: ImageClassifier, data: ImageData) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy from 0 to 1, over the validation images."""
    model.eval()
    total_loss = 0.0
    right = 0
    with torch.no_grad():
        for first in range(0, len(data.val_labels), _VAL_BATCH):
            image = data.val_images[first : first + _VAL_BATCH].float().to(model.mean.device)
            label = data.val_labels[first : first + _VAL_BATCH].to(model.mean.device)
            logits = model(image)
            total_loss += functional.cross_entropy(logits, label, reduction="sum").item()
            right += int((logits.argmax(1) == label).sum())
    return total_loss / len(data.val_labels), right / len(data.val_labels)


def _result(config: TrainConfig, checkpoint: Checkpoint) -> TrainResult:
    progress = checkpoint.progress
    q = checkpoint.tensors.get("model.jpeg.q")
    return TrainResult(
        config=config,
        history=tuple(EpochMetrics(**row) for row in progress["history"]),
        q_tables=None if q is None else q.detach().cpu().clone(),
        parameters=progress["parameters"],
        classes=tuple(progress["classes"]),
        origin=progress["origin"],
        images=(progress["images"][0], progress["images"][1]),
        versions=progress["versions"],
    )


def _write_metrics(folder: Path, result: TrainResult) -> None:
    text = metrics_csv([(result.config.method, result.config.seed, result.history)])
    write_atomically(folder / METRICS_FILE, text.encode())
