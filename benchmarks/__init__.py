"""How fast: every figure is a ratio, measured inside one run (see docs/benchmarks.md)."""

from __future__ import annotations

import os

# Before torch is imported, which reads it once: idle OpenMP threads sleep instead of spinning.
# Where another process holds a core, a spinning thread keeps the working one off the other: two
# threads then took 920 ms for what takes one of them 20 ms, and no ratio survives that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
