"""What is fast: the trainable JPEG of the papers as torch functions and modules."""

from torch_impl.diff_jpeg import DiffJPEG, diff_jpeg
from torch_impl.diff_jpeg_peers import ABLATION, PEERS, Peer
from torch_impl.feature_quantizer import FeatureQuantizer, replace_relu
from torch_impl.jpeg_layer import JPEGLayer, TableClampWarning
from torch_impl.jpeg_roundtrip import jpeg_coefficients, jpeg_roundtrip
from torch_impl.masking import MaskedWindowWarning, masked_distance
from torch_impl.muller import MULLER_RESNET50_BIASES, MULLER_RESNET50_WEIGHTS, MullerResizer
from torch_impl.preprocessing import GaussianDenoise, HistogramEqualization
from torch_impl.quantizer_baselines import (
    cubic_quantize,
    hard_quantize,
    learned_steps,
    straight_through_quantize,
    uniform_noise_quantize,
)
from torch_impl.random_jpeg import RandomJPEG
from torch_impl.soft_quantize import soft_quantize
from torch_impl.table_init import (
    CoefficientMeans,
    Sensitivity,
    measure_coefficients,
    measure_sensitivity,
    standard_tables,
    unit_tables,
)

__all__ = [
    "ABLATION",
    "MULLER_RESNET50_BIASES",
    "MULLER_RESNET50_WEIGHTS",
    "PEERS",
    "CoefficientMeans",
    "DiffJPEG",
    "FeatureQuantizer",
    "GaussianDenoise",
    "HistogramEqualization",
    "JPEGLayer",
    "MaskedWindowWarning",
    "MullerResizer",
    "Peer",
    "RandomJPEG",
    "Sensitivity",
    "TableClampWarning",
    "cubic_quantize",
    "diff_jpeg",
    "hard_quantize",
    "jpeg_coefficients",
    "jpeg_roundtrip",
    "learned_steps",
    "masked_distance",
    "measure_coefficients",
    "measure_sensitivity",
    "replace_relu",
    "soft_quantize",
    "standard_tables",
    "straight_through_quantize",
    "uniform_noise_quantize",
    "unit_tables",
]
