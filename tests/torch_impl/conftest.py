"""Surroundings of the torch tests: poisoned memory, and one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _poison_uninitialized_memory() -> Iterator[None]:
    """Fill memory that nobody has written with NaN, so that a missed element shows."""
    assert torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors in many threads wait for each other, on a busy machine a hundred times longer.

    The test of thread counts sets its own.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
