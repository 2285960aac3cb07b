"""A run read back, and what a finished run leaves for other programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from trainer import CheckpointError, RunFolderError, TrainConfig, train
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from trainer.data import ImageData
from trainer.evaluation import evaluate
from trainer.exports import MODEL_FILE, TABLES_FILE
from trainer.saved_run import load_run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "baseline", "preprocessing": "denoise"},
        {"quantizer": "straight_through", "subsampling": "4:2:0"},
        {"hbar": 0.7, "rounds": 2, "tables": "standard"},
        {"alpha_learning_rate": 0.01},
        {"placement": "stem.2", "max_level": 31},
        {"preprocessing": "resize", "normalization": "imagenet"},
    ],
    ids=str,
)
def test_the_model_read_back_is_the_one_validated(
    options: dict[str, Any], config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    if "placement" in options:
        options = {**options, "placement": _a_relu(config)}
    config = dataclasses.replace(config, **options, epochs=2)
    result = train(config, tmp_path, data=data)
    torch.manual_seed(11)
    state = torch.get_rng_state()
    run = load_run(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert run.finished
    assert not run.model.training
    assert (run.config, run.history, run.classes) == (config, result.history, data.classes)
    assert run.size == data.size
    # The same numbers in the same order on the same machine.
    last = run.history[-1]
    assert evaluate(run.model, data) == (last.val_loss, last.val_accuracy)

    exported = load_file(tmp_path / MODEL_FILE)
    assert exported.keys() == run.model.state_dict().keys()
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(exported[name], tensor), name
    with safe_open(tmp_path / MODEL_FILE, framework="pt") as file:
        header = file.metadata()
    assert TrainConfig.from_json(header["config"]) == config
    assert tuple(json.loads(header["classes"])) == data.classes
    quantizer = run.model.quantizer
    assert (tmp_path / TABLES_FILE).exists() == (quantizer is not None)
    if quantizer is not None:
        tables = load_file(tmp_path / TABLES_FILE)
        assert torch.equal(tables["q"], quantizer.q)
        assert ("alpha" in tables) == (config.quantizer == "soft")
        assert result.q_tables is not None
        assert torch.equal(result.q_tables, quantizer.q)


def _a_relu(config: TrainConfig) -> str:
    from trainer.networks import SmallCNN

    network = SmallCNN(3, config.width)
    return next(n for n, m in network.named_modules() if isinstance(m, torch.nn.ReLU))


def test_a_run_under_way_can_be_read_and_the_start_is_kept(
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    config = dataclasses.replace(config, q_initial=3.0, checkpoint_steps=1)
    with pytest.raises(interruption):
        train(config, tmp_path, data=data, listener=interrupt_at(5))
    run = load_run(tmp_path)
    assert not run.finished
    assert len(run.history) == 1
    assert run.q_initial is not None
    assert run.q_initial.shape == (2, 8, 8)
    assert (run.q_initial == 3.0).all()
    assert run.model.jpeg is not None
    assert (run.model.jpeg.q != 3.0).all()
    result = train(config, tmp_path, data=data)
    assert result.q_initial is not None
    assert torch.equal(result.q_initial, run.q_initial)


def test_what_an_interruption_kept_from_being_written_is_written(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    train(config, tmp_path, data=data)
    before = load_file(tmp_path / MODEL_FILE)
    for name in (MODEL_FILE, TABLES_FILE, "metrics.csv"):
        (tmp_path / name).unlink()
    train(config, tmp_path, data=data)
    after = load_file(tmp_path / MODEL_FILE)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert (tmp_path / TABLES_FILE).exists()
    assert (tmp_path / "metrics.csv").exists()


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"is no run folder: it has no config\.json"):
        load_run(tmp_path / "nowhere")


def test_a_run_without_a_checkpoint_is_an_error(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config.to_json())
    with pytest.raises(RunFolderError, match=r"has no checkpoint\.safetensors yet"):
        load_run(tmp_path)


def test_a_checkpoint_that_does_not_fit_is_an_error(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    train(config, tmp_path, data=data)
    path = tmp_path / CHECKPOINT_FILE
    sound = load_checkpoint(path)
    wider = dataclasses.replace(config, width=4)
    (tmp_path / "config.json").write_text(wider.to_json())
    with pytest.raises(CheckpointError, match=r"network\..* is .* the model needs"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text(config.to_json())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_run(tmp_path)
    save_checkpoint(path, sound)
    assert load_run(tmp_path).finished
