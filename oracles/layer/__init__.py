"""The judge of JPEG layers and their vector-Jacobian products."""

from __future__ import annotations

from oracles.layer.judge import verify_jpeg_layer

__all__ = ["verify_jpeg_layer"]
