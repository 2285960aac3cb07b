"""Small archives in exactly the layout of the official ones, and images to fill them with."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR_CLASSES = tuple(f"thing {number}" for number in range(5))
CIFAR_GROUPS = ("animal", "plant")


def pixels(number: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth, and another for each number."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(number: int, width: int = 60, height: int = 45) -> bytes:
    """A JPEG file, each number another picture."""
    stream = io.BytesIO()
    Image.fromarray(pixels(number, width, height)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def pack(archive: Path, files: dict[str, bytes]) -> Path:
    """Write a tar archive with its folders, compressed if its name says so."""
    mode = "w:gz" if archive.suffix in (".gz", ".tgz") else "w"
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        folders = {name.rsplit("/", 1)[0] for name in files if "/" in name}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive


def unpack(archive: Path, folder: Path) -> None:
    """Extract, as a user would."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def cut_off(path: Path, keep: float = 0.6) -> None:
    """Keep the front of a file only."""
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def cifar_records(count: int, seed: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Records of CIFAR-100's binary version, with their images (N, 3, 32, 32) and fine labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    fine = np.arange(count) % len(CIFAR_CLASSES)
    coarse = fine % len(CIFAR_GROUPS)
    heads = np.stack([coarse, fine], axis=1).astype(np.uint8)
    return np.hstack([heads, images.reshape(count, -1)]).tobytes(), images, fine


def cifar_files() -> dict[str, bytes]:
    """Members of ``cifar-100-binary.tar.gz``: 20 training and 10 test images of five classes."""
    root = "cifar-100-binary"
    return {
        f"{root}/coarse_label_names.txt": "\n".join(CIFAR_GROUPS).encode() + b"\n",
        f"{root}/fine_label_names.txt": "\n".join(CIFAR_CLASSES).encode() + b"\n",
        f"{root}/test.bin": cifar_records(10, 2)[0],
        f"{root}/train.bin": cifar_records(20, 1)[0],
    }


# Each data set below has three classes, with three training and two test images each.
TRAIN, TEST = 3, 2
CUB_CLASSES = ("Albatross", "Crow", "Wren")
BREEDS = ("Chihuahua", "Pug", "toy_terrier")
PET_NAMES = ("Abyssinian", "great_pyrenees", "Sphynx")


def cub_files() -> dict[str, bytes]:
    """Members of ``CUB_200_2011.tgz``."""
    root = "CUB_200_2011"
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    files = {"attributes.txt": b"1 has_bill_shape::curved\n"}
    number = 0
    for label, name in enumerate(CUB_CLASSES, 1):
        for place in range(TRAIN + TEST):
            number += 1
            path = f"{label:03d}.{name}/{name}_{place:04d}_{number}.jpg"
            lists["images"].append(f"{number} {path}")
            lists["image_class_labels"].append(f"{number} {label}")
            lists["train_test_split"].append(f"{number} {int(place < TRAIN)}")
            files[f"{root}/images/{path}"] = jpeg(number)
    lists["classes"] = [f"{label} {label:03d}.{name}" for label, name in enumerate(CUB_CLASSES, 1)]
    for kind, lines in lists.items():
        files[f"{root}/{kind}.txt"] = "\n".join(lines).encode() + b"\n"
    return files


def matlab(**arrays: np.ndarray) -> bytes:
    """A MATLAB file."""
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, arrays, do_compression=True)
    return stream.getvalue()


def cells(texts: list[str]) -> np.ndarray:
    """A column of MATLAB cells with texts."""
    column = np.empty((len(texts), 1), dtype=object)
    column[:, 0] = texts
    return column


def dog_files() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Members of ``images.tar`` and of ``lists.tar``."""
    images: dict[str, bytes] = {}
    names: dict[str, list[str]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for label, breed in enumerate(BREEDS, 1):
        synset = f"n020856{label:02d}"
        for place in range(TRAIN + TEST):
            path = f"{synset}-{breed}/{synset}_{place}.jpg"
            images[f"Images/{path}"] = jpeg(10 * label + place)
            split = "train" if place < TRAIN else "test"
            names[split].append(path)
            labels[split].append(label)
    lists = {
        f"{split}_list.mat": matlab(
            file_list=cells(names[split]),
            annotation_list=cells([name.removesuffix(".jpg") for name in names[split]]),
            labels=np.array(labels[split], dtype=np.float64)[:, None],
        )
        for split in ("train", "test")
    }
    return images, lists


def flower_files() -> tuple[dict[str, bytes], bytes, bytes]:
    """Members of ``102flowers.tgz``, ``imagelabels.mat`` and ``setid.mat``.

    Each class has one image more, for the part named ``valid``.
    """
    each = TRAIN + TEST + 1
    labels = np.repeat([1, 2, 3], each)
    place = np.tile(np.arange(each), 3)
    images = {f"jpg/image_{number:05d}.jpg": jpeg(number) for number in range(1, 3 * each + 1)}
    numbers = np.arange(1, 3 * each + 1)
    setid = matlab(
        trnid=numbers[place < TRAIN][None].astype(np.uint16),
        valid=numbers[place == TRAIN][None].astype(np.uint16),
        tstid=numbers[place > TRAIN][None].astype(np.uint16),
    )
    return images, matlab(labels=labels[None].astype(np.uint8)), setid


def pet_files() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Members of ``images.tar.gz`` and of ``annotations.tar.gz``."""
    images: dict[str, bytes] = {}
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, name in enumerate(PET_NAMES, 1):
        for place in range(TRAIN + TEST):
            stem = f"{name}_{place + 1}"
            images[f"images/{stem}.jpg"] = jpeg(20 * label + place)
            split = "trainval" if place < TRAIN else "test"
            lines[split].append(f"{stem} {label} {1 + label % 2} {label}")
    images["images/Abyssinian_1.mat"] = b"left over in the official archive"
    lists = {
        f"annotations/{split}.txt": "\n".join(rows).encode() + b"\n"
        for split, rows in lines.items()
    }
    lists["annotations/list.txt"] = b"#Image CLASS-ID SPECIES BREED ID\n"
    return images, lists


def write_all(root: Path, name: str) -> None:
    """The official archives of one data set in a folder."""
    root.mkdir(parents=True, exist_ok=True)
    if name == "cifar100":
        pack(root / "cifar-100-binary.tar.gz", cifar_files())
    elif name == "cub200":
        pack(root / "CUB_200_2011.tgz", cub_files())
    elif name == "dogs":
        images, lists = dog_files()
        pack(root / "images.tar", images)
        pack(root / "lists.tar", lists)
    elif name == "flowers":
        images, labels, setid = flower_files()
        pack(root / "102flowers.tgz", images)
        (root / "imagelabels.mat").write_bytes(labels)
        (root / "setid.mat").write_bytes(setid)
    else:
        images, lists = pet_files()
        pack(root / "images.tar.gz", images)
        pack(root / "annotations.tar.gz", lists)


def ungzip(archive: Path, to: Path) -> None:
    """The same archive without compression."""
    to.write_bytes(gzip.decompress(archive.read_bytes()))
