"""The four fine-grained data sets of JPEG-DL, Tables 2, 6 and 8, from their official archives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from trainer.data.image_files import ImageFiles
from trainer.data.lists import (
    class_names,
    note_name,
    read_matlab,
    read_table,
    require_files,
    require_list,
    texts,
    whole,
    whole_numbers,
)
from trainer.data.places import Part, find_part
from trainer.data.stored import TreeImages, check_labels
from trainer.data.trees import FileTree, FolderTree
from trainer.errors import DataError

PAGES = {
    "cub200": "https://www.vision.caltech.edu/datasets/cub_200_2011/",
    "dogs": "http://vision.stanford.edu/aditya86/ImageNetDogs/",
    "flowers": "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    "pets": "https://www.robots.ox.ac.uk/~vgg/data/pets/",
}
_CUB_LISTS = ("images", "image_class_labels", "train_test_split", "classes")


def _below(folder: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(folder)


def _wanted_of_cub(name: str) -> bool:
    root = "CUB_200_2011/"
    return name.startswith(f"{root}images/") or name in {f"{root}{kind}.txt" for kind in _CUB_LISTS}


CUB = Part("CUB_200_2011.tgz", "CUB_200_2011/", "images.txt", _wanted_of_cub)
DOG_IMAGES = Part("images.tar", "", "Images", _below("Images/"))
DOG_LISTS = Part("lists.tar", "", "train_list.mat", lambda name: name.endswith("_list.mat"))
FLOWERS = Part("102flowers.tgz", "", "jpg", _below("jpg/"))
PET_IMAGES = Part("images.tar.gz", "", "images", _below("images/"))
PET_LISTS = Part(
    "annotations.tar.gz",
    "",
    "annotations",
    lambda name: name in ("annotations/trainval.txt", "annotations/test.txt"),
)

# Name of each file and its label, from 0.
Labelled = list[tuple[str, int]]


def load_cub200(data: Path, *, image_size: int, val_resize: int) -> ImageFiles:
    """CUB-200-2011: 5,994 training and 5,794 test images of 200 birds.

    Parameters
    ----------
    data
        ``CUB_200_2011.tgz``, or a folder with it or with what it extracts to.
    image_size, val_resize
        See `ImageFiles`.

    Raises
    ------
    DataError
        If something is missing or damaged, or the lists contradict each other.

    References
    ----------
    Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011.
    """
    page = PAGES["cub200"]
    tree = find_part(data, CUB, name="CUB-200-2011", page=page)
    columns: dict[str, dict[str, str]] = {}
    for kind in _CUB_LISTS:
        require_list(tree, f"{kind}.txt", page=page)
        rows = read_table(tree, f"{kind}.txt", 2)
        columns[kind] = dict(rows)
        if len(columns[kind]) != len(rows):
            raise DataError(f"{tree.describe(f'{kind}.txt')} names a number twice")
    for kind in ("image_class_labels", "train_test_split"):
        if columns[kind].keys() != columns["images"].keys():
            raise DataError(
                f"{tree.describe(f'{kind}.txt')} has other image numbers than images.txt; get "
                f"both again from {page}"
            )
    classes = tuple(name.partition(".")[2] or name for name in columns["classes"].values())
    splits: dict[str, list[tuple[str, int]]] = {"1": [], "0": []}
    for number, name in columns["images"].items():
        side = columns["train_test_split"][number]
        if side not in splits:
            raise DataError(f"{tree.describe('train_test_split.txt')}: {side!r} is not 0 or 1")
        label = whole(
            columns["image_class_labels"][number], tree.describe("image_class_labels.txt")
        )
        splits[side].append((f"images/{name}", label - 1))
    return _image_files(
        "CUB-200-2011", tree, classes, splits["1"], splits["0"], page=page,
        lists=(tree.describe("train_test_split.txt"),) * 2,
        image_size=image_size, val_resize=val_resize,
    )  # fmt: skip


def load_dogs(data: Path, *, image_size: int, val_resize: int) -> ImageFiles:
    """Stanford Dogs: 12,000 training and 8,580 test images of 120 breeds.

    Parameters
    ----------
    data
        Folder with ``images.tar`` and ``lists.tar``, or with what they extract to.
    image_size, val_resize
        See `ImageFiles`.

    Raises
    ------
    DataError
        If something is missing or damaged.

    References
    ----------
    Khosla et al., "Novel dataset for fine-grained image categorization: Stanford Dogs", 2011.
    """
    page = PAGES["dogs"]
    _need_folder(data, "Stanford Dogs", "images.tar and lists.tar", page)
    lists = find_part(data, DOG_LISTS, name="Stanford Dogs", page=page)
    tree = find_part(data, DOG_IMAGES, name="Stanford Dogs", page=page)
    names: dict[int, str] = {}
    splits = []
    for list_name in ("train_list.mat", "test_list.mat"):
        where = lists.describe(list_name)
        content = read_matlab(lists, list_name, ("file_list", "labels"), page=page)
        files = texts(content["file_list"], where)
        labels = whole_numbers(content["labels"], where)
        if len(files) != len(labels):
            raise DataError(f"{where} names {len(files)} files with {len(labels)} labels")
        for file, label in zip(files, labels, strict=True):
            breed = file.split("/")[0].partition("-")[2]
            note_name(names, label, breed, where)
        splits.append([(f"Images/{f}", label - 1) for f, label in zip(files, labels, strict=True)])
    return _image_files(
        "Stanford Dogs", tree, class_names(names, lists.describe()), *splits, page=page,
        lists=(lists.describe("train_list.mat"), lists.describe("test_list.mat")),
        image_size=image_size, val_resize=val_resize,
    )  # fmt: skip


def load_flowers(data: Path, *, image_size: int, val_resize: int) -> ImageFiles:
    """Oxford 102 Flowers: 1,020 training (``trnid``) and 6,149 test images (``tstid``).

    The paper does not say on which of the official parts it trains. Here ``trnid`` alone is the
    training set, as its name has it; ``valid``, another 1,020 images, is left out, and no image
    is used to choose a model.

    Parameters
    ----------
    data
        Folder with ``102flowers.tgz`` (or its ``jpg``), ``imagelabels.mat`` and ``setid.mat``.
    image_size, val_resize
        See `ImageFiles`.

    Raises
    ------
    DataError
        If something is missing or damaged.

    References
    ----------
    Nilsback and Zisserman, "Automated flower classification over a large number of classes",
    2008.
    """
    page = PAGES["flowers"]
    _need_folder(data, "Oxford Flowers", "102flowers.tgz, imagelabels.mat and setid.mat", page)
    tree = find_part(data, FLOWERS, name="Oxford Flowers", page=page)
    folder = FolderTree(data)
    labels_at, sets_at = folder.describe("imagelabels.mat"), folder.describe("setid.mat")
    labels = whole_numbers(
        read_matlab(folder, "imagelabels.mat", ("labels",), page=page)["labels"], labels_at
    )
    sets = read_matlab(folder, "setid.mat", ("trnid", "tstid"), page=page)
    splits = []
    for key in ("trnid", "tstid"):
        numbers = whole_numbers(sets[key], f"{sets_at}, {key}")
        for number in numbers:
            if not 1 <= number <= len(labels):
                raise DataError(
                    f"{sets_at}, {key}: image {number} is not in 1 to {len(labels)}, the images "
                    f"of imagelabels.mat; get both again from {page}"
                )
        splits.append([(f"jpg/image_{n:05d}.jpg", labels[n - 1] - 1) for n in numbers])
    classes = tuple(f"flower {number}" for number in range(1, max(labels, default=0) + 1))
    return _image_files(
        "Oxford 102 Flowers (trnid, tstid)", tree, classes, *splits, page=page,
        lists=(f"{sets_at}, trnid", f"{sets_at}, tstid"),
        image_size=image_size, val_resize=val_resize,
    )  # fmt: skip


def load_pets(data: Path, *, image_size: int, val_resize: int) -> ImageFiles:
    """Oxford-IIIT Pets: 3,680 training (``trainval``) and 3,669 test images of 37 breeds.

    Parameters
    ----------
    data
        Folder with ``images.tar.gz`` and ``annotations.tar.gz``, or with what they extract to.
    image_size, val_resize
        See `ImageFiles`.

    Raises
    ------
    DataError
        If something is missing or damaged.

    References
    ----------
    Parkhi et al., "Cats and dogs", 2012.
    """
    page = PAGES["pets"]
    _need_folder(data, "Oxford-IIIT Pets", "images.tar.gz and annotations.tar.gz", page)
    lists = find_part(data, PET_LISTS, name="Oxford-IIIT Pets", page=page)
    tree = find_part(data, PET_IMAGES, name="Oxford-IIIT Pets", page=page)
    names: dict[int, str] = {}
    splits = []
    for list_name in ("annotations/trainval.txt", "annotations/test.txt"):
        where = lists.describe(list_name)
        rows = []
        require_list(lists, list_name, page=page)
        for name, label_text, *_ in read_table(lists, list_name, 4):
            label = whole(label_text, where)
            note_name(names, label, name.rpartition("_")[0], where)
            rows.append((f"images/{name}.jpg", label - 1))
        splits.append(rows)
    return _image_files(
        "Oxford-IIIT Pets", tree, class_names(names, lists.describe()), *splits, page=page,
        lists=(
            lists.describe("annotations/trainval.txt"), lists.describe("annotations/test.txt")
        ),
        image_size=image_size, val_resize=val_resize,
    )  # fmt: skip


def _need_folder(data: Path, name: str, parts: str, page: str) -> None:
    if not data.is_dir():
        raise DataError(
            f"{name}: {data} is not a folder; pass the folder that holds {parts}, or what they "
            f"extract to. They are to be had from {page}"
        )


def _image_files(
    name: str,
    tree: FileTree,
    classes: tuple[str, ...],
    train: Labelled,
    val: Labelled,
    *,
    page: str,
    lists: tuple[str, str],
    image_size: int,
    val_resize: int,
) -> ImageFiles:
    """Check lists against files and put both together."""
    labels = []
    for split, listed_in in zip((train, val), lists, strict=True):
        if not split:
            raise DataError(f"{listed_in} names no images for one of training and test")
        labels.append(torch.tensor([label for _, label in split]))
        check_labels(labels[-1], classes, where=listed_in, complete=True)
        require_files(tree, [file for file, _ in split], listed_in=listed_in, page=page)
    if both := {file for file, _ in train} & {file for file, _ in val}:
        raise DataError(
            f"{lists[0]} and {lists[1]}: {min(both)} is for training and for test at once"
        )
    return ImageFiles(
        classes=classes,
        train=TreeImages(tree, tuple(file for file, _ in train)),
        train_labels=labels[0],
        val=TreeImages(tree, tuple(file for file, _ in val)),
        val_labels=labels[1],
        image_size=image_size,
        val_resize=val_resize,
        origin=f"{name}, {len(train)} training and {len(val)} test images",
    )
