"""Data sets of the Hugging Face library ``datasets``: on the hub, or local."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer.data.image_files import ImageFiles
from trainer.data.memory import ImageData
from trainer.data.stored import SMALL, check_labels, decode_all, one_size
from trainer.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

MARGIN = 4
# Those of "test" last: ImageNet's test images carry no labels.
VALIDATION_NAMES = ("validation", "val", "test")
LABEL_NAMES = ("fine_label", "label")


@dataclass(frozen=True)
class ColumnImages:
    """Encoded images in a column of a data set.

    Parameters
    ----------
    rows
        The data set; its image column is not decoded.
    column
        Name of that column.
    where
        How errors name the data set.
    """

    rows: Dataset = field(repr=False)
    column: str
    where: str

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self, number: int) -> str:
        """The row."""
        return f"row {number} (counted from 0) of {self.where}"

    def read(self, number: int) -> bytes:
        """The encoded image.

        Raises
        ------
        DataError
            If the row has no image, or names a file that cannot be read.
        """
        value = self.rows[number][self.column]
        if value is None:
            raise DataError(f"{self.describe(number)} has no image")
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        try:
            return Path(value["path"]).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.describe(number)}: {value['path']} cannot be read ({error.strerror})"
            ) from error

    def listing(self) -> Iterator[str]:
        """Length of each image in bytes, or the name of its file."""
        import pyarrow.compute as compute

        # By way of the columns: the images themselves are not read.
        for chunk in self.rows.with_format("arrow").data.column(self.column).chunks:
            lengths = compute.binary_length(chunk.field("bytes")).to_pylist()
            for length, path in zip(lengths, chunk.field("path").to_pylist(), strict=True):
                yield str(length) if length is not None else Path(str(path)).name


def load_huggingface(data: str, *, image_size: int, val_resize: int) -> ImageData | ImageFiles:
    """Images of a Hugging Face data set.

    Parameters
    ----------
    data
        A name on the hub, a local folder of parquet files or of images, or what
        ``save_to_disk`` wrote. Training images are those of the split "train", validation images
        those of "validation", "val" or "test", the first that there is. The image column is
        found by its type, as are the labels; of several label columns "fine_label" or "label" is
        taken.
    image_size, val_resize
        See `ImageFiles`; not used for images of one size of at most 64 pixels.

    Returns
    -------
    ImageData or ImageFiles
        Images of at most 64 pixels, which must have one size, are read into memory; training
        images get a rim of 4 zero pixels. Others are decoded when they are needed.

    Raises
    ------
    DataError
        If ``datasets`` is not installed, the data set cannot be had, or it lacks a split, an
        image column, labels or their names.
    """
    splits = _open(data)
    train, train_labels, classes = _read_split(splits, data, "train")
    name = next((name for name in VALIDATION_NAMES if name in splits), None)
    if name is None:
        raise DataError(
            f"{data} has no split for validation ({', '.join(VALIDATION_NAMES)}); "
            f"it has {', '.join(splits)}"
        )
    val, val_labels, val_classes = _read_split(splits, data, name)
    if val_classes != classes:
        raise DataError(f"{data}: train and {name} have different classes")
    origin = f"data set {Path(data).name if Path(data).exists() else data}, {name} to validate"
    size = one_size(train, val)
    if size is None or max(size) > SMALL:
        return ImageFiles(
            classes=classes,
            train=train,
            train_labels=train_labels,
            val=val,
            val_labels=val_labels,
            image_size=image_size,
            val_resize=val_resize,
            origin=origin,
        )
    return ImageData(
        classes=classes,
        train_tiles=decode_all(train, size=size, margin=MARGIN),
        train_labels=train_labels,
        val_images=decode_all(val, size=size),
        val_labels=val_labels,
        margin=MARGIN,
        padded=True,
        origin=origin,
    )


def _open(data: str) -> dict[str, Any]:
    """The splits of a data set by name."""
    try:
        import datasets
    except ImportError:
        raise DataError(
            'dataset "huggingface" needs the package datasets, which is not installed: '
            "pip install 'jpegdl[trainer]'"
        ) from None
    path = Path(data)
    if not path.exists() and (data.startswith((".", "~", "/")) or data.count("/") > 1):
        raise DataError(f"data folder {data} does not exist")
    try:
        saved = (path / "dataset_dict.json").is_file()
        opened = datasets.load_from_disk(data) if saved else datasets.load_dataset(data)
    except Exception as error:
        # The library raises errors of pyarrow, fsspec, huggingface_hub and its own alike.
        if path.exists():
            raise DataError(
                f"{data} cannot be read as a data set ({_first_line(error)}); expected parquet "
                "files or image folders with the splits in their names (train, validation), or "
                "what DatasetDict.save_to_disk wrote"
            ) from error
        raise DataError(
            f"data set {data} cannot be had from the Hugging Face hub ({_first_line(error)}). "
            "Without a network, copy it over and pass the folder: hf download --repo-type "
            f"dataset {data} --local-dir FOLDER. Data sets like ImageNet need their terms "
            "accepted on the hub and hf auth login"
        ) from error
    return dict(opened)


def _first_line(error: BaseException) -> str:
    # What the library calls an error of generation names its cause only there.
    error = error.__cause__ or error
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _read_split(
    splits: dict[str, Any], data: str, name: str
) -> tuple[ColumnImages, Tensor, tuple[str, ...]]:
    import datasets

    if name not in splits:
        raise DataError(f"{data} has no split {name}; it has {', '.join(splits)}")
    rows = splits[name]
    where = f"{data}, split {name}"
    images = [key for key, kind in rows.features.items() if isinstance(kind, datasets.Image)]
    if len(images) != 1:
        raise DataError(
            f"{where} must have one image column, has {', '.join(images) or 'none'} "
            f"among {', '.join(rows.features)}"
        )
    kinds = datasets.ClassLabel
    found = [key for key, kind in rows.features.items() if isinstance(kind, kinds)]
    chosen = found if len(found) == 1 else [key for key in LABEL_NAMES if key in found]
    if not chosen:
        raise DataError(
            f"{where} must have one column of the type ClassLabel, or one named "
            f"{' or '.join(LABEL_NAMES)}; of that type are: {', '.join(found) or 'none'}; columns: "
            f"{', '.join(rows.features)}"
        )
    classes = tuple(rows.features[chosen[0]].names)
    column = rows.with_format(None)[chosen[0]]
    labels = torch.tensor([-1 if label is None else label for label in column], dtype=torch.int64)
    check_labels(labels, classes, where=where, complete=name == "train")
    stored = rows.select_columns([images[0]]).cast_column(images[0], datasets.Image(decode=False))
    return ColumnImages(stored, images[0], where), labels, classes
