"""Missing and damaged archives: each error names the file, what is wrong and where to get it."""

from __future__ import annotations

import gzip
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer import _archives as made
from trainer import DataError, TrainConfig
from trainer.data import ImageSource, load_data, trees
from trainer.data.trees import FolderTree

PAGES = {
    "cifar100": r"cs\.toronto\.edu/~kriz/cifar",
    "cub200": r"vision\.caltech\.edu/datasets/cub_200_2011",
    "dogs": r"vision\.stanford\.edu/aditya86/ImageNetDogs",
    "flowers": r"robots\.ox\.ac\.uk/~vgg/data/flowers/102",
    "pets": r"robots\.ox\.ac\.uk/~vgg/data/pets",
}
ARCHIVES = {
    "cifar100": "cifar-100-binary.tar.gz",
    "cub200": "CUB_200_2011.tgz",
    "dogs": "images.tar",
    "flowers": "102flowers.tgz",
    "pets": "images.tar.gz",
}


def load(name: str, data: Path) -> ImageSource:
    sides = {} if name == "cifar100" else {"image_size": 24, "val_resize": 32}
    return load_data(TrainConfig(dataset=name, data=str(data), **sides))


def fails(name: str, data: Path, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        load(name, data)


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_folder_without_the_archives_says_where_to_get_them(name: str, tmp_path: Path) -> None:
    archive = "lists.tar" if name == "dogs" else ARCHIVES[name]
    archive = "annotations.tar.gz" if name == "pets" else archive
    fails(name, tmp_path, f"{re.escape(str(tmp_path))}.*{re.escape(archive)}.*{PAGES[name]}")
    fails(name, tmp_path / "nowhere", f"nowhere.*{PAGES[name]}")


def test_data_left_out_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match=f'dataset "{name}" needs data'):
        load_data(TrainConfig(dataset=name))


@pytest.mark.parametrize("keep", [0.1, 0.6, 0.999])
def test_an_archive_cut_off_anywhere_is_named(name: str, keep: float, tmp_path: Path) -> None:
    made.write_all(tmp_path, name)
    load(name, tmp_path)  # sound before
    archive = tmp_path / ARCHIVES[name]
    if name == "dogs":  # up to 10,240 bytes of padding end a plain archive
        keep *= 0.6
    made.cut_off(archive, keep)
    fails(name, tmp_path, f"{re.escape(str(archive))}.*{PAGES[name]}")


def test_a_flipped_bit_in_a_compressed_archive_is_seen(name: str, tmp_path: Path) -> None:
    if name == "dogs":
        pytest.skip("its archive is not compressed: it has no checksum of contents")
    made.write_all(tmp_path, name)
    archive = tmp_path / ARCHIVES[name]
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # within the checksum itself
    archive.write_bytes(content)
    fails(name, tmp_path, rf"{re.escape(str(archive))} is damaged.*CRC.*{PAGES[name]}")


def test_another_file_in_place_of_the_archive_is_named(name: str, tmp_path: Path) -> None:
    made.write_all(tmp_path, name)
    archive = tmp_path / ARCHIVES[name]
    archive.write_bytes(b"<html>Not found</html>" * 100)
    fails(name, tmp_path, rf"{re.escape(str(archive))} is damaged.*no tar archive.*{PAGES[name]}")


def _cifar(tmp_path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    files = made.cifar_files()
    change(files)
    return made.pack(tmp_path / ARCHIVES["cifar100"], files)


def _with_byte(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + bytes([value]) + content[at + 1 :]


ROOT = "cifar-100-binary/"
CIFAR_FAULTS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "missing member": (lambda f: f.pop(f"{ROOT}test.bin"), r"has no test\.bin.*binary version"),
    "missing names": (
        lambda f: f.pop(f"{ROOT}fine_label_names.txt"),
        r"has no fine_label_names\.txt",
    ),
    "record size": (
        lambda f: f.update({f"{ROOT}train.bin": f[f"{ROOT}train.bin"][:-1]}),
        r"train\.bin in .* has 61479 bytes, not a multiple of 3074",
    ),
    "empty split": (lambda f: f.update({f"{ROOT}test.bin": b""}), r"test\.bin in .* has 0 bytes"),
    "fine label": (
        lambda f: f.update({f"{ROOT}train.bin": _with_byte(f[f"{ROOT}train.bin"], 3075, 5)}),
        r"train\.bin in .*: image 1 \(counted from 0\) has label 5, which is not in 0 to 4",
    ),
    "coarse label": (
        lambda f: f.update({f"{ROOT}test.bin": _with_byte(f[f"{ROOT}test.bin"], 2 * 3074, 9)}),
        r"test\.bin in .*coarse labels: image 2 .* has label 9, which is not in 0 to 1",
    ),
    "class without images": (
        lambda f: f.update({f"{ROOT}train.bin": f[f"{ROOT}train.bin"][: 4 * 3074]}),
        r"train\.bin in .*: 1 of 5 classes have no images, such as thing 4",
    ),
    "no text": (
        lambda f: f.update({f"{ROOT}fine_label_names.txt": b"\xff\xfe\x00"}),
        r"fine_label_names\.txt in .* is no text",
    ),
}


@pytest.mark.parametrize("fault", CIFAR_FAULTS)
def test_a_faulty_cifar100_archive_is_named(fault: str, tmp_path: Path) -> None:
    change, message = CIFAR_FAULTS[fault]
    load("cifar100", _cifar(tmp_path, lambda files: None))
    fails("cifar100", _cifar(tmp_path, change), message)


def test_the_python_version_of_cifar100_is_not_taken(tmp_path: Path) -> None:
    archive = made.pack(tmp_path / "cifar-100-python.tar.gz", {"cifar-100-python/train": b"\x80"})
    fails("cifar100", archive, r"cifar-100-python\.tar\.gz has no train\.bin; the binary version")


def _replace(text: bytes, old: str, new: str) -> bytes:
    assert old in text.decode()
    return text.decode().replace(old, new, 1).encode()


CUB = "CUB_200_2011/"


def _cub(file: str, old: str, new: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.update({CUB + file: _replace(files[CUB + file], old, new)})


FIRST = "images/001.Albatross/Albatross_0000_1.jpg"
CUB_FAULTS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "missing list": (lambda f: f.pop(f"{CUB}classes.txt"), r"classes\.txt in .* is missing"),
    "missing image": (lambda f: f.pop(CUB + FIRST), rf"{FIRST} in .*missing or empty \(1 of 9"),
    "empty image": (lambda f: f.update({CUB + FIRST: b""}), rf"{FIRST} in .*missing or empty"),
    "words": (_cub("images.txt", "2 001", "2 x 001"), r"images\.txt in .*'2 x 001.*not 2 words"),
    "numbers": (
        _cub("image_class_labels.txt", "15 3", "16 3"),
        r"image_class_labels\.txt in .* has other image numbers than images\.txt",
    ),
    "twice": (_cub("images.txt", "2 001", "1 001"), r"images\.txt in .* names a number twice"),
    "side": (_cub("train_test_split.txt", "1 1", "1 2"), r"train_test_split\.txt.*'2' is not 0"),
    "label": (
        _cub("image_class_labels.txt", "15 3", "15 4"),
        r"train_test_split\.txt in .*: image 5 .* has label 3, which is not in 0 to 2",
    ),
    "no label": (_cub("image_class_labels.txt", "1 1", "1 one"), r"'one' is not a whole number"),
    "empty split": (
        lambda f: f.update(
            {
                f"{CUB}train_test_split.txt": re.sub(
                    rb" 0\n", b" 1\n", f[f"{CUB}train_test_split.txt"]
                )
            }
        ),
        r"train_test_split\.txt in .* names no images",
    ),
    "class without images": (
        lambda f: f.update({f"{CUB}classes.txt": f[f"{CUB}classes.txt"] + b"4 004.Gull\n"}),
        r"1 of 4 classes have no images, such as Gull",
    ),
}


@pytest.mark.parametrize("fault", CUB_FAULTS)
def test_a_faulty_cub_archive_is_named(fault: str, tmp_path: Path) -> None:
    change, message = CUB_FAULTS[fault]
    files = made.cub_files()
    change(files)
    fails("cub200", made.pack(tmp_path / ARCHIVES["cub200"], files), message)


def _dog_list(**arrays: np.ndarray) -> bytes:
    names = [
        f"n020856{n:02d}-{breed}/n020856{n:02d}_0.jpg" for n, breed in enumerate(made.BREEDS, 1)
    ]
    return made.matlab(
        **{"file_list": made.cells(names), "labels": np.array([[1.0], [2.0], [3.0]]), **arrays}
    )


DOG_FAULTS = {
    "damaged": (lambda: b"MATLAB 5.0 MAT-file" + bytes(200), r"is damaged or no MATLAB file"),
    "empty": (lambda: b"", r"is damaged or no MATLAB file"),
    "key": (lambda: made.matlab(file_list=made.cells(["a"])), r"has no labels"),
    "lengths": (
        lambda: _dog_list(labels=np.array([[1.0], [2.0]])),
        r"names 3 files with 2 labels",
    ),
    "fraction": (lambda: _dog_list(labels=np.array([[1.0], [2.5], [3]])), r"not whole numbers"),
    "texts": (lambda: _dog_list(file_list=np.ones((3, 1))), r"not a list of texts"),
    "two names": (
        lambda: _dog_list(labels=np.array([[1.0], [1.0], [3.0]])),
        r"label 1 is Pug and Chihuahua at once",
    ),
    "gap": (
        lambda: _dog_list(labels=np.array([[1.0], [2.0], [5.0]])),
        r"must run from 1 without a gap; see label 4",
    ),
    "overlap": (_dog_list, r"_0\.jpg is for training and for test at once"),
}


@pytest.mark.parametrize("fault", DOG_FAULTS)
def test_faulty_lists_of_dogs_are_named(fault: str, tmp_path: Path) -> None:
    make, message = DOG_FAULTS[fault]
    images, lists = made.dog_files()
    made.pack(tmp_path / "images.tar", images)
    made.pack(tmp_path / "lists.tar", {**lists, "test_list.mat": make()})
    where = r"lists\.tar" if fault == "gap" else r"test_list\.mat in .*lists\.tar"
    fails("dogs", tmp_path, f"{where}.*{message}")


def test_a_missing_list_of_dogs_is_named(tmp_path: Path) -> None:
    images, lists = made.dog_files()
    made.pack(tmp_path / "images.tar", images)
    del lists["test_list.mat"]
    made.pack(tmp_path / "lists.tar", lists)
    fails("dogs", tmp_path, f"test_list\\.mat in .* is missing.*{PAGES['dogs']}")


def test_faulty_numbers_of_flowers_are_named(tmp_path: Path) -> None:
    made.write_all(tmp_path, "flowers")
    sound = (tmp_path / "setid.mat").read_bytes()
    tests = np.array([[2]])
    for number in (0, 19):
        numbers = made.matlab(trnid=np.array([[1, number]]), tstid=tests)
        (tmp_path / "setid.mat").write_bytes(numbers)
        fails("flowers", tmp_path, rf"setid\.mat, trnid: image {number} is not in 1 to 18")
    (tmp_path / "setid.mat").write_bytes(made.matlab(trnid=np.zeros((1, 0)), tstid=tests))
    fails("flowers", tmp_path, r"setid\.mat, trnid names no images")
    (tmp_path / "setid.mat").unlink()
    fails("flowers", tmp_path, f"setid\\.mat is missing.*{PAGES['flowers']}")
    (tmp_path / "setid.mat").write_bytes(sound)
    (tmp_path / "imagelabels.mat").unlink()
    fails("flowers", tmp_path, r"imagelabels\.mat is missing")


def test_two_names_of_one_pet_are_an_error(tmp_path: Path) -> None:
    made.write_all(tmp_path, "pets")
    _, lists = made.pet_files()
    lists["annotations/test.txt"] = lists["annotations/test.txt"].replace(b"5 1 2 1", b"5 2 2 1")
    made.pack(tmp_path / "annotations.tar.gz", lists)
    fails("pets", tmp_path, r"annotations/test\.txt in .*label 2 is \w+ and \w+ at once")


@pytest.mark.parametrize("name", ["dogs", "flowers", "pets"])
def test_one_archive_of_several_is_not_enough(name: str, tmp_path: Path) -> None:
    made.write_all(tmp_path, name)
    fails(name, tmp_path / ARCHIVES[name], f"is not a folder; pass the folder.*{PAGES[name]}")


def test_a_corrupt_jpeg_is_named_when_it_is_read(tmp_path: Path) -> None:
    files = made.cub_files()
    files[CUB + FIRST] = files[CUB + FIRST][:200]
    data = load("cub200", made.pack(tmp_path / ARCHIVES["cub200"], files))
    data.train_batch(torch.tensor([1]), seed=0, step=0, augment=True)
    with pytest.raises(DataError, match=rf"{FIRST} in .*CUB_200_2011\.tgz cannot be read as an"):
        data.train_batch(torch.tensor([1, 0]), seed=0, step=0, augment=True)


def test_files_that_vanish_after_loading_are_named(tmp_path: Path) -> None:
    made.write_all(tmp_path, "dogs")
    packed = load("dogs", tmp_path)
    made.cut_off(tmp_path / "images.tar", 0.5)
    with pytest.raises(DataError, match=r"images\.tar ends inside Images/.*cut off"):
        packed.val_batch(torch.tensor([5]))
    (tmp_path / "images.tar").unlink()
    with pytest.raises(DataError, match=r"images\.tar cannot be read \(No such file"):
        packed.val_batch(torch.tensor([5]))


def test_a_compressed_archive_too_large_for_memory_says_how_to_extract_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write_all(tmp_path, "cub200")
    monkeypatch.setattr(trees, "MEMORY_LIMIT", 5000)
    fails("cub200", tmp_path, r"CUB_200_2011\.tgz is compressed.*tar xf CUB_200_2011\.tgz")
    made.unpack(tmp_path / ARCHIVES["cub200"], tmp_path)
    load("cub200", tmp_path)


def test_trailing_garbage_after_the_archive_is_seen(tmp_path: Path) -> None:
    archive = made.pack(tmp_path / ARCHIVES["cifar100"], made.cifar_files())
    archive.write_bytes(archive.read_bytes() + gzip.compress(bytes(100))[:-4])
    fails("cifar100", archive, r"is damaged, cut off")


def test_a_list_that_points_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "inside").mkdir()
    tree = FolderTree(tmp_path / "inside")
    for outside in ("../secret", str(tmp_path / "secret"), "a/../../secret"):
        with pytest.raises(DataError, match="lies outside the folder"):
            tree.read(outside)


def test_without_scipy_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write_all(tmp_path, "dogs")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    fails("dogs", tmp_path, r"train_list\.mat in .* needs scipy.*jpegdl\[trainer\]")


def test_extracted_folders_with_missing_images_are_named(tmp_path: Path) -> None:
    made.write_all(tmp_path / "packed", "pets")
    for archive in (tmp_path / "packed").iterdir():
        made.unpack(archive, tmp_path / "pets")
    load("pets", tmp_path / "pets")
    image = tmp_path / "pets" / "images" / "Sphynx_4.jpg"
    image.unlink()
    fails("pets", tmp_path / "pets", r"test\.txt names .*Sphynx_4\.jpg, which is missing")
    image.mkdir()
    fails("pets", tmp_path / "pets", r"test\.txt names .*Sphynx_4\.jpg, which is missing")
    shutil.rmtree(tmp_path / "pets" / "images")
    fails("pets", tmp_path / "pets", f"expected images\\.tar\\.gz, or images.*{PAGES['pets']}")
