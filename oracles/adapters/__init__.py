"""Turn other people's functions into what the oracles judge."""

from __future__ import annotations

from oracles.adapters.arrays import array_function
from oracles.adapters.process import process_function
from oracles.adapters.torch_baseline import torch_quantizer_baseline
from oracles.adapters.torch_codec import torch_jpeg_codec
from oracles.adapters.torch_diff_jpeg import torch_diff_jpeg, torch_rounding
from oracles.adapters.torch_layer import torch_jpeg_layer
from oracles.adapters.torch_probabilities import torch_cpmf
from oracles.adapters.torch_quantizer import torch_soft_quantizer

__all__ = [
    "array_function",
    "process_function",
    "torch_cpmf",
    "torch_diff_jpeg",
    "torch_jpeg_codec",
    "torch_jpeg_layer",
    "torch_quantizer_baseline",
    "torch_rounding",
    "torch_soft_quantizer",
]
