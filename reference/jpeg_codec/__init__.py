"""Baseline JPEG in integers, equal to libjpeg-turbo in every pixel and every byte.

    colour -> sampling -> integer DCT -> quantization -> entropy coding -> markers

and back. The modules have these names; :mod:`reference.entropy` holds the entropy coding. The
same pipeline in float64, for the mathematics, is :mod:`reference.jpeg_layer`; docs/codec.md says
where and by how much the two differ.
"""

from reference.jpeg_codec.codec import (
    MAX_PIXELS,
    coefficients,
    decode,
    encode,
    file_size,
    roundtrip,
)
from reference.jpeg_codec.errors import JPEGError
from reference.jpeg_codec.statistics import block_bits, count_symbols

__all__ = [
    "MAX_PIXELS",
    "JPEGError",
    "block_bits",
    "coefficients",
    "count_symbols",
    "decode",
    "encode",
    "file_size",
    "roundtrip",
]
