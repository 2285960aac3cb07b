"""Files of a data set by name, in a folder or inside a tar archive; nothing is ever extracted.

An archive is only read: its member names serve as keys and never as paths, so links and names
that point elsewhere have no effect.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from trainer.errors import DataError

# What a compressed archive may hold: above it, memory is better spent elsewhere.
MEMORY_LIMIT = 2 * 10**9


class FileTree(Protocol):
    """Files by their name relative to a root, with forward slashes."""

    def describe(self, name: str = "") -> str:
        """How an error names a file, or the whole."""

    def size(self, name: str) -> int | None:
        """Length of a file in bytes; None if there is none."""

    def read(self, name: str) -> bytes:
        """Content of a file."""


@dataclass(frozen=True)
class FolderTree:
    """Files in a folder.

    Parameters
    ----------
    root
        The folder.
    """

    root: Path

    def describe(self, name: str = "") -> str:
        """The path."""
        return str(self.root / name)

    def size(self, name: str) -> int | None:
        """Length of a file in bytes; None if there is none."""
        try:
            found = self._path(name).stat()
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.describe(name)} cannot be read ({error.strerror})") from error

    def _path(self, name: str) -> Path:
        # Names come from the lists of a data set: none has a reason to leave its folder.
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(f"a list of {self.root} names {name!r}, which lies outside the folder")
        return self.root / name


@dataclass(frozen=True)
class TarTree:
    """Files inside an uncompressed tar archive, each read at its offset.

    Parameters
    ----------
    archive
        The archive.
    prefix
        Put before each name to give the member's.
    members
        Offset and length in bytes of each regular file.
    """

    archive: Path
    prefix: str
    members: dict[str, tuple[int, int]] = field(repr=False)

    def describe(self, name: str = "") -> str:
        """The archive and the member."""
        return f"{self.prefix}{name} in {self.archive}" if name else str(self.archive)

    def size(self, name: str) -> int | None:
        """Length of a file in bytes; None if there is none."""
        found = self.members.get(self.prefix + name)
        return None if found is None else found[1]

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises
        ------
        DataError
            If the archive has no such member, or ends before the end of it.
        """
        found = self.members.get(self.prefix + name)
        if found is None:
            raise DataError(f"{self.archive} has no member {self.prefix + name}")
        offset, size = found
        try:
            with self.archive.open("rb") as stream:  # opened anew: processes share no position
                stream.seek(offset)
                content = stream.read(size)
        except OSError as error:
            raise DataError(f"{self.archive} cannot be read ({error.strerror})") from error
        if len(content) < size:
            raise DataError(f"{self.archive} ends inside {self.prefix + name}: it was cut off")
        return content


@dataclass(frozen=True)
class MemoryTree:
    """Files out of a compressed tar archive, in memory, since it cannot be read at an offset.

    Parameters
    ----------
    archive
        The archive.
    prefix
        Put before each name to give the member's.
    contents
        Content of each regular file that was wanted.
    """

    archive: Path
    prefix: str
    contents: dict[str, bytes] = field(repr=False)

    def describe(self, name: str = "") -> str:
        """The archive and the member."""
        return f"{self.prefix}{name} in {self.archive}" if name else str(self.archive)

    def size(self, name: str) -> int | None:
        """Length of a file in bytes; None if there is none."""
        content = self.contents.get(self.prefix + name)
        return None if content is None else len(content)

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises
        ------
        DataError
            If the archive has no such member.
        """
        content = self.contents.get(self.prefix + name)
        if content is None:
            raise DataError(f"{self.archive} has no member {self.prefix + name}")
        return content


def open_archive(
    archive: Path, *, prefix: str, page: str, wanted: Callable[[str], bool]
) -> TarTree | MemoryTree:
    """Files inside a tar archive.

    Parameters
    ----------
    archive
        A ``.tar`` is indexed; a ``.tar.gz`` is read into memory once, up to 2 GB.
    prefix
        Folder inside the archive that names are relative to, with its slash.
    page
        Where the archive is to be had, for error messages.
    wanted
        Which members (by full name) are kept; the others are passed over.

    Raises
    ------
    DataError
        If it is no tar archive, damaged, cut off, or too large for memory.
    """
    with _readable(archive, page):
        with archive.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        if packed:
            return MemoryTree(archive, prefix, _unpack(archive, wanted))
        return TarTree(archive, prefix, _index(archive, wanted))


@contextmanager
def _readable(archive: Path, page: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{archive} is damaged, cut off or no tar archive ({error}); get it again from {page}"
        ) from error


def _index(archive: Path, wanted: Callable[[str], bool]) -> dict[str, tuple[int, int]]:
    members = {}
    length = archive.stat().st_size
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            name = _plain(member.name)
            # A sparse file does not lie in one piece; data sets have none.
            if not member.isreg() or member.issparse() or not wanted(name):
                continue
            if member.offset_data + member.size > length:
                raise tarfile.ReadError(f"it ends inside {name}")
            members[name] = (member.offset_data, member.size)
    return members


def _unpack(archive: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    contents = {}
    total = 0
    # gzip and not tarfile's own stream: only the former compares the checksum at the end.
    with gzip.open(archive) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = _plain(member.name)
                if not member.isreg() or not wanted(name):
                    continue
                total += member.size
                if total > MEMORY_LIMIT:
                    raise DataError(
                        f"{archive} is compressed and holds more than "
                        f"{MEMORY_LIMIT / 1e9:g} GB of images, too much to keep in memory; "
                        f"extract it with: tar xf {archive.name}"
                    )
                contents[name] = cast(IO[bytes], tar.extractfile(member)).read()
        while stream.read(1 << 20):
            pass
    return contents


def _plain(name: str) -> str:
    return name.removeprefix("./")
