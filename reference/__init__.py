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
from reference.feature_quantizer import feature_quantizer, feature_quantizer_vjp
from reference.jpeg_layer import LayerGradients, jpeg_layer, jpeg_layer_vjp
from reference.quantizer_baselines import (
    StepPartials,
    cubic_partials,
    hard_partials,
    learned_steps,
    step_gradient_scale,
    straight_through_partials,
    uniform_noise_partials,
)
from reference.sampling import downsample, upsample
from reference.standard import annex_k_tables
from reference.table_init import (
    mean_absolute_coefficients,
    sensitivity_from_gradients,
    tables_from_coefficients,
    tables_from_sensitivity,
)

__all__ = [
    "Cpmf",
    "LayerGradients",
    "Partials",
    "StepPartials",
    "annex_k_tables",
    "cpmf",
    "cubic_partials",
    "dct2",
    "downsample",
    "feature_quantizer",
    "feature_quantizer_vjp",
    "from_zigzag",
    "hard_partials",
    "hard_quantize",
    "idct2",
    "jpeg_layer",
    "jpeg_layer_vjp",
    "learned_steps",
    "max_level_from_bits",
    "mean_absolute_coefficients",
    "merge_blocks",
    "rgb_to_ycbcr",
    "sensitivity_from_gradients",
    "soft_quantize",
    "soft_quantize_partials",
    "split_blocks",
    "step_gradient_scale",
    "straight_through_partials",
    "tables_from_coefficients",
    "tables_from_sensitivity",
    "to_zigzag",
    "uniform_noise_partials",
    "upsample",
    "ycbcr_to_rgb",
]
