"""The folder of a run: checked before training, and every file in it replaced whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.config import TrainConfig
from trainer.errors import RunFolderError

CONFIG_FILE = "config.json"
LOCK_FILE = ".lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new, never a part.

    Raises
    ------
    RunFolderError
        If the folder does not take the file (rights, full disk).
    """
    temporary = path.with_name(f".{path.name}.tmp")  # one fixed name: a crash leaves no pile
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFolderError(f"cannot write {path}: {error.strerror}") from error


def prepare_folder(folder: Path, *, option: str = "--run-dir") -> None:
    """Create a folder and prove that files can be written in it.

    Parameters
    ----------
    folder
        Of the run, or of other files that a command writes.
    option
        Of the command, by which its user chooses another.

    Raises
    ------
    RunFolderError
        If not; raised before anything is trained.
    """
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        what = "run folder" if option == "--run-dir" else "folder"
        raise RunFolderError(
            f"{what} {folder} cannot be written ({error.strerror}); choose another with {option}"
        ) from error


def claim_folder(folder: Path, config: TrainConfig) -> None:
    """Make a folder this configuration's, or see that it already is.

    Raises
    ------
    RunFolderError
        If it belongs to another configuration (the message names the differing fields), its
        configuration cannot be read, or it cannot be written.
    """
    check_owner(folder, config)
    path = folder / CONFIG_FILE
    if not path.exists():
        write_atomically(path, config.to_json().encode())


def check_owner(folder: Path, config: TrainConfig) -> None:
    """See that a folder is new or belongs to this configuration, without touching it.

    Raises
    ------
    RunFolderError
        As ``claim_folder``.
    """
    if not (folder / CONFIG_FILE).exists():
        return
    different = read_config(folder).differences(config)
    if not different:
        return
    # The recipe first: a mixed-up folder shows there, and the other fields follow from it.
    order = sorted(different, key=lambda name: name != "recipe")
    fields = "; ".join(
        f"{name} was {different[name][0]!r}, now {different[name][1]!r}" for name in order
    )
    what = "recipe" if "recipe" in different else "configuration"
    raise RunFolderError(
        f"run folder {folder} belongs to another {what}: {fields}. "
        "Give the same options to resume it, or choose another folder with --run-dir"
    )


def read_config(folder: Path) -> TrainConfig:
    """The configuration that a folder belongs to.

    Raises
    ------
    RunFolderError
        If it cannot be read.
    """
    path = folder / CONFIG_FILE
    try:
        return TrainConfig.from_json(path.read_text())
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}); remove the folder to start afresh, "
            "or choose another with --run-dir"
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process from training in a folder, until this one leaves or dies.

    Raises
    ------
    RunFolderError
        If another process trains in it.
    """
    path = folder / LOCK_FILE
    try:
        file = path.open("wb")
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFolderError(
                f"another process is training in {folder}; wait for it, or choose another folder "
                "with --run-dir"
            ) from error
        except OSError:  # a file system without locks: nothing to hold
            pass
        yield
