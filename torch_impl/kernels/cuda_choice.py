"""When the Triton kernels apply; asking does not import Triton."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence

import torch
from torch import Tensor

# Triton's own lower limit, and the first GPUs with bfloat16.
_OLDEST = (8, 0)

# Level indices are float32, and rounded as such.
_LARGEST_LEVEL = 1 << 20


@functools.cache
def _usable(index: int) -> bool:
    if torch.version.hip is not None or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(index) >= _OLDEST


def supports(tensors: Sequence[Tensor], max_level: int) -> bool:
    """Whether the kernels apply: all on one CUDA device of compute capability 8.0 or above.

    float64 stays with the composition of torch operations, and so does a machine without Triton.
    """
    first = tensors[0].device
    return (
        first.type == "cuda"
        and max_level <= _LARGEST_LEVEL
        and all(t.device == first and t.dtype != torch.float64 for t in tensors)
        and _usable(first.index)
    )
