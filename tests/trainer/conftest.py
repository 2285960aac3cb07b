"""Small images and configurations on which a run takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer import TrainConfig
from trainer.data import ImageData

CLASSES = ("blue", "green", "red")
SIZE = 16


def _images(per_class: int, seed: int, side: int) -> np.ndarray:
    """(3 * per_class, side, side, 3) uint8: noise whose mean colour tells the class, mostly."""
    rng = np.random.default_rng(seed)
    tint = np.array([[110, 110, 140], [110, 140, 110], [140, 110, 110]])
    noise = rng.normal(0.0, 40.0, (3, per_class, side, side, 3))
    pixels = np.clip(tint[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return pixels.reshape(3 * per_class, side, side, 3)


@pytest.fixture(scope="session")
def data() -> ImageData:
    """24 training and 15 validation images of 16x16 pixels, three classes."""
    margin = 4
    tiles = torch.from_numpy(_images(8, 1, SIZE + 2 * margin).transpose(0, 3, 1, 2).copy())
    images = torch.from_numpy(_images(5, 2, SIZE).transpose(0, 3, 1, 2).copy())
    return ImageData(
        classes=CLASSES,
        train_tiles=tiles,
        train_labels=torch.arange(3).repeat_interleave(8),
        val_images=images,
        val_labels=torch.arange(3).repeat_interleave(5),
        margin=margin,
        origin="made in tests/trainer",
    )


@pytest.fixture
def config() -> TrainConfig:
    """Three epochs of three steps each."""
    return TrainConfig(epochs=3, batch_size=8, width=2, threads=1)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of PNG files in the layout of ``--data``; copy it before changing it."""
    root = tmp_path_factory.mktemp("data") / "images"
    for split, per_class, seed in (("train", 8, 3), ("val", 5, 4)):
        pixels = _images(per_class, seed, SIZE).reshape(3, per_class, SIZE, SIZE, 3)
        for name, group in zip(CLASSES, pixels, strict=True):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number, image in enumerate(group):
                Image.fromarray(image).save(folder / f"{number}.png")
    return root


class Interruption(BaseException):
    """Stands for Ctrl-C: nothing in the trainer catches it."""


class Saboteur:
    """A listener that interrupts the run at a chosen call of ``on_step``."""

    def __init__(self, at: int) -> None:
        self.left = at

    def on_message(self, text: str) -> None:
        pass

    def on_measure(self, run: str, done: int, total: int | None) -> None:
        pass

    def on_step(self, run: str, epoch: int, accuracy: float, speed: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interruption

    def on_epoch(self, run: str, epochs: int, metrics: object) -> None:
        pass


@pytest.fixture
def interrupt_at() -> Callable[[int], Saboteur]:
    """Listener that raises ``Interruption`` at the given step."""
    return Saboteur


@pytest.fixture
def interruption() -> type[BaseException]:
    return Interruption
