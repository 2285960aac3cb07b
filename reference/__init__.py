"""The numerical reference: what is true, in float64 NumPy, written to be read beside the papers.

Numba twins of what is slow are in :mod:`reference.compiled`, the mpmath arbiter in
:mod:`reference.high_precision`; neither is imported here.
"""

from reference.blocks import dct2, from_zigzag, idct2, merge_blocks, split_blocks, to_zigzag
from reference.color import rgb_to_ycbcr, ycbcr_to_rgb
from reference.cpmf import (
    Cpmf,
    Partials,
    cpmf,
    hard_quantize,
    max_level_from_bits,
    soft_quantize,
    soft_quantize_partials,
)
from reference.jpeg_layer import LayerGradients, jpeg_layer, jpeg_layer_vjp
from reference.sampling import downsample, upsample
from reference.standard import annex_k_tables

__all__ = [
    "Cpmf",
    "LayerGradients",
    "Partials",
    "annex_k_tables",
    "cpmf",
    "dct2",
    "downsample",
    "from_zigzag",
    "hard_quantize",
    "idct2",
    "jpeg_layer",
    "jpeg_layer_vjp",
    "max_level_from_bits",
    "merge_blocks",
    "rgb_to_ycbcr",
    "soft_quantize",
    "soft_quantize_partials",
    "split_blocks",
    "to_zigzag",
    "upsample",
    "ycbcr_to_rgb",
]
