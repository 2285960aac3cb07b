"""What a finished run leaves for other programs: its model and its tables as safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from trainer.checkpoint import Checkpoint
from trainer.config import TrainConfig
from trainer.run_folder import write_atomically

MODEL_FILE = "model.safetensors"
TABLES_FILE = "tables.safetensors"


def export_model(folder: Path, config: TrainConfig, checkpoint: Checkpoint) -> None:
    """Write ``model.safetensors`` and, with a JPEG layer, ``tables.safetensors``, if missing.

    The first is the ``state_dict`` of ``trainer.networks.ImageClassifier``; the second has "q" and,
    for the soft quantizer, "alpha", both (2, 8, 8) in natural order ((rounds, 2, 8, 8) with several
    rounds, (C, 8, 8) in place of a ReLU). The header of both has "config" (JSON) and "classes"
    (JSON list).
    """
    header = {
        "format": "pt",
        "config": config.to_json(),
        "classes": json.dumps(checkpoint.progress["classes"]),
    }
    model = {
        name.removeprefix("model."): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("model.")
    }
    for name, content in ((MODEL_FILE, model), (TABLES_FILE, tables_of(config, model))):
        if content and not (folder / name).exists():
            write_atomically(folder / name, save(content, metadata=header))


def tables_of(config: TrainConfig, model: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tables "q" and "alpha" among the tensors of a model; nothing for the baseline."""
    if config.method == "baseline":
        return {}
    place = "jpeg" if config.placement == "input" else f"network.{config.placement}"
    names = {name: f"{place}.{name}" for name in ("q", "alpha")}
    return {name: model[full].contiguous() for name, full in names.items() if full in model}
