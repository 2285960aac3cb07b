"""The lists that come with data sets: text files and MATLAB files, checked as they are read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.trees import FileTree
from trainer.errors import DataError


def read_lines(tree: FileTree, name: str) -> list[str]:
    """Lines of a text file that are neither empty nor comments (``#``).

    Raises
    ------
    DataError
        If it is missing or no text.
    """
    try:
        text = tree.read(name).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{tree.describe(name)} is no text ({error.reason})") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def read_table(tree: FileTree, name: str, columns: int) -> list[list[str]]:
    """Lines of a text file as ``columns`` words each.

    Raises
    ------
    DataError
        If it is missing, or a line has another number of words.
    """
    rows = []
    for line in read_lines(tree, name):
        words = line.split()
        if len(words) != columns:
            raise DataError(
                f"{tree.describe(name)}: {line[:80]!r} is not {columns} words; get it again"
            )
        rows.append(words)
    return rows


def whole(text: str, where: str) -> int:
    """A whole number out of a list.

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where}: {text!r} is not a whole number") from None


def require_files(tree: FileTree, names: list[str], *, listed_in: str, page: str) -> None:
    """All files that a list names are there, and none is empty.

    Raises
    ------
    DataError
        With the first that is not, and how many there are.
    """
    missing = [name for name in names if not tree.size(name)]
    if missing:
        raise DataError(
            f"{listed_in} names {tree.describe(missing[0])}, which is missing or empty "
            f"({len(missing)} of {len(names)} are); get the images again from {page}"
        )


def require_list(tree: FileTree, name: str, *, page: str) -> None:
    """A list is there.

    Raises
    ------
    DataError
        If it is not.
    """
    if tree.size(name) is None:
        raise DataError(f"{tree.describe(name)} is missing; get it again from {page}")


def read_matlab(
    tree: FileTree, name: str, keys: tuple[str, ...], *, page: str
) -> dict[str, NDArray[Any]]:
    """Arrays of a MATLAB file.

    Raises
    ------
    DataError
        If scipy is not installed, or the file is missing, damaged or without one of the keys.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError(
            f"{tree.describe(name)} needs scipy, which is not installed: "
            "pip install 'jpegdl[trainer]'"
        ) from None
    require_list(tree, name, page=page)
    try:
        content = loadmat(io.BytesIO(tree.read(name)))
    except Exception as error:
        # A damaged file makes scipy raise whatever its parser stumbles over.
        raise DataError(
            f"{tree.describe(name)} is damaged or no MATLAB file ({error}); "
            f"get it again from {page}"
        ) from error
    for key in keys:
        if not isinstance(content.get(key), np.ndarray):
            raise DataError(f"{tree.describe(name)} has no {key}; get it again from {page}")
    return {key: content[key] for key in keys}


def whole_numbers(array: NDArray[Any], where: str) -> list[int]:
    """An array of MATLAB, which knows doubles best, as whole numbers.

    Raises
    ------
    DataError
        If it holds anything else.
    """
    try:
        numbers = array.ravel().astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{where}: not numbers") from None
    if not np.array_equal(numbers, np.round(numbers)):
        raise DataError(f"{where}: not whole numbers")
    return [int(number) for number in numbers]


def texts(cells: NDArray[Any], where: str) -> list[str]:
    """A cell array of MATLAB as texts.

    Raises
    ------
    DataError
        If it holds anything else.
    """
    found = []
    for cell in cells.ravel():
        flat = np.ravel(cell)
        if flat.size != 1 or not isinstance(flat[0], str):
            raise DataError(f"{where}: not a list of texts")
        found.append(str(flat[0]))
    return found


def note_name(names: dict[int, str], label: int, name: str, where: str) -> None:
    """Remember the name of a class by its label; each label has one.

    Raises
    ------
    DataError
        If the label had another name before.
    """
    if names.setdefault(label, name) != name:
        raise DataError(f"{where}: label {label} is {name} and {names[label]} at once")


def class_names(names: dict[int, str], where: str) -> tuple[str, ...]:
    """Names in the order of their labels, which run from 1 without a gap.

    Raises
    ------
    DataError
        If they do not.
    """
    if sorted(names) != list(range(1, len(names) + 1)):
        wrong = min(set(names) ^ set(range(1, len(names) + 1)))
        raise DataError(f"{where}: labels must run from 1 without a gap; see label {wrong}")
    return tuple(names[label] for label in sorted(names))
