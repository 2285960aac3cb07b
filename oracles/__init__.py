"""Test oracles: judge any implementation against the reference and against identities.

Start with :func:`verify_soft_quantizer`. The modules :mod:`oracles.tolerance` (how far a sound
implementation may be off) and :mod:`oracles.adapters` (functions in other frameworks, programs in
other languages) serve tests as well. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oracles.adapters import (
        array_function,
        process_function,
        torch_cpmf,
        torch_diff_jpeg,
        torch_jpeg_codec,
        torch_jpeg_layer,
        torch_quantizer_baseline,
        torch_rounding,
        torch_soft_quantizer,
    )
    from oracles.baselines.judge import verify_quantizer_baseline
    from oracles.codec.cases import codec_case
    from oracles.codec.judge import verify_jpeg_codec
    from oracles.contract import ContractError
    from oracles.cpmf.judge import verify_cpmf
    from oracles.diff_jpeg.judge import verify_diff_jpeg
    from oracles.diff_jpeg.rounding import verify_rounding
    from oracles.layer.judge import verify_jpeg_layer
    from oracles.quantizer.judge import verify_soft_quantizer
    from oracles.quantizer.replay import Replay, replay_point
    from oracles.quantizer.search import search_worst
    from oracles.quantizer.search_result import SearchResult
    from oracles.report import Check, ErrorMap, Location, Report
    from oracles.tolerance import Tolerances, tolerances
    from oracles.vectors import verify_layer_vectors, verify_results, verify_vectors

__all__ = [
    "Check",
    "ContractError",
    "ErrorMap",
    "Location",
    "Replay",
    "Report",
    "SearchResult",
    "Tolerances",
    "array_function",
    "codec_case",
    "process_function",
    "replay_point",
    "search_worst",
    "tolerances",
    "torch_cpmf",
    "torch_diff_jpeg",
    "torch_jpeg_codec",
    "torch_jpeg_layer",
    "torch_quantizer_baseline",
    "torch_rounding",
    "torch_soft_quantizer",
    "verify_cpmf",
    "verify_diff_jpeg",
    "verify_jpeg_codec",
    "verify_jpeg_layer",
    "verify_layer_vectors",
    "verify_quantizer_baseline",
    "verify_results",
    "verify_rounding",
    "verify_soft_quantizer",
    "verify_vectors",
]

_HOMES = {
    "Replay": "quantizer.replay",
    "replay_point": "quantizer.replay",
    "SearchResult": "quantizer.search_result",
    "search_worst": "quantizer.search",
    "Check": "report",
    "ContractError": "contract",
    "ErrorMap": "report",
    "Location": "report",
    "Report": "report",
    "Tolerances": "tolerance",
    "array_function": "adapters",
    "process_function": "adapters",
    "tolerances": "tolerance",
    "torch_cpmf": "adapters",
    "torch_diff_jpeg": "adapters",
    "torch_rounding": "adapters",
    "torch_jpeg_codec": "adapters",
    "torch_jpeg_layer": "adapters",
    "torch_quantizer_baseline": "adapters",
    "torch_soft_quantizer": "adapters",
    "verify_cpmf": "cpmf",
    "verify_diff_jpeg": "diff_jpeg",
    "verify_rounding": "diff_jpeg",
    "codec_case": "codec",
    "verify_jpeg_codec": "codec",
    "verify_jpeg_layer": "layer",
    "verify_layer_vectors": "vectors",
    "verify_quantizer_baseline": "baselines",
    "verify_results": "vectors",
    "verify_vectors": "vectors",
    "verify_soft_quantizer": "quantizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
