"""What is measured in each epoch, and the table of it as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of one run.

    Parameters
    ----------
    epoch
        From 1.
    step
        Optimizer steps done at the end of the epoch.
    learning_rate, q_learning_rate
        Of the epoch's last step; the second is None without a JPEG layer.
    train_loss, val_loss
        Mean cross-entropy in nats.
    train_accuracy, val_accuracy
        Fraction, 0 to 1; the first over augmented images while the weights change.
    q_min, q_mean, q_max
        Of all 128 quantization steps; None without a JPEG layer.
    seconds
        Wall time of the epoch with its validation.
    """

    epoch: int
    step: int
    learning_rate: float
    q_learning_rate: float | None
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    q_min: float | None
    q_mean: float | None
    q_max: float | None
    seconds: float


COLUMNS = tuple(field.name for field in dataclasses.fields(EpochMetrics))


def metrics_csv(runs: Iterable[tuple[str, int, Iterable[EpochMetrics]]]) -> str:
    """CSV of whole runs, one line per epoch.

    Parameters
    ----------
    runs
        (method, seed, epochs) of each run.

    Returns
    -------
    str
        Columns ``method``, ``seed`` and those of ``EpochMetrics``; numbers are written so that
        reading them back gives the same float64; None is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "seed", *COLUMNS])
    for method, seed, history in runs:
        for metrics in history:
            writer.writerow([method, seed, *dataclasses.astuple(metrics)])
    return text.getvalue()
