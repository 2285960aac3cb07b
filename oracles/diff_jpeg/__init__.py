"""Judges of differentiable JPEG and of the substitutes of rounding that it is made of."""

from __future__ import annotations

from oracles.diff_jpeg.judge import verify_diff_jpeg
from oracles.diff_jpeg.rounding import verify_rounding

__all__ = ["verify_diff_jpeg", "verify_rounding"]
