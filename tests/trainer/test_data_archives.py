"""Official archives, packed and extracted: every image under its label and in its split."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer import _archives as made
from trainer import DataError, TrainConfig
from trainer.data import ImageData, ImageFiles, ImageSource, load_data
from trainer.data.image_files import resized

FINE = {
    "cub200": made.CUB_CLASSES,
    "dogs": made.BREEDS,
    "flowers": ("flower 1", "flower 2", "flower 3"),
    "pets": made.PET_NAMES,
}


def load(name: str, data: Path) -> ImageSource:
    sides = {} if name == "cifar100" else {"image_size": 24, "val_resize": 32}
    return load_data(TrainConfig(dataset=name, data=str(data), **sides))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with the archives of each data set."""
    root = tmp_path_factory.mktemp("official")
    for name in ("cifar100", *FINE):
        made.write_all(root / name, name)
    return {name: root / name for name in ("cifar100", *FINE)}


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_cifar100_gives_every_image_its_fine_label_and_a_rim_of_zeros(
    archives: dict[str, Path],
) -> None:
    data = load("cifar100", archives["cifar100"])
    assert isinstance(data, ImageData)
    assert data.classes == made.CIFAR_CLASSES
    assert data.size == (32, 32)
    _, train, train_labels = made.cifar_records(20, 1)
    _, val, val_labels = made.cifar_records(10, 2)
    np.testing.assert_array_equal(data.train_tiles[:, :, 4:-4, 4:-4], train)
    np.testing.assert_array_equal(data.train_labels, train_labels)
    np.testing.assert_array_equal(data.val_images, val)
    np.testing.assert_array_equal(data.val_labels, val_labels)
    rim = torch.ones(40, 40, dtype=torch.bool)
    rim[4:-4, 4:-4] = False
    assert not data.train_tiles[:, :, rim].any()
    assert data.train_tiles.shape == (20, 3, 40, 40)


def test_statistics_of_cifar100_leave_the_rim_out(archives: dict[str, Path]) -> None:
    mean, std = load("cifar100", archives["cifar100"]).channel_statistics
    pixels = made.cifar_records(20, 1)[1].astype(np.float64)
    # Rounded once from float64 to float32 on our side: half of 2^-23.
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-7)


@pytest.mark.parametrize("form", ["archive", "extracted", "inside", "plain tar"])
def test_cifar100_is_the_same_in_every_form(
    form: str, archives: dict[str, Path], tmp_path: Path
) -> None:
    archive = archives["cifar100"] / "cifar-100-binary.tar.gz"
    place = {"archive": archive, "inside": tmp_path / "cifar-100-binary"}.get(form, tmp_path)
    if form in ("extracted", "inside"):
        made.unpack(archive, tmp_path)
    elif form == "plain tar":
        made.ungzip(archive, tmp_path / "cifar-100-binary.tar")
    assert load("cifar100", place).fingerprint == load("cifar100", archive).fingerprint


@pytest.fixture(scope="module")
def encoded() -> dict[str, dict[str, bytes]]:
    """Image files of each fine-grained data set by their name in the archive."""
    cub = {
        name.removeprefix("CUB_200_2011/"): content for name, content in made.cub_files().items()
    }
    return {
        "cub200": cub,
        "dogs": made.dog_files()[0],
        "flowers": made.flower_files()[0],
        "pets": made.pet_files()[0],
    }


def reference_crop(content: bytes) -> np.ndarray:
    """Shorter side to 32, middle 24x24: 60x45 pixels become 42x32."""
    with Image.open(io.BytesIO(content)) as image:
        resized = image.convert("RGB").resize((42, 32), Image.Resampling.BILINEAR)
    return np.array(resized)[4:28, 9:33]


@pytest.mark.parametrize("name", FINE)
def test_every_image_is_under_its_label_and_in_its_split(
    name: str, archives: dict[str, Path], encoded: dict[str, dict[str, bytes]]
) -> None:
    before = listing(archives[name])
    data = load(name, archives[name])
    assert isinstance(data, ImageFiles)
    assert data.classes == FINE[name]
    assert data.size == (24, 24)
    expected: dict[str, list[tuple[int, bytes]]] = {"train": [], "test": []}
    files = [file for file in encoded[name] if file.endswith(".jpg")]
    each = len(files) // 3
    for number, file in enumerate(files):
        label, place = divmod(number, each)
        if place < made.TRAIN:
            expected["train"].append((label, encoded[name][file]))
        elif place >= each - made.TEST:
            expected["test"].append((label, encoded[name][file]))
    for split, labels in (("train", data.train_labels), ("test", data.val_labels)):
        assert labels.tolist() == [label for label, _ in expected[split]]
        index = torch.arange(len(labels))
        if split == "train":
            batch = data.train_batch(index, seed=0, step=0, augment=False)
        else:
            batch = data.val_batch(index)
        for image, (_, content) in zip(batch, expected[split], strict=True):
            np.testing.assert_array_equal(image.permute(1, 2, 0), reference_crop(content))
    assert listing(archives[name]) == before, "nothing is written beside the archives"


@pytest.mark.parametrize("name", FINE)
def test_extracted_and_packed_are_the_same_data(
    name: str, archives: dict[str, Path], tmp_path: Path
) -> None:
    packed = load(name, archives[name])
    for path in archives[name].iterdir():
        if path.suffix == ".mat":
            (tmp_path / path.name).write_bytes(path.read_bytes())
        else:
            made.unpack(path, tmp_path)
    extracted = load(name, tmp_path)
    assert extracted.fingerprint == packed.fingerprint
    index = torch.tensor([4, 0, 7, 2])
    draw = {"seed": 5, "step": 3, "augment": True}
    assert torch.equal(extracted.train_batch(index, **draw), packed.train_batch(index, **draw))


@pytest.mark.parametrize("name", ["cifar100", *FINE])
def test_a_part_of_a_batch_is_that_part_and_sources_can_be_pickled(
    name: str, archives: dict[str, Path]
) -> None:
    data = load(name, archives[name])
    index = torch.tensor([3, 1, 8, 0, 8, 5])
    draw = {"seed": 2, "step": 11, "augment": True}
    whole = data.train_batch(index, **draw)
    assert whole.dtype == torch.uint8
    assert whole.shape == (6, 3, *data.size)
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301 - written a moment ago
    for part in (slice(0, 3), slice(3, 6), slice(2, 3), slice(1, None, 2), slice(0, 0)):
        assert torch.equal(data.train_batch(index, **draw, part=part), whole[part])
        assert torch.equal(copy.train_batch(index, **draw, part=part), whole[part])
    assert copy.fingerprint == data.fingerprint
    assert torch.equal(copy.val_batch(index % 6), data.val_batch(index % 6))


@pytest.mark.parametrize(
    ("name", "archive", "files"),
    [
        ("cub200", "CUB_200_2011.tgz", made.cub_files),
        ("dogs", "images.tar", lambda: made.dog_files()[0]),
    ],
)
def test_fingerprint_sees_another_file(
    name: str,
    archive: str,
    files: Callable[[], dict[str, bytes]],
    archives: dict[str, Path],
    tmp_path: Path,
) -> None:
    made.write_all(tmp_path, name)
    assert load(name, tmp_path).fingerprint == load(name, archives[name]).fingerprint
    changed = files()
    first = next(file for file in changed if file.endswith(".jpg"))
    changed[first] = made.jpeg(99)
    made.pack(tmp_path / archive, changed)
    assert load(name, tmp_path).fingerprint != load(name, archives[name]).fingerprint


def test_an_archive_itself_may_be_passed(archives: dict[str, Path]) -> None:
    whole = load("cub200", archives["cub200"])
    assert load("cub200", archives["cub200"] / "CUB_200_2011.tgz").fingerprint == whole.fingerprint


def test_links_and_outside_names_in_an_archive_have_no_effect(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(made.jpeg(1))
    root = tmp_path / "data"
    root.mkdir()
    images, lists = made.dog_files()
    made.pack(root / "lists.tar", lists)
    archive = made.pack(root / "images.tar", {**images, "../outside.jpg": b"x"})
    before = load("dogs", root).fingerprint
    first = next(iter(images))
    with tarfile.open(archive, "a") as tar:  # the last member of a name would count
        link = tarfile.TarInfo(first)
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    assert load("dogs", root).fingerprint == before
    assert not (tmp_path / "outside.jpg").exists()
    del images[first]
    made.pack(archive, images)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(link)
    with pytest.raises(DataError, match=f"{first} in .*which is missing"):
        load("dogs", root)


def test_cifar100_is_enlarged_for_larger_networks(archives: dict[str, Path]) -> None:
    own = load("cifar100", archives["cifar100"])
    config = TrainConfig(dataset="cifar100", data=str(archives["cifar100"]), image_size=56)
    data = load_data(config)
    assert isinstance(data, ImageFiles)
    assert (data.size, data.val_resize) == ((56, 56), 64)
    assert torch.equal(data.train_labels, own.train_labels)
    index = torch.tensor([3, 0])
    # Resized by 2 to 64 pixels by Pillow, its middle cut out; the rim of zeros stays outside.
    for images, batch in (
        (own.train_batch(index, seed=0, step=0, augment=False), "train"),
        (own.val_batch(index), "val"),
    ):
        expected = [
            np.asarray(
                Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
                    (64, 64), Image.Resampling.BILINEAR
                )
            )[4:60, 4:60]
            for image in images
        ]
        found = (
            data.val_batch(index)
            if batch == "val"
            else data.train_batch(index, seed=0, step=0, augment=False)
        )
        np.testing.assert_array_equal(found.permute(0, 2, 3, 1), expected)
    crops = data.train_batch(index, seed=0, step=0, augment=True)
    assert crops.shape == (2, 3, 56, 56)
    assert crops.float().mean() > 60  # noise around 127, and none of the black rim
    other = load_data(TrainConfig(dataset="cifar100", data=config.data, image_size=32))
    assert isinstance(other, ImageData)


def test_other_pixels_have_another_fingerprint(archives: dict[str, Path]) -> None:
    own = load("cifar100", archives["cifar100"])
    assert isinstance(own, ImageData)
    before = resized(own, image_size=40, val_resize=40).fingerprint
    assert resized(own, image_size=40, val_resize=40).fingerprint == before
    own.val_images[1, 2, 3, 4] += 1
    assert resized(own, image_size=40, val_resize=40).fingerprint != before
