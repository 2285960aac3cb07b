"""Training on a CUDA device: mixed precision with a real scaler, resume, sync of batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lightning_fabric")

from trainer import TrainConfig, train
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import ImageData

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("options", [{}, {"mixup": 0.8, "accumulate": 2, "window": 5}], ids=str)
def test_two_epochs_and_a_resumed_run(
    precision: str,
    options: dict[str, Any],
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    config = dataclasses.replace(
        config, device="cuda", precision=precision, epochs=2, checkpoint_steps=1, **options
    )
    whole = train(config, tmp_path / "whole", data=data)
    with pytest.raises(interruption):
        train(config, tmp_path / "cut", data=data, listener=interrupt_at(4))
    left = load_checkpoint(tmp_path / "cut" / CHECKPOINT_FILE).progress
    assert left["step"] == 4
    assert bool(left["scaler"]) == (precision == "16-mixed")
    cut = train(config, tmp_path / "cut", data=data)
    assert whole.q_tables is not None
    assert cut.q_tables is not None
    assert (whole.q_tables != 1.0).any()
    # Sums on a GPU come in any order: 16-bit roundings of the network over two steps.
    torch.testing.assert_close(cut.q_tables, whole.q_tables, rtol=0.01, atol=0.01)
    one, other = whole.history[-1], cut.history[-1]
    assert one.train_loss == pytest.approx(other.train_loss, rel=0.05)

    exact = train(dataclasses.replace(config, precision="32-true"), tmp_path / "32", data=data)
    # Six steps; a first step of 16-mixed may be skipped until the scale fits.
    assert one.train_loss == pytest.approx(exact.history[-1].train_loss, rel=0.2)
