"""Turn other people's functions into what the oracles judge."""

from __future__ import annotations

from oracles.adapters.torch_quantizer import torch_soft_quantizer

__all__ = ["torch_soft_quantizer"]
