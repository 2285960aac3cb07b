"""``jpegdl verify`` and ``jpegdl vectors``."""

from __future__ import annotations

from oracles.cli.vectors_command import app as vectors
from oracles.cli.verify_command import verify

__all__ = ["vectors", "verify"]
