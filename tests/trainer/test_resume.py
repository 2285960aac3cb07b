"""An interrupted run ends at the bits of an uninterrupted one, wherever it was cut."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer import _process
from trainer import (
    CheckpointError,
    DataError,
    RunFolderError,
    TrainConfig,
    TrainResult,
    loop,
    run_folder,
    train,
    training_run,
)
from trainer.checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint, save_checkpoint
from trainer.data import ImageData
from trainer.networks import ImageClassifier, build_model

ROOT = Path(__file__).parents[2]


def _without_times(result: TrainResult) -> list[dict[str, Any]]:
    return [dataclasses.asdict(m) | {"seconds": None} for m in result.history]


def _csv_without_times(folder: Path) -> list[list[str]]:
    return [line.split(",")[:-1] for line in (folder / "metrics.csv").read_text().splitlines()]


def assert_same_end(one: Path, other: Path) -> None:
    """All tensors (model and optimizers) equal in every bit, all metrics but the times."""
    first, second = (load_checkpoint(folder / CHECKPOINT_FILE) for folder in (one, other))
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name]), name
    assert _csv_without_times(one) == _csv_without_times(other)


@pytest.fixture
def whole(config: TrainConfig, data: ImageData, tmp_path: Path) -> Path:
    """Folder of an uninterrupted run of ``config``."""
    train(config, tmp_path / "whole", data=data)
    return tmp_path / "whole"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "baseline"},
        {"hbar": 0.7, "window": 5},
        # Each with what a step depends on besides the weights.
        {"checkpoint_steps": 1, "accumulate": 2, "window": 5, "mixup": 0.8, "cutmix": 1.0},
        {"checkpoint_steps": 2, "workers": 1, "optimizer": "adamw", "alpha_learning_rate": 0.01},
        {"checkpoint_steps": 1, "precision": "bf16-mixed", "quantizer": "uniform_noise"},
        {"checkpoint_steps": 1, "q_optimizer": "sgd", "tables": "coefficients"},
    ],
    ids=str,
)
@pytest.mark.parametrize("cuts", [[4], [1, 3, 2], [9]], ids=str)
def test_a_run_cut_at_any_step_ends_at_the_same_bits(
    options: dict[str, Any],
    cuts: list[int],
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    config = dataclasses.replace(config, **options)
    expected = train(config, tmp_path / "whole", data=data)
    for step in cuts:
        torch.manual_seed(step)  # whatever happened outside must not matter
        with pytest.raises(interruption):
            train(config, tmp_path / "cut", data=data, listener=interrupt_at(step))
    result = train(config, tmp_path / "cut", data=data)
    assert result.finished
    assert _without_times(result) == _without_times(expected)
    assert [m.epoch for m in result.history] == [1, 2, 3]
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def test_a_network_that_draws_random_numbers_resumes_too(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(*args: Any, **kwargs: Any) -> ImageClassifier:
        model = build_model(*args, **kwargs)
        model.network = torch.nn.Sequential(model.network, torch.nn.Dropout(0.5))
        return model

    monkeypatch.setattr(training_run, "build_model", build)
    train(config, tmp_path / "whole", data=data)
    with pytest.raises(interruption):
        train(config, tmp_path / "cut", data=data, listener=interrupt_at(5))
    train(config, tmp_path / "cut", data=data)
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("write", [*range(1, 7), *range(13, 19)])
def test_a_run_cut_between_or_inside_writes_ends_at_the_same_bits(
    write: int,
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    whole: Path,
    interruption: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace, calls = os.replace, iter(range(1, 100))

    def cut(source: Path, target: Path) -> None:
        # Odd: the new file is written, not yet in place. Even: it has just been put there.
        number = next(calls)
        if 2 * number - 1 == write:
            raise interruption
        replace(source, target)
        if 2 * number == write:
            raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(run_folder.os, "replace", cut)
        with pytest.raises(interruption):
            train(config, tmp_path / "cut", data=data)
    train(config, tmp_path / "cut", data=data)
    assert_same_end(whole, tmp_path / "cut")
    assert sorted(entry.name for entry in (tmp_path / "cut").iterdir()) == [
        ".lock",
        "checkpoint.safetensors",
        "config.json",
        "metrics.csv",
        "model.safetensors",
        "tables.safetensors",
    ]
    for name in ("model.safetensors", "tables.safetensors"):
        one, other = load_file(tmp_path / "cut" / name), load_file(whole / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a background shell
sys.path.insert(0, sys.argv.pop(1))
import typer, trainer.cli
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(trainer.cli.train)
app()
"""


KILLED = {"epochs": 30, "batch_size": 8, "width": 2, "dataset": "folder"}


@pytest.fixture(scope="module")
def never_killed(
    image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """Configuration and folder of an uninterrupted run on an image folder."""
    config = TrainConfig(**KILLED, data=str(image_folder))
    folder = tmp_path_factory.mktemp("never_killed")
    train(config, folder)
    return config, folder


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_resumes_to_the_same_bits(
    kill: signal.Signals, never_killed: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = never_killed
    arguments = [f"{name}={value}" for name, value in KILLED.items()]
    command = [sys.executable, "-c", SCRIPT, str(ROOT), f"--run-dir={tmp_path}"]
    command += [*arguments, f"data={config.data}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not (tmp_path / CHECKPOINT_FILE).exists():
        assert time.monotonic() < deadline, "no checkpoint appeared"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    time.sleep(random.Random(int(kill)).uniform(0.0, 0.1))
    process.send_signal(kill)
    _, errors = process.communicate(timeout=100)
    if kill == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert b"Interrupted. The same command resumes" in errors
        assert b"Traceback" not in errors
    done = load_checkpoint(tmp_path / CHECKPOINT_FILE).progress["history"]
    assert 0 < len(done) < config.epochs, "the signal was meant to come in the middle"

    train(config, tmp_path)
    assert_same_end(whole, tmp_path)


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (1, {"accumulate": 2, "mixup": 0.8, "window": 5, "checkpoint_steps": 1}),
        (2, {"workers": 1, "cutmix": 1.0, "checkpoint_steps": 2}),
    ],
)
def test_a_process_killed_at_a_random_step_resumes_to_the_same_bits(
    number: int, options: dict[str, Any], image_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        dataset="folder",
        data=str(image_folder),
        epochs=3,
        batch_size=8,
        width=2,
        **options,
    )
    step = random.Random(number).choice([2, 4, 5, 7, 8])  # none at the end of an epoch
    killed = _process.start(config, tmp_path / "cut", kill_at=step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = load_checkpoint(tmp_path / "cut" / CHECKPOINT_FILE).progress["step"]
    assert step - config.checkpoint_steps < left <= step
    train(config, tmp_path / "cut")
    train(config, tmp_path / "whole")
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize(
    "free", [{"workers": 1}, {"checkpoint_steps": 2}, {"checkpoint_steps": 0}], ids=str
)
def test_options_that_change_no_result_may_change_on_resume(
    free: dict[str, Any],
    whole: Path,
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    started = dataclasses.replace(config, checkpoint_steps=1)
    with pytest.raises(interruption):
        train(started, tmp_path / "cut", data=data, listener=interrupt_at(5))
    train(dataclasses.replace(config, **free), tmp_path / "cut", data=data)
    assert_same_end(whole, tmp_path / "cut")


def test_a_folder_of_another_recipe_is_refused_with_the_recipe_first(
    whole: Path, config: TrainConfig, data: ImageData
) -> None:
    other = dataclasses.replace(config, recipe="another", alpha=2.0, method="baseline")
    with pytest.raises(
        RunFolderError, match=r"another recipe: recipe was None, now 'another'; met"
    ):
        train(other, whole, data=data)


def test_two_processes_cannot_train_in_one_folder(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    with (
        run_folder.locked(tmp_path),
        pytest.raises(RunFolderError, match=r"another process is training in .*--run-dir"),
    ):
        train(config, tmp_path, data=data)
    assert train(config, tmp_path, data=data).finished  # the lock goes with its holder


def test_a_finished_run_is_only_read(
    whole: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (whole / CHECKPOINT_FILE).read_bytes()

    def no_work(*_: object) -> None:
        raise AssertionError("a finished run went on")

    monkeypatch.setattr(loop, "load_data", no_work)
    (whole / "metrics.csv").unlink()
    assert train(config, whole).finished
    assert (whole / CHECKPOINT_FILE).read_bytes() == before
    assert (whole / "metrics.csv").read_text().count("\n") == 1 + config.epochs


def test_another_configuration_is_refused_and_its_fields_named(
    whole: Path, config: TrainConfig, data: ImageData
) -> None:
    other = dataclasses.replace(config, width=4, alpha=2.0)
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    with pytest.raises(
        RunFolderError,
        match=r"another configuration: width was 2, now 4; alpha was 5\.0, now 2\.0.*--run-dir",
    ):
        train(other, whole, data=data)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_a_damaged_configuration_is_an_error(
    whole: Path, config: TrainConfig, data: ImageData
) -> None:
    (whole / "config.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"config\.json cannot be read"):
        train(config, whole, data=data)


def test_a_checkpoint_without_its_configuration_is_an_error(
    whole: Path, config: TrainConfig, data: ImageData
) -> None:
    (whole / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json beside it"):
        train(config, whole, data=data)


def _half_run(
    config: TrainConfig,
    data: ImageData,
    folder: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> Checkpoint:
    with pytest.raises(interruption):
        train(config, folder, data=data, listener=interrupt_at(5))
    return load_checkpoint(folder / CHECKPOINT_FILE)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.jpeg.q", lambda t: t[:, :4], r"jpeg\.q is .*\(2, 4, 8\).*needs .*\(2, 8, 8\)"),
        ("model.jpeg.q", lambda t: t.double(), r"jpeg\.q is torch\.float64"),
        ("model.network.classifier.bias", lambda t: None, "missing or unknown: network.class"),
        ("model.extra", lambda t: torch.zeros(1), "missing or unknown: extra"),
        ("optimizer.q.0.exp_avg", lambda t: t[0], r"q\.0\.exp_avg is \(8, 8\)"),
        ("optimizer.network.2.momentum_buffer", lambda t: None, "network optimizer state of 1"),
        ("optimizer.q.5.step", lambda t: torch.ones(()), "fits no parameter"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    name: str,
    change: Callable[[torch.Tensor | None], torch.Tensor | None],
    message: str,
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    checkpoint = _half_run(config, data, tmp_path, interrupt_at, interruption)
    changed = change(checkpoint.tensors.pop(name, None))
    if changed is not None:
        checkpoint.tensors[name] = changed
    save_checkpoint(tmp_path / CHECKPOINT_FILE, checkpoint)
    with pytest.raises(CheckpointError, match=message):
        train(config, tmp_path, data=data)


def test_a_cut_off_checkpoint_stops_the_run_instead_of_restarting_it(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    _half_run(config, data, tmp_path, interrupt_at, interruption)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-100])
    damaged = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"is damaged .*remove the folder"):
        train(config, tmp_path, data=data)
    assert path.read_bytes() == damaged


def test_other_images_on_resume_are_an_error(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    _half_run(config, data, tmp_path, interrupt_at, interruption)
    images = data.val_images.clone()
    images[0, 0, 0, 0] ^= 1
    with pytest.raises(DataError, match=r"not those that .* was begun with"):
        train(config, tmp_path, data=dataclasses.replace(data, val_images=images))
