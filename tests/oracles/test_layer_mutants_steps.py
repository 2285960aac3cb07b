"""No fault in a step of a layer survives: padding, colour, DCT, tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oracles.mutants import layer_steps
from tests.oracles._layer_faults import assert_rejected, faults_of
from tests.oracles._layer_memo import remembered_bounds


@pytest.fixture(autouse=True, scope="module")
def _memory() -> Iterator[None]:
    with remembered_bounds():
        yield


@pytest.mark.parametrize(("name", "window"), faults_of(layer_steps))
def test_a_fault_is_rejected(name: str, window: int | None) -> None:
    assert_rejected(name, window)
