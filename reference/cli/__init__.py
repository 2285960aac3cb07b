"""The codec's commands. The codec, with Numba, is imported only when one runs."""

from __future__ import annotations

from reference.cli.encode_command import encode
from reference.cli.inspect_command import inspect

__all__ = ["encode", "inspect"]
