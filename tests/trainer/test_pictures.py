"""The embedded data set: real pictures, disjoint sides, nothing from the network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainer import DataError
from trainer._randomness import derive_seed
from trainer.data import pictures
from trainer.data.pictures import (
    GRID,
    MARGIN,
    PATCH,
    PICTURES,
    cut_pictures,
    plan_patches,
    read_picture,
    validation_mask,
)

SIDE = PATCH + 2 * MARGIN


@pytest.fixture
def fresh_pictures() -> Iterator[None]:
    """Pictures read anew within the test, and nothing of it kept."""
    read_picture.cache_clear()
    yield
    read_picture.cache_clear()


def _covered(places: np.ndarray, side: int, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    for row, column in places:
        assert row >= 0
        assert column >= 0
        patch = mask[row : row + side, column : column + side]
        assert patch.shape == (side, side), "a patch reaches out of the picture"
        patch[:] = True
    return mask


@given(
    height=st.integers(4 * SIDE, 700),
    width=st.integers(4 * SIDE, 700),
    seed=st.integers(0, 2**63 - 1),
)
def test_no_pixel_is_in_training_and_in_validation(height: int, width: int, seed: int) -> None:
    plan = plan_patches(height, width, train=40, val=20, seed=seed)
    train = _covered(plan.train, SIDE, (height, width))
    val = _covered(plan.val, PATCH, (height, width))
    assert not (train & val).any()
    assert len(np.unique(plan.train, axis=0)) == 40
    assert len(np.unique(plan.val, axis=0)) == 20


@given(seed=st.integers(0, 2**63 - 1))
def test_a_quarter_of_each_row_and_column_of_cells_is_for_validation(seed: int) -> None:
    cells = validation_mask(8 * GRID, 8 * GRID, seed=seed)[::8, ::8]
    assert cells.sum(0).tolist() == [1] * GRID
    assert cells.sum(1).tolist() == [1] * GRID


def test_patches_are_the_pixels_of_their_places_for_every_picture() -> None:
    data = cut_pictures(train_per_class=7, val_per_class=3, seed=5)
    assert len(data.classes) >= 10
    for label, name in enumerate(data.classes):
        picture = read_picture(name)
        seed = derive_seed(5, name)
        plan = plan_patches(*picture.shape[:2], train=7, val=3, seed=seed)
        assert not (
            _covered(plan.train, SIDE, picture.shape[:2])
            & _covered(plan.val, PATCH, picture.shape[:2])
        ).any()
        tiles = data.train_tiles[data.train_labels == label]
        patches = data.val_images[data.val_labels == label]
        for places, cut, side in ((plan.train, tiles, SIDE), (plan.val, patches, PATCH)):
            assert len(cut) == len(places)
            for (row, column), patch in zip(places, cut, strict=True):
                expected = picture[row : row + side, column : column + side]
                np.testing.assert_array_equal(patch.permute(1, 2, 0).numpy(), expected)


def test_same_seed_same_patches_other_seed_other_patches() -> None:
    def fingerprint(seed: int) -> str:
        return cut_pictures(train_per_class=4, val_per_class=2, seed=seed).fingerprint

    assert fingerprint(0) == fingerprint(0)
    assert fingerprint(0) != fingerprint(1)


def test_grey_pictures_repeat_their_channel_and_colour_pictures_do_not() -> None:
    brick, cat = read_picture("brick"), read_picture("cat")
    assert (brick == brick[..., :1]).all()
    assert (cat != cat[..., :1]).any()


@pytest.mark.usefixtures("fresh_pictures")
def test_nothing_is_fetched_from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    for name in PICTURES:
        assert read_picture(name).shape[2] == 3


@pytest.mark.usefixtures("fresh_pictures")
def test_without_scikit_image_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"scikit-image.*jpegdl\[trainer\]"):
        cut_pictures(train_per_class=1, val_per_class=1, seed=0)


@pytest.mark.usefixtures("fresh_pictures")
def test_a_picture_that_is_missing_or_damaged_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pictures, "picture_folder", lambda: tmp_path)
    with pytest.raises(DataError, match=r"does not carry brick\.png"):
        read_picture("brick")
    (tmp_path / "brick.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"brick\.png of scikit-image cannot be read"):
        read_picture("brick")
    Image.new("L", (4, 4), 7).save(tmp_path / "brick.png")
    assert read_picture("brick").tolist() == [[[7, 7, 7]] * 4] * 4


@pytest.mark.parametrize(("train", "val", "kind"), [(10**6, 1, "training"), (1, 10**6, "valid")])
def test_more_patches_than_places_is_an_error(train: int, val: int, kind: str) -> None:
    with pytest.raises(DataError, match=f"places for {kind}.*1000000 were asked for"):
        plan_patches(200, 200, train=train, val=val, seed=0)


def test_too_small_a_picture_is_an_error() -> None:
    with pytest.raises(DataError, match="0 places for training"):
        plan_patches(SIDE - 8, SIDE - 8, train=1, val=1, seed=0)


def test_channel_statistics_are_those_of_numpy() -> None:
    data = cut_pictures(train_per_class=2, val_per_class=1, seed=0)
    mean, std = data.channel_statistics
    pixels = data.train_tiles.numpy().astype(np.float64)
    # Rounded once from float64 to float32 on our side.
    torch.testing.assert_close(
        mean.double(), torch.from_numpy(pixels.mean((0, 2, 3))), rtol=1e-7, atol=0
    )
    torch.testing.assert_close(
        std.double(), torch.from_numpy(pixels.std((0, 2, 3))), rtol=1e-7, atol=0
    )
