"""Loss and accuracy over the validation images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.batches import Batch, Share, as_float, val_batches
from trainer.config import TrainConfig
from trainer.data import ImageSource
from trainer.networks import ImageClassifier

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def evaluate(
    model: ImageClassifier,
    data: ImageSource,
    *,
    config: TrainConfig | None = None,
    fabric: Fabric | None = None,
) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy from 0 to 1, over the validation images.

    Parameters
    ----------
    model
        Is left in eval mode.
    data
        Images.
    config
        Says how batches are prepared; None: one after the other, here.
    fabric
        Of the run, for its precision, and to share the images out over its processes.
    """
    model.eval()
    config = config or TrainConfig()
    with torch.no_grad():
        if fabric is None:
            loss, right, count = _sums(model, val_batches(data, config, Share()))
        else:
            share = Share(fabric.global_rank, fabric.world_size)
            with fabric.autocast():
                sums = _sums(model, val_batches(data, config, share))
            from trainer.fabric import add_up

            loss, right, count = add_up(fabric, *sums)
    return loss / count, right / count


def _sums(model: ImageClassifier, batches: Iterable[Batch]) -> tuple[float, float, float]:
    """Loss, rightly named images and images, added up."""
    loss, right, count = 0.0, 0, 0
    device = model.mean.device
    for batch in batches:
        label = batch.label.to(device)
        logits = model(as_float(batch.image, device)).float()
        loss += functional.cross_entropy(logits, label, reduction="sum").item()
        right += int((logits.argmax(1) == label).sum())
        count += len(label)
    return loss, right, count
