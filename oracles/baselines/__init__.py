"""The judge of the quantizers without alpha: the baselines of JPEG-DL's Table 6, and Q_u."""

from __future__ import annotations

from oracles.baselines.judge import verify_quantizer_baseline
from oracles.baselines.subject import KINDS
from oracles.baselines.tolerance import ROUNDINGS, step_tolerances

__all__ = ["KINDS", "ROUNDINGS", "step_tolerances", "verify_quantizer_baseline"]
