"""The numerical reference: what is true, in float64 NumPy, written to be read beside the papers.

Numba twins of what is slow are in :mod:`reference.compiled`, the mpmath arbiter in
:mod:`reference.high_precision`; neither is imported here.
"""

from reference.cpmf import (
    Cpmf,
    Partials,
    cpmf,
    hard_quantize,
    max_level_from_bits,
    soft_quantize,
    soft_quantize_partials,
)

__all__ = [
    "Cpmf",
    "Partials",
    "cpmf",
    "hard_quantize",
    "max_level_from_bits",
    "soft_quantize",
    "soft_quantize_partials",
]
