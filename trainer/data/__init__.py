"""The images of a run: the embedded pictures, folders, archives, Hugging Face data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.data.augmentation import ExtraAugmentation, extra_augmentation
from trainer.data.image_files import ImageFiles, resized
from trainer.data.memory import ImageData
from trainer.data.normalization import channel_normalization
from trainer.data.source import ImageSource
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.config import TrainConfig


def load_data(config: TrainConfig) -> ImageSource:
    """Images that a configuration asks for.

    Parameters
    ----------
    config
        ``dataset`` says what ``data`` holds; see docs/data.md.

    Raises
    ------
    DataError
        If they are missing, unreadable or do not fit together.
    """
    side = config.image_size or 224
    sides = {"image_size": side, "val_resize": config.val_resize or round(side * 8 / 7)}
    data = _load(config, sides)
    resize = config.image_size is not None and data.size != (side, side)
    if resize and isinstance(data, ImageData):
        return resized(data, **sides)
    return data


def _load(config: TrainConfig, sides: dict[str, int]) -> ImageData | ImageFiles:
    if config.dataset == "embedded" and config.data is None:
        from trainer.data.pictures import cut_pictures

        return cut_pictures(
            train_per_class=config.train_patches,
            val_per_class=config.val_patches,
            seed=config.data_seed,
        )
    if config.data is None:
        raise DataError(
            f'dataset "{config.dataset}" needs data: the path of the data set (--data PATH); '
            "docs/data.md says where to get it"
        )
    if config.dataset == "cifar100":
        from trainer.data.cifar100 import load_cifar100

        return load_cifar100(Path(config.data))
    if config.dataset == "huggingface":
        from trainer.data.huggingface import load_huggingface

        return load_huggingface(config.data, **sides)
    if config.dataset in ("embedded", "folder"):
        from trainer.data.image_folder import load_image_folder

        return load_image_folder(config.data, **sides)
    from trainer.data import fine_grained

    load = {
        "cub200": fine_grained.load_cub200,
        "dogs": fine_grained.load_dogs,
        "flowers": fine_grained.load_flowers,
        "pets": fine_grained.load_pets,
    }[config.dataset]
    return load(Path(config.data), **sides)


__all__ = [
    "ExtraAugmentation",
    "ImageData",
    "ImageFiles",
    "ImageSource",
    "channel_normalization",
    "extra_augmentation",
    "load_data",
]
