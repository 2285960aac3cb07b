"""Several processes train one model: what one process would, and resumed like it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.trainer import _process
from trainer import TrainConfig, TrainerError, TrainResult, train
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import load_data
from trainer.evaluation import evaluate
from trainer.fabric import launch
from trainer.loop import read_run
from trainer.processes import Processes, processes
from trainer.saved_run import load_run

NETWORK = f"{_process.__name__}:{_process.group_norm_network.__name__}"


@pytest.fixture(scope="module")
def base(image_folder: Path) -> TrainConfig:
    """Six steps of 8 images, on a network without batch statistics."""
    return TrainConfig(
        dataset="folder", data=str(image_folder), network=NETWORK, epochs=2, batch_size=8
    )


def _result(folder: Path, config: TrainConfig) -> TrainResult:
    result = read_run(folder, config)
    assert result is not None
    assert result.finished
    return result


def _assert_close(one: TrainResult, other: TrainResult) -> None:
    """Equal but for the order of sums.

    A float32 mean of 8 losses or gradients against that of two means of 4: relative 1e-7 each,
    carried through six steps of SGD.
    """
    for mine, theirs in zip(one.history, other.history, strict=True):
        for name in ("train_loss", "val_loss", "q_mean", "q_min", "q_max"):
            assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-5), name
        assert mine.train_accuracy == theirs.train_accuracy
        assert mine.val_accuracy == theirs.val_accuracy


def test_two_processes_train_what_one_does(base: TrainConfig, tmp_path: Path) -> None:
    config = dataclasses.replace(base, accumulate=2, mixup=0.8, cutmix=1.0, window=5)
    alone = train(config, tmp_path / "one")
    done = _process.start(config, tmp_path / "two", processes=2)
    assert done.returncode == 0, done.stderr
    _assert_close(_result(tmp_path / "two", config), alone)
    assert {entry.name for entry in (tmp_path / "two").iterdir()} == {
        entry.name for entry in (tmp_path / "one").iterdir()
    }


def test_a_batch_in_parts_is_that_batch(base: TrainConfig, tmp_path: Path) -> None:
    whole = train(base, tmp_path / "whole")
    parts = train(dataclasses.replace(base, accumulate=4), tmp_path / "parts")
    _assert_close(parts, whole)
    assert parts.history[-1].train_loss != whole.history[-1].train_loss  # in the last bits


@pytest.mark.slow
def test_two_processes_resume_to_the_same_bits(base: TrainConfig, tmp_path: Path) -> None:
    # Batch statistics and random layers, which each process has of its own.
    config = dataclasses.replace(
        base,
        network="small_cnn",
        width=2,
        quantizer="uniform_noise",
        tables="coefficients",
        tables_images=20,
        checkpoint_steps=1,
    )
    whole = _process.start(config, tmp_path / "whole", processes=2)
    assert whole.returncode == 0, whole.stderr
    cut = _process.start(config, tmp_path / "cut", processes=2, kill_at=4)
    assert cut.returncode != 0
    assert load_checkpoint(tmp_path / "cut" / CHECKPOINT_FILE).progress["step"] == 4
    resumed = _process.start(config, tmp_path / "cut", processes=2)
    assert resumed.returncode == 0, resumed.stderr
    one, other = (load_checkpoint(tmp_path / n / CHECKPOINT_FILE) for n in ("whole", "cut"))
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    # Validated was what was saved, although batch statistics differ between the processes.
    run = load_run(tmp_path / "whole")
    loss, accuracy = evaluate(run.model, load_data(config))
    # 15 images in one sum or, by process, in several: float32 roundings.
    assert loss == pytest.approx(run.history[-1].val_loss, rel=1e-5)
    assert accuracy == run.history[-1].val_accuracy


def test_torchrun_and_slurm_say_how_many_processes_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert processes() == Processes(rank=0, world=1, nodes=1)
    slurm = {"NTASKS": "8", "NNODES": "2", "PROCID": "5", "NTASKS_PER_NODE": "4", "JOB_NAME": "x"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert processes() == Processes(rank=5, world=8, nodes=2)
    monkeypatch.setenv("SLURM_NNODES", "3")
    with pytest.raises(TrainerError, match=r"8 tasks on 3 nodes; give --ntasks-per-node"):
        processes()
    torchrun = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RUN_ID": "x"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name if name != "RUN_ID" else "TORCHELASTIC_RUN_ID", value)
    assert processes() == Processes(rank=1, world=4, nodes=2)  # within SLURM as well


def test_a_batch_that_cannot_be_shared_out_is_an_error(
    base: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.fabric.processes", lambda: Processes(world=4))
    with pytest.raises(TrainerError, match=r"batch_size = 8 .* processes x accumulate = 4 x 4"):
        launch(dataclasses.replace(base, accumulate=4))
