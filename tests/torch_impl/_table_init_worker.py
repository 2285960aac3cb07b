"""One process that measures tables: ``python _table_init_worker.py RANK SIZE INIT OUT BREAK``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
IMAGES, LIMIT = 11, 9


def data() -> tuple[Tensor, Tensor]:
    make = torch.Generator().manual_seed(4)
    images = torch.rand(IMAGES, 3, 12, 16, generator=make, dtype=torch.float64) * 255
    return images, torch.randint(0, 5, (IMAGES,), generator=make)


def network() -> nn.Module:
    torch.manual_seed(5)
    layers = nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)
    model = nn.Sequential(*layers).double()
    # DistributedDataParallel broadcasts buffers before each batch, and the processes have not
    # equally many: it must be left out.
    model.register_buffer("unused", torch.zeros(3))
    return model


def measure(model: nn.Module, batches: list[Any]) -> dict[str, Tensor]:
    from torch_impl import measure_coefficients, measure_sensitivity

    s = measure_sensitivity(model, batches, max_images=LIMIT)
    m = measure_coefficients(batches)
    return {
        "s": torch.stack([s.S_Y, s.S_Cb, s.S_Cr]),
        "m": torch.stack([m.Y, m.Cb, m.Cr]),
        "images": torch.tensor([s.images, m.images]),
    }


def main(rank: int, size: int, init: str, out: str, fail: bool) -> None:
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=size)
    try:
        images, labels = (x[rank::size] for x in data())  # 6 and 5 images
        if fail and rank == 1:
            images = images - 300
        batches = list(zip(images.split(2), labels.split(2), strict=True))
        try:
            result: Any = measure(DistributedDataParallel(network()), batches)
        except (RuntimeError, ValueError) as error:
            result = f"{type(error).__name__}: {error}"
        torch.save(result, f"{out}.{rank}")
        dist.barrier()
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5] == "1")
    # gloo's threads now and then abort the interpreter's own way out ("terminate called ...").
    os._exit(0)
