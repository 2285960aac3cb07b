"""Small finished runs on a folder of images, trained once for several test modules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from trainer import TrainConfig, train

OPTIONS: dict[str, Any] = {
    "dataset": "folder",
    "epochs": 1,
    "batch_size": 8,
    "width": 2,
    "threads": 1,
}


@cache
def trained_run(images: Path, name: str, **options: Any) -> Path:
    """Folder of a run beside the images; do not change what is in it."""
    setting = "-".join(f"{key}={value}" for key, value in sorted(options.items()))
    folder = images.parent / f"runs {setting}" / name
    train(TrainConfig(data=str(images), **{**OPTIONS, **options}), folder)
    return folder
