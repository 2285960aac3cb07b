"""The judge of JPEG codecs: images to images, and to files."""

from __future__ import annotations

from oracles.codec.cases import codec_case
from oracles.codec.intervals import Interval, acceptable
from oracles.codec.judge import verify_jpeg_codec

__all__ = ["Interval", "acceptable", "codec_case", "verify_jpeg_codec"]
