"""Images in files: crops against Pillow, the distribution of boxes, folders of photographs."""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.trainer import _archives as made
from trainer import DataError, TrainConfig
from trainer._randomness import generator
from trainer.data import ImageData, ImageFiles, load_data
from trainer.data.crops import middle_crop, random_box, random_crop
from trainer.data.image_folder import load_image_folder
from trainer.data.normalization import channel_normalization
from trainer.data.stored import spread

SIDES = st.integers(1, 900)


@given(width=SIDES, height=SIDES, seed=st.integers(0, 2**32))
def test_boxes_lie_inside_and_have_the_allowed_shape(width: int, height: int, seed: int) -> None:
    left, top, right, bottom = random_box(width, height, generator(seed))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    w, h = right - left, bottom - top
    # Both sides are rounded to whole pixels: half a pixel each way.
    assert (w - 0.5) / (h + 0.5) <= 4 / 3
    assert (w + 0.5) / (h - 0.5) >= 3 / 4
    if width <= 2 * height <= 4 * width:  # else the fallback may have had to cut less
        assert (w + 0.5) * (h + 0.5) >= 0.08 * width * height


@given(seed=st.integers(0, 2**32))
def test_long_images_fall_back_to_the_largest_box_in_the_middle(seed: int) -> None:
    # Ten tries fail for 1 in 50: the smallest area is 0.08 * 50 = 4 > 4/3 of the height squared.
    assert random_box(500, 10, generator(seed)) == (243, 0, 256, 10)
    assert random_box(9, 900, generator(seed)) == (0, 444, 9, 456)


def test_areas_ratios_and_places_are_spread_as_they_should() -> None:
    boxes = np.array([random_box(1000, 1000, generator("boxes", n)) for n in range(4000)])
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = w * h / 1e6, np.log(w / h)
    # Where the first try always fits (area below 9/16 * ...): uniform area, uniform log ratio.
    small = area < 0.7
    quarters = np.histogram(area[small], bins=4, range=(0.08, 0.7))[0] / small.sum()
    # 4,000 draws: the standard deviation of a quarter is sqrt(0.25 * 0.75 / 2700) = 0.0083;
    # four of them, with fixed seeds.
    np.testing.assert_allclose(quarters, 0.25, atol=0.034)
    quarters = np.histogram(ratio[small], bins=4, range=(math.log(3 / 4), math.log(4 / 3)))[0]
    np.testing.assert_allclose(quarters / small.sum(), 0.25, atol=0.034)
    for start, free in ((boxes[:, 0], 1000 - w), (boxes[:, 1], 1000 - h)):
        place = (start[free > 20] + 0.5) / (free[free > 20] + 1)
        quarters = np.histogram(place, bins=4, range=(0, 1))[0] / len(place)
        # At most 1/20 falls on a border between quarters and may go either way, besides chance.
        np.testing.assert_allclose(quarters, 0.25, atol=0.05)


def test_a_random_crop_is_pillows_resize_of_the_cut_box() -> None:
    picture = Image.fromarray(made.pixels(3, 120, 90))
    flips = set()
    for number in range(30):
        box = random_box(120, 90, generator(number))
        found = np.array(random_crop(picture, 24, generator(number)))
        cut = Image.fromarray(np.array(picture)[box[1] : box[3], box[0] : box[2]])
        expected = np.array(cut.resize((24, 24), Image.Resampling.BILINEAR))
        flip = not np.array_equal(found, expected)
        np.testing.assert_array_equal(found, expected[:, ::-1] if flip else expected)
        flips.add(flip)
    assert flips == {False, True}


@pytest.mark.parametrize(("width", "height"), [(120, 90), (90, 120), (64, 64), (200, 33)])
def test_the_middle_crop_is_pillows_with_the_shorter_side_resized(width: int, height: int) -> None:
    picture = Image.fromarray(made.pixels(4, width, height))
    found = middle_crop(picture, 24, 32)
    scale = 32 / min(width, height)
    w, h = int(width * scale), int(height * scale)
    resized = np.array(picture.resize((w, h), Image.Resampling.BILINEAR))
    top, left = round((h - 24) / 2), round((w - 24) / 2)
    np.testing.assert_array_equal(found, resized[top : top + 24, left : left + 24])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageNet-like folder: JPEG files of different sizes."""
    root = tmp_path_factory.mktemp("photographs") / "pictures"
    for split, count in (("train", 4), ("val", 3)):
        for label, name in enumerate(("n01", "n02")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for place in range(count):
                number = 10 * label + place + 100 * (split == "val")
                picture = made.jpeg(number, 80 + 7 * place, 90 - 5 * place)
                (folder / f"{name}_{place}.JPEG").write_bytes(picture)
    return root


@pytest.fixture(scope="module")
def files(photographs: Path) -> ImageFiles:
    data = load_data(
        TrainConfig(dataset="folder", data=str(photographs), image_size=24, val_resize=32)
    )
    assert isinstance(data, ImageFiles)
    return data


def test_a_folder_of_different_sizes_stays_in_its_files(
    files: ImageFiles, photographs: Path
) -> None:
    assert files.classes == ("n01", "n02")
    assert files.train_labels.tolist() == [0] * 4 + [1] * 4
    assert files.val_labels.tolist() == [0] * 3 + [1] * 3
    assert files.val_batch(torch.arange(6)).shape == (6, 3, 24, 24)
    with Image.open(photographs / "val" / "n02" / "n02_1.JPEG") as picture:
        expected = np.array(middle_crop(picture.convert("RGB"), 24, 32))
    np.testing.assert_array_equal(files.val_batch(torch.tensor([4]))[0].permute(1, 2, 0), expected)


def test_training_crops_are_a_function_of_seed_step_and_position(files: ImageFiles) -> None:
    index = torch.tensor([6, 1, 6, 3])
    once = files.train_batch(index, seed=1, step=2, augment=True)
    torch.manual_seed(99)  # what happens elsewhere must not matter
    assert torch.equal(once, files.train_batch(index, seed=1, step=2, augment=True))
    assert not torch.equal(once[0], once[2]), "the same image, another position"
    for other in ({"seed": 2, "step": 2}, {"seed": 1, "step": 3}):
        changed = files.train_batch(index, **other, augment=True)
        assert all(not torch.equal(a, b) for a, b in zip(once, changed, strict=True))
    # Neither the length of the batch nor its other images matter.
    longer = torch.tensor([0, 1, 2, 3, 4, 5])
    assert torch.equal(files.train_batch(longer, seed=1, step=2, augment=True)[3], once[3])
    whole = files.train_batch(index, seed=1, step=2, augment=True)
    assert torch.equal(
        files.train_batch(index, seed=1, step=2, augment=True, part=slice(1, 3)), whole[1:3]
    )


def test_without_augmentation_training_images_are_cut_as_in_validation(files: ImageFiles) -> None:
    index = torch.tensor([5])
    once = files.train_batch(index, seed=1, step=2, augment=False)
    assert torch.equal(once, files.train_batch(index, seed=8, step=9, augment=False))
    swapped = dataclasses.replace(
        files,
        train=files.val,
        train_labels=files.val_labels,
        val=files.train,
        val_labels=files.train_labels,
    )
    assert torch.equal(once, swapped.val_batch(index))


def test_statistics_of_files_are_those_of_their_middle_crops(files: ImageFiles) -> None:
    mean, std = files.channel_statistics
    pixels = files.train_batch(torch.arange(8), seed=0, step=0, augment=False).numpy()
    # Rounded once from float64 to float32 on our side.
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3), dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3), dtype=np.float64), rtol=1e-7)
    assert mean.dtype == std.dtype == torch.float32


@given(count=st.integers(1, 10**6), most=st.integers(1, 2000))
def test_images_for_statistics_are_spread_evenly(count: int, most: int) -> None:
    numbers = spread(count, most)
    assert len(numbers) == min(count, most)
    assert numbers[0] == 0
    gaps = np.diff([*numbers, count])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_fingerprint_of_files_sees_names_sizes_labels_and_splits(files: ImageFiles) -> None:
    def names(**changes: object) -> ImageFiles:
        return dataclasses.replace(files, train=dataclasses.replace(files.train, **changes))

    first, second, *rest = files.train.names
    labels = files.val_labels.clone()
    labels[0] = 1
    others = [
        names(names=(second, first, *rest)),
        names(names=(second, second, *rest)),
        dataclasses.replace(files, val_labels=labels),
        dataclasses.replace(files, classes=("n01", "n03")),
    ]
    assert len({files.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert pickle.loads(pickle.dumps(files)).fingerprint == files.fingerprint  # noqa: S301


def test_other_formats_and_colour_modes_become_rgb(photographs: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "pictures"
    shutil.copytree(photographs, root)
    Image.new("CMYK", (50, 40), (0, 255, 255, 0)).save(root / "train" / "n01" / "n01_0.JPEG")
    Image.new("L", (50, 40), 7).save(root / "train" / "n01" / "n01_1.JPEG")
    stream = io.BytesIO()
    Image.new("RGBA", (50, 40), (9, 8, 7, 0)).save(stream, "PNG")
    (root / "train" / "n01" / "n01_2.JPEG").write_bytes(stream.getvalue())
    data = load_image_folder(root, image_size=24, val_resize=32)
    assert isinstance(data, ImageFiles)
    batch = data.train_batch(torch.arange(3), seed=0, step=0, augment=True)
    red = batch[0].float().mean((1, 2))
    assert red[0] > 250
    assert red[1:].max() < 5
    assert batch[1].unique().tolist() == [7]
    assert batch[2].flatten(1).unique(dim=1).flatten().tolist() == [9, 8, 7]


def test_a_folder_of_one_size_is_held_in_memory_while_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(made.pixels(1, 80, 70)).save(tmp_path / split / name / "0.png")
    data = load_image_folder(tmp_path, image_size=24, val_resize=32)
    assert isinstance(data, ImageData)
    assert data.size == (70, 80)
    monkeypatch.setattr("trainer.data.image_folder.MEMORY_LIMIT", 4 * 3 * 80 * 70 - 1)
    data = load_image_folder(tmp_path, image_size=24, val_resize=32)
    assert isinstance(data, ImageFiles)


def test_a_file_that_cannot_be_read_is_named(photographs: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "pictures"
    shutil.copytree(photographs, root)
    data = load_image_folder(root, image_size=24, val_resize=32)
    broken = root / "train" / "n02" / "n02_3.JPEG"
    made.cut_off(broken)
    with pytest.raises(DataError, match=r"train/n02/n02_3\.JPEG cannot be read as an image"):
        data.train_batch(torch.tensor([0, 7]), seed=0, step=0, augment=True)
    broken.unlink()
    with pytest.raises(DataError, match=r"n02_3\.JPEG cannot be read \(No such file"):
        data.train_batch(torch.tensor([7]), seed=0, step=0, augment=True)


def test_sizes_and_labels_that_do_not_fit_are_errors(files: ImageFiles) -> None:
    with pytest.raises(ValueError, match="val_resize must be at least image_size = 24, got 23"):
        dataclasses.replace(files, val_resize=23)
    with pytest.raises(ValueError, match="8 images with 7 labels"):
        dataclasses.replace(files, train_labels=files.train_labels[1:])


def test_normalization_takes_the_data_or_the_constants(files: ImageFiles) -> None:
    def normalization(name: str) -> tuple[list[float], list[float]]:
        mean, std = channel_normalization(TrainConfig(normalization=name), files)
        assert mean.dtype == std.dtype == torch.float32
        return mean.tolist(), std.tolist()

    assert normalization("data") == tuple(part.tolist() for part in files.channel_statistics)
    # float32 has a relative precision of 6e-8; 255 times three or four digits.
    for name, mean, std in (
        ("cifar100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ):
        found_mean, found_std = normalization(name)
        assert found_mean == pytest.approx([255 * value for value in mean], rel=2e-7)
        assert found_std == pytest.approx([255 * value for value in std], rel=2e-7)
