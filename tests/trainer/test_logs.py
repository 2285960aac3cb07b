"""TensorBoard's events hold every epoch once, however often the run was interrupted."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import TrainConfig, TrainerError, train
from trainer.data import ImageData
from trainer.logs import TENSORBOARD_FOLDER


def _scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / TENSORBOARD_FOLDER))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_every_epoch_is_logged_once(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    pytest.importorskip("tensorboard")
    config = dataclasses.replace(config, tensorboard=True, checkpoint_steps=1)
    for step in (4, 3):
        with pytest.raises(interruption):
            train(config, tmp_path, data=data, listener=interrupt_at(step))
    result = train(config, tmp_path, data=data)
    for name in ("train_loss", "val_accuracy", "q_mean", "learning_rate"):
        logged = _scalars(tmp_path, name)
        assert [step for step, _ in logged] == [3, 6, 9]
        # TensorBoard keeps float32.
        assert [value for _, value in logged] == pytest.approx(
            [getattr(metrics, name) for metrics in result.history], rel=1e-6
        )
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 4


def test_without_the_package_the_message_names_it(
    config: TrainConfig, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = dataclasses.replace(config, tensorboard=True)
    with pytest.raises(TrainerError, match=r"needs the package tensorboard: install it"):
        train(config, tmp_path, data=data)
