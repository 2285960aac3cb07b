"""The judge of conditional probability mass functions over the levels."""

from __future__ import annotations

from oracles.cpmf.judge import CPMF_BUDGETS, verify_cpmf

__all__ = ["CPMF_BUDGETS", "verify_cpmf"]
