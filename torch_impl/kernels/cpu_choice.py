"""When the Numba kernels apply; asking does not import Numba."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_LEVEL = 1 << 20
"""The kernels round levels in float32 by a trick that works up to 2^22."""


def supports(tensors: Sequence[Tensor], max_level: int) -> bool:
    """Whether the kernels apply: everything on the CPU, computing in float32."""
    return max_level <= LARGEST_LEVEL and all(
        t.device.type == "cpu" and t.dtype != torch.float64 for t in tensors
    )
