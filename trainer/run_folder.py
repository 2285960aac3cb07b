"""The folder of a run: checked before training, and every file in it replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.config import TrainConfig
from trainer.errors import RunFolderError

CONFIG_FILE = "config.json"


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


def prepare_folder(folder: Path) -> None:
    """Create a folder and prove that files can be written in it.

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
        raise RunFolderError(
            f"run folder {folder} cannot be written ({error.strerror}); "
            "choose another with --run-dir"
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
    path = folder / CONFIG_FILE
    if not path.exists():
        return
    try:
        owner = TrainConfig.from_json(path.read_text())
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}); remove the folder to start afresh, "
            "or choose another with --run-dir"
        ) from error
    if different := owner.differences(config):
        fields = "; ".join(
            f"{name} was {was!r}, now {now!r}" for name, (was, now) in different.items()
        )
        raise RunFolderError(
            f"run folder {folder} belongs to another configuration: {fields}. "
            "Give the same options to resume it, or choose another folder with --run-dir"
        )
