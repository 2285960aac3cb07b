"""One process of a data-parallel training run: ``python _ddp_worker.py RANK SIZE INIT OUT``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
STEPS, LEARNING_RATE = 3, 10.0


def batch() -> tuple[Tensor, Tensor]:
    make = torch.Generator().manual_seed(3)
    shape = (4, 3, 16, 16)
    image = torch.rand(shape, generator=make, dtype=torch.float64) * 255
    return image, torch.randn(shape, generator=make, dtype=torch.float64)


def train(module: nn.Module, image: Tensor, weight: Tensor) -> list[float]:
    """A few steps of gradient descent; the losses."""
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (module(image) * weight).mean(dim=(1, 2, 3)).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def make_layer() -> nn.Module:
    from torch_impl import JPEGLayer

    # float64: with a window of 5 at hbar = 0.7 the loss jumps, which would magnify rounding.
    q = torch.full((2, 8, 8), 0.6, dtype=torch.float64)
    layer = JPEGLayer(q, max_level=1023, window=5, hbar=0.7)
    with torch.no_grad():
        layer.q[0, 7, 7] = 300.0  # for the clamping rule
    return layer


def main(rank: int, size: int, init: str, out: str) -> None:
    import warnings

    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from torch_impl import TableClampWarning

    warnings.simplefilter("ignore", TableClampWarning)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=size)
    try:
        module = DistributedDataParallel(make_layer())
        image, weight = (x.chunk(size)[rank] for x in batch())
        losses = train(module, image, weight)
        torch.save({"losses": losses, "state": module.module.state_dict()}, f"{out}.{rank}")
        dist.barrier()
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
    # gloo's threads now and then abort the interpreter's own way out ("terminate called ...").
    os._exit(0)
