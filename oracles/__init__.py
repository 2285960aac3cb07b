"""Test oracles: judge any implementation against the reference and against identities.

Start with :func:`verify_soft_quantizer`. The modules :mod:`oracles.tolerance` (how far a sound
implementation may be off) and :mod:`oracles.adapters` (torch functions) serve tests as well.
"""

from __future__ import annotations

from oracles.adapters import torch_soft_quantizer
from oracles.quantizer import verify_soft_quantizer
from oracles.report import Check, Location, Report
from oracles.tolerance import Tolerances, tolerances

__all__ = [
    "Check",
    "Location",
    "Report",
    "Tolerances",
    "tolerances",
    "torch_soft_quantizer",
    "verify_soft_quantizer",
]
