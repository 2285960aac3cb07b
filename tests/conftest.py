"""Shared test set-up: Hypothesis profiles and the rule for GPU tests."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# Every profile is derandomized: a run is repeatable, and a red test is red for everyone.
# JPEGDL_HYPOTHESIS=thorough multiplies the examples for a long local search.
_COMMON = settings(
    derandomize=True,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("default", parent=_COMMON, max_examples=100)
settings.register_profile("thorough", parent=_COMMON, max_examples=5000)
settings.load_profile(os.environ.get("JPEGDL_HYPOTHESIS", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no CUDA device."""
    gpu_items = [item for item in items if "gpu" in item.keywords]
    if not gpu_items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    """Seed torch before each test, where it is loaded: a red test is red alone and in company."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
