"""Hugging Face data sets from local files that the tests write; nothing from the network."""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer import _archives as made
from trainer import DataError, TrainConfig
from trainer.data import ImageData, ImageFiles, ImageSource, load_data
from trainer.data.crops import middle_crop

datasets = pytest.importorskip("datasets")

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(autouse=True)
def _offline_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def load(data: Path | str, side: int | None = None) -> ImageSource:
    return load_data(TrainConfig(dataset="huggingface", data=str(data), image_size=side))


def png(number: int, width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(made.pixels(number, width, height)).save(stream, "PNG")
    return stream.getvalue()


def rows(
    numbers: list[int],
    *,
    size: tuple[int, int] = (32, 32),
    labels: dict[str, list[str]] | None = None,
    values: list[int | None] | None = None,
    grow: int = 0,
    drop: tuple[str, ...] = (),
) -> Any:
    """A split; picture ``n`` has label n mod 3, and ``n * grow`` more columns."""
    names = labels or {"label": CLASSES}
    width, height = size
    content: dict[str, list[Any]] = {
        "img": [{"bytes": png(n, width + grow * n, height), "path": None} for n in numbers],
        "note": [f"picture {n}" for n in numbers],
    }
    features: dict[str, Any] = {"img": datasets.Image(), "note": datasets.Value("string")}
    for name, classes in names.items():
        content[name] = values or [n % len(classes) for n in numbers]
        features[name] = datasets.ClassLabel(names=classes)
    split = datasets.Dataset.from_dict(content, features=datasets.Features(features))
    return split.remove_columns(list(drop))


def write(folder: Path, **splits: Any) -> Path:
    """Parquet files as on the hub."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        split.to_parquet(str(folder / "data" / f"{name}-00000-of-00001.parquet"))
    return folder


def test_small_images_from_parquet_are_held_in_memory(tmp_path: Path) -> None:
    data = load(write(tmp_path / "tiny", train=rows(list(range(9))), test=rows([10, 11, 12, 13])))
    assert isinstance(data, ImageData)
    assert data.classes == tuple(CLASSES)
    assert data.train_labels.tolist() == [0, 1, 2] * 3
    assert data.val_labels.tolist() == [1, 2, 0, 1]
    for number in range(9):
        tile = data.train_tiles[number, :, 4:-4, 4:-4].permute(1, 2, 0)
        np.testing.assert_array_equal(tile, made.pixels(number, 32, 32))
    for place, number in enumerate((10, 11, 12, 13)):
        np.testing.assert_array_equal(
            data.val_images[place].permute(1, 2, 0), made.pixels(number, 32, 32)
        )
    assert not data.train_tiles[:, :, :4].any()
    inside = data.train_tiles[:, :, 4:-4, 4:-4].numpy()
    # Rounded once from float64 to float32; the rim of zeros does not count.
    np.testing.assert_allclose(
        data.channel_statistics[0], inside.mean((0, 2, 3), dtype=np.float64), rtol=1e-7
    )


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write(
        tmp_path / "photographs",
        train=rows(list(range(6)), size=(80, 70), grow=3),
        validation=rows([6, 7, 8], size=(80, 70), grow=3),
        test=rows([9, 10, 11], size=(80, 70), values=[-1, -1, -1]),
    )


def test_larger_images_are_decoded_when_needed_and_validation_comes_before_test(
    photographs: Path,
) -> None:
    data = load(photographs, 28)
    assert isinstance(data, ImageFiles)
    assert data.val_labels.tolist() == [0, 1, 2]
    for place, number in enumerate((6, 7, 8)):
        expected = middle_crop(Image.fromarray(made.pixels(number, 80 + 3 * number, 70)), 28, 32)
        found = data.val_batch(torch.tensor([place]))[0].permute(1, 2, 0)
        np.testing.assert_array_equal(found, np.array(expected))
    index = torch.tensor([5, 0, 3, 3])
    whole = data.train_batch(index, seed=1, step=2, augment=True)
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301 - written a moment ago
    for part in (slice(0, 2), slice(2, 4), slice(1, None, 2)):
        found = copy.train_batch(index, seed=1, step=2, augment=True, part=part)
        assert torch.equal(found, whole[part])
    assert copy.fingerprint == data.fingerprint


def test_all_forms_hold_the_same(photographs: Path, tmp_path: Path) -> None:
    data = load(photographs)
    saved = datasets.load_dataset(str(photographs))
    saved.save_to_disk(str(tmp_path / "saved"))
    assert load(tmp_path / "saved").fingerprint == data.fingerprint
    # As a folder of images, whose classes are the names of the folders.
    for split, numbers in (("train", range(6)), ("validation", (6, 7, 8))):
        for number in numbers:
            folder = tmp_path / "images" / split / CLASSES[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.png").write_bytes(png(number, 80 + 3 * number, 70))
    folder_data = load(tmp_path / "images")
    assert isinstance(folder_data, ImageFiles)
    assert folder_data.classes == data.classes
    everything = torch.arange(6)
    draw = {"seed": 0, "step": 0, "augment": False}
    order = folder_data.train_labels.argsort(stable=True)
    by_class = data.train_labels.argsort(stable=True)
    assert torch.equal(
        folder_data.train_batch(everything[order], **draw),
        data.train_batch(everything[by_class], **draw),
    )


def test_fingerprint_sees_labels_and_images(tmp_path: Path) -> None:
    def fingerprint(name: str, **options: Any) -> str:
        train = rows(list(range(6)), size=(80, 70), **options)
        return load(write(tmp_path / name, train=train, val=rows([1], size=(80, 70)))).fingerprint

    found = [
        fingerprint("a"),
        fingerprint("b", grow=1),
        fingerprint("c", values=[0, 1, 2, 0, 2, 1]),
        fingerprint("d"),
    ]
    assert found[0] == found[3]
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ({"coarse_label": ["x"], "fine_label": CLASSES}, CLASSES),
        ({"label": CLASSES, "family": ["x", "y"]}, CLASSES),
        ({"species": CLASSES}, CLASSES),
    ],
)
def test_the_label_column_is_found(
    labels: dict[str, list[str]], chosen: list[str], tmp_path: Path
) -> None:
    train, val = rows(list(range(6)), labels=labels), rows([1, 2], labels=labels)
    assert load(write(tmp_path / "set", train=train, val=val)).classes == tuple(chosen)


SIX = list(range(6))
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "labels": (
        {"both": {"labels": {"kind": CLASSES, "family": CLASSES}}},
        r"split train must have one column of the type ClassLabel.*of that type are: kind, family",
    ),
    "no labels": ({"both": {"drop": ("label",)}}, r"of that type are: none; columns: img, note"),
    "no image": ({"both": {"drop": ("img",)}}, r"must have one image column, has none among"),
    "unlabelled": (
        {"validation": {"values": [-1] * 6}},
        r"split validation: image 0 .* has label -1, which is not in 0 to 2",
    ),
    "missing label": ({"train": {"values": [0, 1, None, 2, 0, 1]}}, r"image 2 .* has label -1"),
    "class without images": (
        {"train": {"values": [0, 1, 0, 1, 0, 1]}},
        r"split train: 1 of 3 classes have no images, such as owl",
    ),
    "sizes": (
        {"validation": {"size": (31, 32)}},
        r"row 0 .* of .*split validation is 32x31 pixels, the first training image 32x32",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_data_set_is_named(fault: str, tmp_path: Path) -> None:
    options, message = FAULTS[fault]
    both = options.get("both", {})
    train = rows(SIX, **both, **options.get("train", {}))
    val = rows(SIX, **both, **options.get("validation", {}))
    folder = write(tmp_path / "set", train=train, validation=val)
    with pytest.raises(DataError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


def test_splits_with_different_classes_are_named(tmp_path: Path) -> None:
    # Of parquet files the library itself makes one set of columns.
    val = rows(SIX, labels={"label": ["cat", "dog", "fox"]})
    splits = datasets.DatasetDict({"train": rows(SIX), "validation": val})
    splits.save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="saved: train and validation have different classes"):
        load(tmp_path / "saved")
    write(tmp_path / "set", train=rows(SIX, drop=("label",)), val=rows(SIX))
    with pytest.raises(DataError, match=r"set cannot be read as a data set \(CastError"):
        load(tmp_path / "set")


def test_missing_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no split for validation.*it has train$"):
        load(write(tmp_path / "a", train=rows(SIX)))
    with pytest.raises(DataError, match=r"has no split train; it has test$"):
        load(write(tmp_path / "b", test=rows(SIX)))


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    train = rows(SIX, size=(80, 70)).cast_column("img", datasets.Image(decode=False))
    spoilt = [dict(value) for value in train["img"]]
    spoilt[3]["bytes"] = spoilt[3]["bytes"][:300]
    features = rows(SIX).features
    train = datasets.Dataset.from_dict({**train.to_dict(), "img": spoilt}, features=features)
    with pytest.raises(DataError, match=r"row 3 .* of .*split train cannot be read as an image"):
        load(write(tmp_path / "a", train=train, val=rows(SIX, size=(80, 70)))).train_batch(
            torch.arange(6), seed=0, step=0, augment=True
        )
    gone = datasets.Dataset.from_dict({**train.to_dict(), "img": [None] * 6}, features=features)
    with pytest.raises(DataError, match=r"row 0 .* of .*split train has no image"):
        load(write(tmp_path / "b", train=gone, val=rows(SIX)))


def test_image_files_that_vanish_are_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(3):
            folder = tmp_path / "images" / split / CLASSES[number]
            folder.mkdir(parents=True)
            (folder / f"{number}.png").write_bytes(png(number, 80, 70))
    data = load(tmp_path / "images")
    (tmp_path / "images" / "train" / "dog" / "1.png").unlink()
    assert len(data.fingerprint) == 64
    with pytest.raises(DataError, match=r"dog/1\.png cannot be read \(No such file"):
        data.train_batch(torch.arange(3), seed=0, step=0, augment=True)


def test_without_a_network_the_error_says_how_to_get_the_data() -> None:
    with pytest.raises(
        DataError,
        match=r"nobody/no-such-set cannot be had.*hf download --repo-type dataset nobody/no-such",
    ):
        load("nobody/no-such-set")


@pytest.mark.parametrize("data", ["./nowhere", "/no/where/at/all", "a/b/c"])
def test_a_folder_that_does_not_exist_is_not_looked_for_on_the_hub(data: str) -> None:
    with pytest.raises(DataError, match=f"data folder {data} does not exist"):
        load(data)


def test_damaged_parquet_files_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", train=rows(SIX), validation=rows([1, 2]))
    made.cut_off(folder / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"set cannot be read as a data set.*expected parquet"):
        load(folder)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs the package datasets.*jpegdl\[trainer\]"):
        load("uoft-cs/cifar100")
