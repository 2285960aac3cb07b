"""Records of a run for other programs: CSV and TensorBoard."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import TrainConfig
from trainer.errors import TrainerError
from trainer.metrics import EpochMetrics, metrics_csv
from trainer.run_folder import write_atomically

METRICS_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"


def write_metrics(folder: Path, config: TrainConfig, history: Sequence[EpochMetrics]) -> None:
    """Write ``metrics.csv`` anew, one line per epoch done."""
    text = metrics_csv([(config.method, config.seed, history)])
    write_atomically(folder / METRICS_FILE, text.encode())


class TensorBoardLog:
    """Scalars of each epoch as TensorBoard events, at the number of optimizer steps.

    Events can only be appended, and an interrupted run may have written an epoch whose checkpoint
    it never wrote, or the other way round. So the log is begun anew from the checkpoint's history
    each time, and holds every epoch once.

    Parameters
    ----------
    folder
        Of the run.
    history
        Epochs done so far.

    Raises
    ------
    TrainerError
        If the package ``tensorboard`` is not installed.
    """

    def __init__(self, folder: Path, history: Sequence[EpochMetrics]) -> None:
        target = folder / TENSORBOARD_FOLDER
        self._writer = _writer(target)
        for metrics in history:
            self.add(metrics)

    def add(self, metrics: EpochMetrics) -> None:
        """Log one epoch."""
        for name, value in dataclasses.asdict(metrics).items():
            if name not in ("epoch", "step") and value is not None:
                self._writer.add_scalar(name, value, metrics.step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _writer(target: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainerError(
            "tensorboard=True needs the package tensorboard: install it (pip install "
            "tensorboard), or leave the option out"
        ) from error
    for old in target.glob("events.out.tfevents.*"):
        old.unlink()
    return SummaryWriter(str(target))
