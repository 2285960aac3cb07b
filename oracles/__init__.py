"""Test oracles: judge any implementation against the reference and against identities.

Start with :func:`verify_soft_quantizer`. The modules :mod:`oracles.tolerance` (how far a sound
implementation may be off) and :mod:`oracles.adapters` (functions in other frameworks, programs in
other languages) serve tests as well. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oracles.adapters import torch_soft_quantizer
    from oracles.contract import ContractError
    from oracles.quantizer import verify_soft_quantizer
    from oracles.report import Check, ErrorMap, Location, Report
    from oracles.tolerance import Tolerances, tolerances

__all__ = [
    "Check",
    "ContractError",
    "ErrorMap",
    "Location",
    "Report",
    "Tolerances",
    "tolerances",
    "torch_soft_quantizer",
    "verify_soft_quantizer",
]

_HOMES = {
    "Check": "report",
    "ContractError": "contract",
    "ErrorMap": "report",
    "Location": "report",
    "Report": "report",
    "Tolerances": "tolerance",
    "tolerances": "tolerance",
    "torch_soft_quantizer": "adapters",
    "verify_soft_quantizer": "quantizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
