"""The training loop: two optimizers, checkpoints within and after epochs, exact resume.

A run is a function of its configuration and data alone. Every random number is a function of
(seed, purpose, epoch or step), every schedule of the step, so a checkpoint after any step is all
that an interrupted run needs to end where an uninterrupted one would: on one machine and one
release of torch, at the same bits.
"""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from torch_impl import JPEGLayer
from trainer._randomness import derive_seed
from trainer.batches import Batch, Share, as_float, train_batches
from trainer.checkpoint import (
    CHECKPOINT_FILE,
    INITIAL_Q,
    Checkpoint,
    collect_tensors,
    load_checkpoint,
    restore_tensors,
    save_checkpoint,
    state_counts,
)
from trainer.config import TrainConfig
from trainer.data import ImageSource, channel_normalization
from trainer.errors import DataError, DivergenceError
from trainer.evaluation import evaluate
from trainer.exports import export_model
from trainer.fabric import add_up, loss_scaler, on_first, share_buffers, step_optimizers
from trainer.initial_tables import initial_tables, load_pretrained
from trainer.logs import TensorBoardLog, write_metrics
from trainer.metrics import EpochMetrics
from trainer.mixing import draw_mixture
from trainer.networks import build_model
from trainer.optimizers import build_optimizers, schedule_factor, set_learning_rates
from trainer.progress import Listener

# Gradients that overflow float16 (above 65504) when scaled by this little are no rounding matter.
_SMALLEST_SCALE = 2.0**-10


@dataclass
class _Sums:
    """Of the epoch that is under way, over all processes."""

    loss: float = 0.0
    right: float = 0.0
    seconds: float = 0.0


class TrainingRun:
    """The moving parts of one run.

    Parameters
    ----------
    name
        For messages.
    config
        What to train.
    folder
        Of the run, claimed.
    data
        Images.
    listener
        Told of steps and epochs.
    fabric
        Launched.
    """

    def __init__(
        self,
        name: str,
        config: TrainConfig,
        folder: Path,
        data: ImageSource,
        listener: Listener,
        fabric: Fabric,
    ) -> None:
        self.name, self.config, self.folder, self.data = name, config, folder, data
        self.listener, self.fabric = listener, fabric
        self.share = Share(fabric.global_rank, fabric.world_size)
        self.steps_per_epoch = len(data.train_labels) // config.batch_size
        self.path = folder / CHECKPOINT_FILE
        self.history: list[EpochMetrics] = []
        self.step, self.saved = 0, -1
        self.sums = _Sums()
        found = load_checkpoint(self.path) if self.path.exists() else None
        self._check_data(found)
        self.q_initial = self._initial_q(found)
        self._build(new=found is None)
        if found is not None:
            self._resume(found)

    def _check_data(self, found: Checkpoint | None) -> None:
        if found is not None and found.progress["fingerprint"] != self.data.fingerprint:
            raise DataError(
                f"the images are not those that {self.folder} was begun with; put them back, "
                "or choose another folder with --run-dir"
            )

    def _initial_q(self, found: Checkpoint | None) -> Tensor | None:
        if found is not None:
            return found.tensors.get(INITIAL_Q)
        return initial_tables(
            self.config,
            self.data,
            share=self.share,
            device=self.fabric.device,
            progress=lambda done, total: self.listener.on_measure(self.name, done, total),
        )

    def _build(self, *, new: bool) -> None:
        config, data = self.config, self.data
        torch.manual_seed(derive_seed(config.seed, "weights"))
        mean, std = channel_normalization(config, data)
        self.model = build_model(
            config,
            classes=len(data.classes),
            mean=mean,
            std=std,
            size=data.size,
            q=self.q_initial,
        )
        if new and config.pretrained is not None:
            load_pretrained(config, self.model, data)
        if config.sync_batch_norm and self.fabric.world_size > 1:
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.optimizers = build_optimizers(config, self.model)
        # The wrapped ones share out gradients and set the precision; they hold the same tensors.
        self._forward, *self._steppers = self.fabric.setup(self.model, *self.optimizers.values())

    def _resume(self, found: Checkpoint) -> None:
        progress = found.progress
        restore_tensors(found.tensors, self.model, self.optimizers, progress["states"], self.path)
        self.history = [EpochMetrics(**row) for row in progress["history"]]
        self.step = self.saved = progress["step"]
        self.sums = _Sums(**progress["sums"])
        scaler = loss_scaler(self.fabric)
        if scaler is not None:
            scaler.load_state_dict(progress["scaler"])
        total = self.config.epochs * self.steps_per_epoch
        self.listener.on_message(f"{self.name}: resumed after step {self.step} of {total}")

    def go(self) -> None:
        """Train what is left, and leave model and tables beside the checkpoint."""
        config = self.config
        steps = range(self.step, config.epochs * self.steps_per_epoch)
        batches = train_batches(self.data, config, self.share, steps)
        log = on_first(self.fabric, self._tensorboard)
        try:
            while len(self.history) < config.epochs:
                self._epoch(batches)
                self._save()
                if self.fabric.is_global_zero:
                    write_metrics(self.folder, config, self.history)
                    if log is not None:
                        log.add(self.history[-1])
                self.listener.on_epoch(self.name, config.epochs, self.history[-1])
        finally:
            if log is not None:
                log.close()
        on_first(self.fabric, lambda: export_model(self.folder, config, load_checkpoint(self.path)))

    def _tensorboard(self) -> TensorBoardLog | None:
        return TensorBoardLog(self.folder, self.history) if self.config.tensorboard else None

    def _epoch(self, batches: Iterator[Batch]) -> None:
        """What is left of an epoch, and its validation."""
        began, before = time.perf_counter(), self.sums.seconds
        config = self.config
        epoch = len(self.history) + 1
        first = (epoch - 1) * self.steps_per_epoch
        resumed_at = self.step
        self._forward.train()
        while self.step < first + self.steps_per_epoch:
            self._step(next(batches))
            self.step += 1
            seconds = time.perf_counter() - began
            self.sums.seconds = before + seconds
            number = self.step - first
            every = config.checkpoint_steps
            if every and number % every == 0 and number < self.steps_per_epoch:
                self._save()
            self.listener.on_step(
                self.name,
                epoch,
                self.sums.right / (number * config.batch_size),
                (self.step - resumed_at) * config.batch_size / seconds,
            )
        self._clamp_tables()
        share_buffers(self.fabric, self.model)
        val_loss, val_accuracy = evaluate(self.model, self.data, config=config, fabric=self.fabric)
        quantizer = self.model.quantizer
        q = None if quantizer is None else quantizer.q.detach()
        rates = {role: o.param_groups[0]["lr"] for role, o in self.optimizers.items()}
        self.history.append(
            EpochMetrics(
                epoch=epoch,
                step=self.step,
                learning_rate=rates["network"],
                q_learning_rate=rates.get("q"),
                train_loss=self.sums.loss / self.steps_per_epoch,
                train_accuracy=self.sums.right / (self.steps_per_epoch * config.batch_size),
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                seconds=before + time.perf_counter() - began,
                q_min=None if q is None else q.min().item(),
                q_mean=None if q is None else q.mean().item(),
                q_max=None if q is None else q.max().item(),
            )
        )
        self.sums = _Sums()

    def _clamp_tables(self) -> None:
        """Apply the layer's clamping rule, which the next forward pass would apply anyway.

        What is validated and saved is then within the range that the layer accepts on loading.
        """
        quantizer = self.model.quantizer
        if isinstance(quantizer, JPEGLayer) and quantizer.quantizer != "soft":
            quantizer.steps()
        elif quantizer is not None:
            quantizer.tables()

    def _step(self, batch: Batch) -> None:
        """One step of both optimizers."""
        config, device = self.config, self.fabric.device
        # Layers that draw random numbers (dropout) start each step from a known state, a different
        # one in each process.
        torch.manual_seed(derive_seed(config.seed, "layers", self.step, self.share.rank))
        factor = schedule_factor(config, self.step, self.steps_per_epoch)
        set_learning_rates(config, self.optimizers, factor)
        image, label, targets = self._mixed(batch, device)
        for optimizer in self._steppers:
            optimizer.zero_grad()
        value, right = 0.0, 0
        parts = config.accumulate
        rows = len(label) // parts
        for number in range(parts):
            part = slice(number * rows, (number + 1) * rows)
            with self.fabric.no_backward_sync(self._forward, enabled=number < parts - 1):
                logits = self._forward(image[part])
                loss = targets.loss(logits, part) / parts
                self.fabric.backward(loss)
            value += loss.item()
            right += int((logits.argmax(1) == label[part]).sum())
        value, total_right = add_up(self.fabric, value, right)
        value /= self.share.world
        if not math.isfinite(value):
            raise self._diverged(self.step + 1, f"the loss is {value}")
        step_optimizers(self.fabric, self._steppers)
        self._check_step()
        self.sums.loss += value
        self.sums.right += total_right

    def _mixed(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, _Targets]:
        image, label = as_float(batch.image, device), batch.label.to(device)
        smoothing = self.config.label_smoothing
        if batch.partner is None or batch.partner_label is None:
            return image, label, _Targets(label, smoothing)
        mixture = draw_mixture(self.config, self.step, self.data.size)
        image = mixture.images(image, as_float(batch.partner, device))
        other = batch.partner_label.to(device)
        return image, label, _Targets(label, smoothing, other, mixture.weight)

    def _check_step(self) -> None:
        # Said here, because the layer's clamping would make an infinite step a large one.
        for parameter in self.model.table_parameters():
            if not bool(parameter.isfinite().all()):
                raise self._diverged(self.step + 1, "a quantization step became NaN or infinite")
        scaler = loss_scaler(self.fabric)
        if scaler is not None and scaler.get_scale() < _SMALLEST_SCALE:
            raise self._diverged(
                self.step + 1,
                f"gradients overflow float16 even with the loss scaled by {scaler.get_scale():g}",
            )

    def _save(self) -> None:
        """Write the checkpoint, from the first process."""

        def save() -> None:
            tensors = collect_tensors(self.model, self.optimizers)
            if self.q_initial is not None:
                tensors[INITIAL_Q] = self.q_initial
            try:
                save_checkpoint(self.path, Checkpoint(tensors, self._progress()))
            except DivergenceError as error:
                raise self._diverged(self.step, str(error)) from error

        on_first(self.fabric, save)
        self.saved = self.step

    def _progress(self) -> dict[str, Any]:
        scaler = loss_scaler(self.fabric)
        data = self.data
        return {
            "step": self.step,
            "sums": dataclasses.asdict(self.sums),
            "history": [dataclasses.asdict(metrics) for metrics in self.history],
            "states": state_counts(self.optimizers),
            "scaler": {} if scaler is None else scaler.state_dict(),
            "fingerprint": data.fingerprint,
            "classes": list(data.classes),
            "size": list(data.size),
            "origin": data.origin,
            "images": [len(data.train_labels), len(data.val_labels)],
            "parameters": sum(p.numel() for p in self.model.network_parameters()),
            "versions": {"Python": platform.python_version(), "torch": str(torch.__version__)},
        }

    def _diverged(self, step: int, what: str) -> DivergenceError:
        kept = (
            f"the last good checkpoint, after step {self.saved}, was kept in {self.path}"
            if self.saved >= 0
            else "no checkpoint had been written yet"
        )
        return DivergenceError(
            f"{self.name} diverged at step {step}: {what}. Lower learning_rate or "
            f"q_learning_rate in a new folder; {kept}"
        )


@dataclass(frozen=True)
class _Targets:
    """Labels of a batch, and those that it was mixed with."""

    label: Tensor
    smoothing: float
    other: Tensor | None = None
    weight: float = 1.0

    def loss(self, logits: Tensor, part: slice) -> Tensor:
        """Mean cross-entropy of a part; that of mixed labels is linear in them."""
        loss = functional.cross_entropy(logits, self.label[part], label_smoothing=self.smoothing)
        if self.other is None:
            return loss
        other = functional.cross_entropy(logits, self.other[part], label_smoothing=self.smoothing)
        return self.weight * loss + (1 - self.weight) * other
