"""Implementations whose verdict is known: faulty ones, which a judge has to reject, and sound ones.

They are the test of the oracles themselves, and of yours: :func:`cases` gives every faulty one with
the support for which it is a fault, ``SOUND`` the sound quantizers by name. Imported when first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oracles.mutants.baselines import BASELINE_MUTANTS
    from oracles.mutants.baselines_sound import BASELINE_SOUND
    from oracles.mutants.calls import CALL_MUTANTS
    from oracles.mutants.codec import CODEC_MUTANTS
    from oracles.mutants.codec_sound import CODEC_SOUND
    from oracles.mutants.cpmf import CPMF_MUTANTS
    from oracles.mutants.diff_jpeg import DIFF_JPEG_MUTANTS
    from oracles.mutants.diff_jpeg_sound import DIFF_JPEG_SOUND
    from oracles.mutants.families import FAMILIES, cases
    from oracles.mutants.layer import LAYER_MUTANTS
    from oracles.mutants.quantizer import MUTANTS
    from oracles.mutants.quantizer_more import MORE_MUTANTS
    from oracles.mutants.rounding import ROUNDING_MUTANTS
    from oracles.mutants.rounding_sound import ROUNDING_SOUND
    from oracles.mutants.sound import SOUND
    from oracles.mutants.table import Mutant

__all__ = [
    "BASELINE_MUTANTS",
    "BASELINE_SOUND",
    "CALL_MUTANTS",
    "CODEC_MUTANTS",
    "CODEC_SOUND",
    "CPMF_MUTANTS",
    "DIFF_JPEG_MUTANTS",
    "DIFF_JPEG_SOUND",
    "FAMILIES",
    "LAYER_MUTANTS",
    "MORE_MUTANTS",
    "MUTANTS",
    "ROUNDING_MUTANTS",
    "ROUNDING_SOUND",
    "SOUND",
    "Mutant",
    "cases",
]

_HOMES = {
    "BASELINE_MUTANTS": "baselines",
    "BASELINE_SOUND": "baselines_sound",
    "CALL_MUTANTS": "calls",
    "CODEC_MUTANTS": "codec",
    "CODEC_SOUND": "codec_sound",
    "CPMF_MUTANTS": "cpmf",
    "DIFF_JPEG_MUTANTS": "diff_jpeg",
    "DIFF_JPEG_SOUND": "diff_jpeg_sound",
    "ROUNDING_MUTANTS": "rounding",
    "ROUNDING_SOUND": "rounding_sound",
    "FAMILIES": "families",
    "LAYER_MUTANTS": "layer",
    "MORE_MUTANTS": "quantizer_more",
    "MUTANTS": "quantizer",
    "SOUND": "sound",
    "Mutant": "table",
    "cases": "families",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
