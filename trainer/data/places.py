"""Where a data set lies: an official archive, or what it extracts to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainer.data.trees import FileTree, FolderTree, open_archive
from trainer.errors import DataError


@dataclass(frozen=True)
class Part:
    """One archive of a data set.

    Parameters
    ----------
    archive
        Official name of the archive.
    prefix
        Folder inside it that holds the files, with its slash; also tried as a folder on disk.
    marker
        A file or folder by which the extracted form is known, relative to ``prefix``.
    wanted
        Which members (by full name) are used.
    """

    archive: str
    prefix: str
    marker: str
    wanted: Callable[[str], bool]


def find_part(data: Path, part: Part, *, name: str, page: str) -> FileTree:
    """The files of one part, whichever form it is found in.

    Parameters
    ----------
    data
        The archive itself, a folder that holds it, the folder that it was extracted in, or the
        folder inside. An extracted form is preferred: it is read without an index.
    part
        What to look for.
    name, page
        Name of the data set and where it is to be had, for error messages.

    Raises
    ------
    DataError
        If none of these is there, or the archive is damaged.
    """
    if data.is_file():
        return open_archive(data, prefix=part.prefix, page=page, wanted=part.wanted)
    for folder in (data / part.prefix, data):
        if (folder / part.marker).exists():
            return FolderTree(folder)
    # The same archive without compression, as some mirrors and gunzip leave it.
    plain = part.archive.removesuffix(".tgz").removesuffix(".tar.gz").removesuffix(".tar") + ".tar"
    for archive in (plain, part.archive):
        if (data / archive).is_file():
            return open_archive(data / archive, prefix=part.prefix, page=page, wanted=part.wanted)
    missing = "does not exist" if not data.exists() else "has neither"
    raise DataError(
        f"{name}: {data} {missing}; expected {part.archive}, or {part.prefix}{part.marker} out of "
        f"it. It is to be had from {page}"
    )
