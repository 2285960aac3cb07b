"""Batches: crops from inside the tiles, as a pure function of seed and step; image folders."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer import DataError
from trainer.data import ImageData
from trainer.data.image_folder import load_image_folder


def _draws_of(tile: torch.Tensor, crop: torch.Tensor, span: int) -> list[tuple[int, int, bool]]:
    """All (top, left, flip) for which ``crop`` is that part of ``tile``."""
    height, width = crop.shape[-2:]
    found = []
    for top in range(span):
        for left in range(span):
            part = tile[:, top : top + height, left : left + width]
            found += [(top, left, False)] if torch.equal(part, crop) else []
            found += [(top, left, True)] if torch.equal(part.flip(-1), crop) else []
    return found


def test_crops_lie_inside_their_tiles_and_reach_every_shift_and_flip(data: ImageData) -> None:
    span = 2 * data.margin + 1
    draws = set()
    for step in range(40):
        index = torch.randperm(24, generator=torch.Generator().manual_seed(step))
        batch = data.train_batch(index, seed=0, step=step, augment=True)
        for tile, crop in zip(data.train_tiles[index], batch, strict=True):
            (draw,) = _draws_of(tile, crop, span)
            draws.add(draw)
    assert {top for top, _, _ in draws} == set(range(span))
    assert {left for _, left, _ in draws} == set(range(span))
    assert {flip for _, _, flip in draws} == {False, True}


def test_augmentation_is_a_function_of_seed_and_step_alone(data: ImageData) -> None:
    index = torch.arange(24)
    once = data.train_batch(index, seed=3, step=7, augment=True)
    torch.manual_seed(99)  # what happens elsewhere must not matter
    data.train_batch(index, seed=3, step=6, augment=True)
    assert torch.equal(once, data.train_batch(index, seed=3, step=7, augment=True))
    assert not torch.equal(once, data.train_batch(index, seed=3, step=8, augment=True))
    assert not torch.equal(once, data.train_batch(index, seed=4, step=7, augment=True))


def test_without_augmentation_the_middle_of_the_tile_is_taken(data: ImageData) -> None:
    batch = data.train_batch(torch.tensor([5, 2]), seed=0, step=0, augment=False)
    assert torch.equal(batch, data.train_tiles[[5, 2], :, 4:-4, 4:-4])
    assert batch.dtype == torch.uint8


def test_fingerprint_sees_pixels_labels_and_names(data: ImageData) -> None:
    tiles, labels = data.train_tiles.clone(), data.val_labels.clone()
    tiles[0, 0, 0, 0] ^= 1
    labels[0] ^= 1
    others = [
        dataclasses.replace(data, train_tiles=tiles),
        dataclasses.replace(data, val_labels=labels),
        dataclasses.replace(data, classes=("a", "b", "c")),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_image_folder_holds_every_pixel_under_its_label(image_folder: Path) -> None:
    data = load_image_folder(image_folder)
    assert data.classes == ("blue", "green", "red")
    assert data.size == (16, 16)
    for label, name in enumerate(data.classes):
        tiles = data.train_tiles[data.train_labels == label]
        assert len(tiles) == 8
        patches = data.val_images[data.val_labels == label]
        assert len(patches) == 5
        for number, tile in enumerate(tiles):
            pixels = np.array(Image.open(image_folder / "train" / name / f"{number}.png"))
            np.testing.assert_array_equal(tile[:, 4:-4, 4:-4].permute(1, 2, 0), pixels)
            assert torch.equal(tile[:, 0, 4:-4], tile[:, 4, 4:-4]), "the rim repeats the edge"
        for number, patch in enumerate(patches):
            pixels = np.array(Image.open(image_folder / "val" / name / f"{number}.png"))
            np.testing.assert_array_equal(patch.permute(1, 2, 0), pixels)


@pytest.fixture
def own_folder(image_folder: Path, tmp_path: Path) -> Path:
    """A copy of the image folder to spoil."""
    shutil.copytree(image_folder, tmp_path / "images")
    return tmp_path / "images"


def test_grey_files_become_rgb(own_folder: Path) -> None:
    Image.new("L", (16, 16), 9).save(own_folder / "val" / "blue" / "0.png")
    assert load_image_folder(own_folder).val_images[0].unique().tolist() == [9]


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


FOLDER_FAULTS = {
    "no root": (shutil.rmtree, r"images does not exist; expected root/train/<class>"),
    "no val": (lambda root: shutil.rmtree(root / "val"), r"val does not exist"),
    "no classes": (
        lambda root: [shutil.rmtree(folder) for folder in (root / "train").iterdir()],
        r"train has no class folders",
    ),
    "class mismatch": (
        lambda root: (root / "val" / "red").rename(root / "val" / "pink"),
        r"only in train: \['red'\], only in val: \['pink'\]",
    ),
    "one class": (
        lambda root: [
            shutil.rmtree(root / split / name)
            for split in ("train", "val")
            for name in ("blue", "red")
        ],
        r"has one class only \(green\)",
    ),
    "empty class": (
        lambda root: [path.unlink() for path in (root / "val" / "red").iterdir()],
        r"val/red has no images",
    ),
    "no image": (
        lambda root: (root / "train" / "red" / "3.png").write_text("hello"),
        r"train/red/3\.png cannot be read as an image.*replace or remove",
    ),
    "cut off": (
        lambda root: _cut_off(root / "train" / "red" / "3.png"),
        r"train/red/3\.png cannot be read as an image",
    ),
    "size within": (
        lambda root: Image.new("RGB", (16, 15)).save(root / "train" / "red" / "3.png"),
        r"3\.png is 15x16 pixels, the first training image 16x16; resize",
    ),
    "size between": (
        lambda root: [
            Image.new("RGB", (8, 8)).save(path) for path in (root / "val").rglob("*.png")
        ],
        r"val/blue/0\.png is 8x8 pixels, the first training image 16x16",
    ),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_a_faulty_image_folder_is_named(fault: str, own_folder: Path) -> None:
    spoil, message = FOLDER_FAULTS[fault]
    load_image_folder(own_folder)  # sound before
    spoil(own_folder)
    with pytest.raises(DataError, match=message):
        load_image_folder(own_folder)
