"""Set-up of the oracle tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def single_torch_thread() -> Iterator[None]:
    """One torch thread: the arrays are small, and waking a second one costs 20 times the work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
