"""The judge of soft quantizers, and the search for their worst input."""

from __future__ import annotations

from oracles.quantizer.judge import BUDGETS, verify_soft_quantizer

__all__ = ["BUDGETS", "verify_soft_quantizer"]
