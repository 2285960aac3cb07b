"""Trains in a process of its own, on an image folder, and dies where it is told to.

``python -m tests.trainer._process FOLDER KILL_AT CONFIG``, also below
``python -m torch.distributed.run``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from torch import nn

from trainer import TrainConfig, TrainerError, train
from trainer.progress import Silent

ROOT = Path(__file__).parents[2]


def group_norm_network(classes: int) -> nn.Module:
    """Whose loss over a batch is the mean of the losses over its parts."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


class Killer(Silent):
    """Kills its own process after so many steps; 0: never."""

    def __init__(self, at: int) -> None:
        self.left = at

    def on_step(self, run: str, epoch: int, accuracy: float, speed: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def start(
    config: TrainConfig, folder: Path, *, kill_at: int = 0, processes: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run this module and wait for it."""
    launcher = [
        *("-m", "torch.distributed.run", "--standalone", "--no-python"),
        *("--nproc-per-node", str(processes), sys.executable),
    ]
    arguments = ["-m", __name__, str(folder), str(kill_at), config.to_json()]
    return subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


if __name__ == "__main__":
    folder, kill_at, text = sys.argv[1:]
    try:
        train(TrainConfig.from_json(text), folder, listener=Killer(int(kill_at)))
    except TrainerError as error:
        sys.exit(f"{type(error).__name__}: {error}")
