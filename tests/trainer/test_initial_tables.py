"""What a run starts from: tables by rule or by measurement, weights of another run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from torch_impl import measure_coefficients, measure_sensitivity, standard_tables
from trainer import CheckpointError, RunFolderError, TrainConfig, TrainerError, train
from trainer._randomness import derive_seed, generator
from trainer.batches import Share
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import ImageData
from trainer.initial_tables import initial_tables
from trainer.progress import Silent
from trainer.saved_run import load_run


@pytest.fixture(scope="module")
def baseline(data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished baseline run."""
    folder = tmp_path_factory.mktemp("baseline")
    train(TrainConfig(method="baseline", epochs=1, batch_size=8, width=2), folder, data=data)
    return folder


def _tables(config: TrainConfig, data: ImageData) -> torch.Tensor | None:
    def ignore(done: int, total: int | None) -> None:
        pass

    device = torch.device("cpu")
    return initial_tables(config, data, share=Share(), device=device, progress=ignore)


def _augmented(config: TrainConfig, data: ImageData, images: int) -> list[tuple[Any, Any]]:
    """The first images that are measured, one at a time."""
    seed, found = derive_seed(config.seed, "tables"), []
    for step in range(-(-images // config.batch_size)):
        epoch, number = divmod(step, 3)
        order = torch.randperm(24, generator=generator(config.seed, "tables", "order", epoch + 1))
        index = order[number * 8 : number * 8 + 8]
        image = data.train_batch(index, seed=seed, step=step, augment=True).float()
        found += [(x[None], y[None]) for x, y in zip(image, data.train_labels[index], strict=True)]
    return found[:images]


def test_rules_that_measure_nothing(config: TrainConfig, data: ImageData) -> None:
    constant = _tables(dataclasses.replace(config, q_initial=2.5), data)
    assert constant is not None
    assert (constant == 2.5).all()
    standard = _tables(dataclasses.replace(config, tables="standard", quality=90), data)
    assert standard is not None
    assert torch.equal(standard, standard_tables(90))
    assert _tables(dataclasses.replace(config, method="baseline"), data) is None


def test_coefficients_are_those_of_augmented_training_images(
    config: TrainConfig, data: ImageData
) -> None:
    # More images than a pass holds, and no whole number of batches.
    config = dataclasses.replace(config, tables="coefficients", tables_images=29, max_level=127)
    expected = measure_coefficients(_augmented(config, data, 29)).tables(bits=8)
    # Float64 sums in another order, rounded to float32.
    torch.testing.assert_close(_tables(config, data), expected, rtol=1e-6, atol=0)


def test_sensitivity_is_that_of_the_baseline_in_training_mode(
    config: TrainConfig, data: ImageData, baseline: Path
) -> None:
    config = dataclasses.replace(
        config, tables="sensitivity", tables_from=str(baseline), tables_images=16, q_max=20.0
    )
    images = _augmented(config, data, 16)
    batches = [
        tuple(torch.cat(parts) for parts in zip(*images[i : i + 8], strict=True)) for i in (0, 8)
    ]
    network = load_run(baseline).model
    expected = measure_sensitivity(network, batches).tables(20.0)
    # Same batches, same sums; float32 gradients of a network on the same machine.
    torch.testing.assert_close(_tables(config, data), expected, rtol=1e-5, atol=0)
    frozen = measure_sensitivity(network, batches, training=False).tables(20.0)
    assert not torch.allclose(frozen, expected, rtol=0.05)


class _Ears(Silent):
    def __init__(self) -> None:
        self.heard: list[tuple[int, int | None]] = []

    def on_measure(self, run: str, done: int, total: int | None) -> None:
        self.heard.append((done, total))


def test_a_run_starts_from_its_tables_measures_once_and_keeps_them(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    config = dataclasses.replace(
        config, tables="coefficients", tables_images=20, q_learning_rate=0.0
    )
    with pytest.raises(interruption):
        train(config, tmp_path, data=data, listener=interrupt_at(5))
    ears = _Ears()
    result = train(config, tmp_path, data=data, listener=ears)
    assert ears.heard == []
    train(config, tmp_path / "new", data=data, listener=ears)
    assert ears.heard == [(8, 20), (16, 20), (20, 20)]
    assert result.q_initial is not None
    assert result.q_tables is not None
    assert torch.equal(result.q_initial, _tables(config, data))
    assert torch.equal(result.q_tables, result.q_initial)


def test_a_level_count_without_whole_bits_is_an_error(config: TrainConfig, data: ImageData) -> None:
    config = dataclasses.replace(config, tables="coefficients", max_level=100)
    with pytest.raises(TrainerError, match=r"max_level = 2\^\(b-1\) - 1 .* got 100"):
        _tables(config, data)


def test_grey_images_have_no_measured_tables(config: TrainConfig, data: ImageData) -> None:
    grey = dataclasses.replace(data, train_tiles=torch.full_like(data.train_tiles, 99))
    config = dataclasses.replace(config, tables="coefficients", tables_images=16)
    with pytest.raises(TrainerError, match=r'"coefficients" cannot be measured.*tables="constant"'):
        _tables(config, grey)


@pytest.mark.parametrize("option", ["tables_from", "pretrained"])
def test_another_run_must_be_finished_and_on_these_classes(
    option: str,
    config: TrainConfig,
    data: ImageData,
    baseline: Path,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    half = dataclasses.replace(config, method="baseline")
    with pytest.raises(interruption):
        train(half, tmp_path / "half", data=data, listener=interrupt_at(5))
    wanted = {"tables_from": {"tables": "sensitivity"}, "pretrained": {}}[option]
    own = dataclasses.replace(config, **{option: str(tmp_path / "half")}, **wanted)
    with pytest.raises(RunFolderError, match=rf"{option} = .* has done 1 of 3 epochs"):
        train(own, tmp_path / "own", data=data)
    own = dataclasses.replace(own, **{option: str(baseline)})
    others = dataclasses.replace(data, classes=("a", "b", "c"))
    with pytest.raises(RunFolderError, match=rf"{option} = .* trained on other classes: 3 \(blue"):
        train(own, tmp_path / "other", data=others)


def test_the_sensitivity_is_that_of_a_baseline(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    train(config, tmp_path / "jpeg", data=data)
    own = dataclasses.replace(config, tables="sensitivity", tables_from=str(tmp_path / "jpeg"))
    with pytest.raises(RunFolderError, match=r"run of method 'jpeg-dl'; .* baseline run"):
        train(own, tmp_path / "own", data=data)


def test_pretrained_weights_are_the_start(
    config: TrainConfig, data: ImageData, baseline: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        config, pretrained=str(baseline), epochs=1, learning_rate=1e-12, weight_decay=0.0
    )
    train(config, tmp_path, data=data)
    after = load_checkpoint(tmp_path / CHECKPOINT_FILE).tensors
    before = load_run(baseline).model.network
    for name, weight in before.named_parameters():
        # Three steps of a learning rate of 1e-12.
        torch.testing.assert_close(after[f"model.network.{name}"], weight, rtol=1e-6, atol=1e-9)
    other = dataclasses.replace(config, width=4)
    with pytest.raises(CheckpointError, match=r"weights do not fit .* same network and width"):
        train(other, tmp_path / "wider", data=data)
