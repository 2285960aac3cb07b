"""What is fast: the trainable JPEG of the papers as torch functions and modules."""

from torch_impl.jpeg_layer import JPEGLayer, TableClampWarning
from torch_impl.masking import MaskedWindowWarning, masked_distance
from torch_impl.soft_quantize import soft_quantize

__all__ = [
    "JPEGLayer",
    "MaskedWindowWarning",
    "TableClampWarning",
    "masked_distance",
    "soft_quantize",
]
