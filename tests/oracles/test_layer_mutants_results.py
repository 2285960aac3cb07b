"""No fault in a layer's quantizer, sums and results survives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from oracles import verify_jpeg_layer
from oracles.mutants import layer_results, layer_sampling, layer_steps
from oracles.mutants.layer import LAYER_MUTANTS
from tests.oracles._layer_faults import assert_rejected, faults_of
from tests.oracles._layer_memo import remembered_bounds


@pytest.fixture(autouse=True, scope="module")
def _memory() -> Iterator[None]:
    with remembered_bounds():
        yield


@pytest.mark.parametrize(("name", "window"), faults_of(layer_results))
def test_a_fault_is_rejected(name: str, window: int | None) -> None:
    assert_rejected(name, window)


def test_every_fault_of_the_table_is_tried() -> None:
    modules = (layer_steps, layer_sampling, layer_results)
    tried = {name for module in modules for name, _ in faults_of(module)}
    assert tried == set(LAYER_MUTANTS)


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    offered: set[str] = set()
    for name in (
        "zero padding",
        "output of the previous call",
        "last image unwritten",
        "grad_output ignored",
        "output leaks to the next image",
        "input overwritten",
    ):
        mutant = LAYER_MUTANTS[name]
        report = verify_jpeg_layer(mutant.factory(5, "4:4:4"), window=5)
        kills.update(report.evidence(failed=True))
        offered |= set(report.evidence())
    assert offered == set(kills)
