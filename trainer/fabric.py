"""Processes, devices and precision of a run, through Lightning Fabric."""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision

from trainer.config import TrainConfig
from trainer.errors import TrainerError
from trainer.processes import processes

_T = TypeVar("_T")


class _Mixed(MixedPrecision):
    """Mixed precision for two optimizers, with pixels that stay float32.

    Fabric's own rounds the inputs of the model to 16 bits, where pixels mixed from two images
    lose what lies between whole numbers, and moves the loss scale after each optimizer, so that
    a second one would divide its gradients by another scale than they were multiplied with.
    """

    def convert_input(self, data: Any) -> Any:
        return data

    def optimizer_step(self, optimizer: Any, **kwargs: Any) -> Any:
        if self.scaler is None:
            return optimizer.step(**kwargs)
        return self.scaler.step(optimizer, **kwargs)


def launch(config: TrainConfig) -> Fabric:
    """Fabric for a run; joins the processes, if there are several.

    Raises
    ------
    TrainerError
        If the device is not there, or the batch cannot be shared out.
    """
    team = processes()
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainerError('device is "cuda", but torch sees no CUDA device; use device=cpu')
    if config.batch_size % (team.world * config.accumulate):
        raise TrainerError(
            f"batch_size = {config.batch_size} is that of all processes together and must be "
            f"divisible by processes x accumulate = {team.world} x {config.accumulate}"
        )
    # What it says at level INFO (the precision, the processes) is in the configuration already.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=config.device,
        strategy="ddp" if team.world > 1 else "auto",
        devices=team.world // team.nodes,
        num_nodes=team.nodes,
        plugins=_precision(config),
    )
    fabric.launch()
    if team.world > 1:
        atexit.unregister(_leave)
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Leave the other processes before Python ends.

    Fabric does so for nccl only. A thread of gloo that still lets go of its last tensors when the
    interpreter is torn down ends the process with SIGABRT. The process group joins its threads
    when nobody holds it any more, not even a wrapped model within a cycle of references.
    """
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _precision(config: TrainConfig) -> list[Any]:
    if config.precision == "32-true":
        return []
    scaler = torch.amp.GradScaler(config.device) if config.precision == "16-mixed" else None
    return [_Mixed(config.precision, config.device, scaler)]  # type: ignore[arg-type]


def loss_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """The scaler of the loss in float16, else None."""
    return getattr(fabric.strategy.precision, "scaler", None)


def step_optimizers(fabric: Fabric, optimizers: Sequence[Any]) -> None:
    """One step of each; in float16, one whose gradients overflowed is left out."""
    for optimizer in optimizers:
        optimizer.step()
    scaler = loss_scaler(fabric)
    if scaler is not None:
        scaler.update()


def add_up(fabric: Fabric, *values: float) -> list[float]:
    """Sums over all processes, in float64."""
    if fabric.world_size == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    return [float(x) for x in fabric.strategy.all_reduce(sums, reduce_op="sum")]


def share_buffers(fabric: Fabric, model: torch.nn.Module) -> None:
    """Give every process the buffers of the first, whose batch statistics are those saved."""
    if fabric.world_size == 1:
        return
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, src=0)


def on_first(fabric: Fabric, action: Callable[[], _T]) -> _T | None:
    """Let the first process act while the others wait; its error stops all of them.

    Returns
    -------
    object
        What `action` returned, on the first process; None on the others.
    """
    result: _T | None = None
    error: Exception | None = None
    if fabric.is_global_zero:
        try:
            result = action()
        except TrainerError as caught:
            error = caught
    if fabric.world_size > 1:
        told = fabric.broadcast(None if error is None else str(error))
        if told is not None and error is None:
            raise TrainerError(told)
    if error is not None:
        raise error
    return result
