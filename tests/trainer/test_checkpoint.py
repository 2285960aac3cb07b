"""Checkpoints: bits in, the same bits out; anything else is an error that says what to do."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainer import CheckpointError, DivergenceError, RunFolderError, run_folder
from trainer.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from trainer.run_folder import prepare_folder, write_atomically

REMEDY = "Put back a good copy, or remove the folder"


@pytest.fixture
def checkpoint() -> Checkpoint:
    tensors = {
        "model.weight": torch.tensor([[1.5, -0.0], [1e-45, 3.4e38]]),
        "model.count": torch.tensor(3),
        "optimizer.q.0.step": torch.tensor(7.0),
        "model.turned": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    }
    return Checkpoint(tensors, {"history": [{"loss": 0.1 + 0.2}], "note": "α ≥ 0"})


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    return (
        one.progress == other.progress
        and one.tensors.keys() == other.tensors.keys()
        and all(
            torch.equal(t, other.tensors[n]) and t.dtype == other.tensors[n].dtype
            for n, t in one.tensors.items()
        )
    )


def test_what_was_saved_is_loaded_bit_for_bit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint)
    again = load_checkpoint(path)
    assert _same(checkpoint, again)
    assert torch.signbit(again.tensors["model.weight"][0, 1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.safetensors"]


def test_no_flipped_bit_goes_unseen(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint)
    sound = path.read_bytes()
    refused = 0
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            # A bit that carries nothing (the padding of the header) may flip.
            assert _same(checkpoint, load_checkpoint(path)), f"byte {place} changed the content"
        except CheckpointError:
            refused += 1
    assert refused > 0.95 * len(sound)


def test_no_cut_goes_unseen(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint)
    sound = path.read_bytes()
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        with pytest.raises(CheckpointError, match=REMEDY):
            load_checkpoint(path)


def test_a_pickle_in_its_place_is_never_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "c.safetensors", tmp_path / "trace"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (trace,))

    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(CheckpointError, match=REMEDY):
        load_checkpoint(path)
    assert not trace.exists()


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"its format is None.*" + REMEDY):
        load_checkpoint(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_tensor_never_replaces_the_last_good_checkpoint(
    bad: float, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint)
    spoilt = Checkpoint({"model.weight": torch.tensor([1.0, bad])}, {})
    with pytest.raises(DivergenceError, match=r"model\.weight holds NaN or infinity"):
        save_checkpoint(path, spoilt)
    assert _same(checkpoint, load_checkpoint(path))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder.os, "fsync", disk_full)
    with pytest.raises(RunFolderError, match=r"cannot write .*file: No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_leftover_of_a_crash_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"half of an earlier, longer write")
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_below_a_file_cannot_be_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot be written .*--run-dir"):
        prepare_folder(tmp_path / "file" / "run")


def test_a_folder_that_takes_no_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Simulated, because the superuser may write to folders without write permission.
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", denied)
    with pytest.raises(RunFolderError, match=r"Permission denied.*--run-dir"):
        prepare_folder(tmp_path)
