"""No faulty quantizer survives: each is rejected for every seed, by enough kinds of evidence.

Faults in calls and memory: test_layouts.py. CPMF: test_cpmf_mutants.py. Layers:
test_layer_mutants_*.py. The kill matrix in the docs lists all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oracles import verify_soft_quantizer
from oracles.mutants.families import FAMILIES, SEEDS, Case, cases
from oracles.mutants.sound import rounded_reference

ROOT = Path(__file__).resolve().parents[2]


NUMBERS = [case for case in cases() if case.family is FAMILIES[0]]


@pytest.mark.parametrize("case", NUMBERS, ids=lambda case: case.label)
def test_a_fault_is_rejected(case: Case) -> None:
    for seed in SEEDS:
        report = case.report(seed)
        kinds = report.evidence(failed=True)
        assert not report.passed
        assert len(kinds) >= case.mutant.evidence, f"seed {seed}: only {kinds} rejected it"
        with pytest.raises(AssertionError, match="FAIL"):
            report.raise_if_failed()


def test_one_kind_of_evidence_is_enough_only_by_exception() -> None:
    """Where two kinds are possible two are required; few faults show in one way only."""
    total = list(cases())
    single = [case.label for case in total if case.mutant.evidence < 2]
    assert len(single) <= 0.1 * len(total), single


def _rows() -> Iterator[list[str]]:
    """Cells of the kill matrix; its cells are measured by ``python -m oracles.mutants``."""
    for line in (ROOT / "docs/kill_matrix.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield line.removeprefix("| ").removesuffix(" |").split(" | ")


def test_the_kill_matrix_in_the_docs_lists_every_fault() -> None:
    listed = Counter(row[0] for row in _rows() if row[0] != "fault" and row[0][:2] != "**")
    assert listed == Counter(case.label for case in cases())


def test_in_the_kill_matrix_no_fault_survives_and_no_evidence_is_idle() -> None:
    totals = [row[1:] for row in _rows() if row[0].startswith("**rejected")]
    assert len(totals) == len(FAMILIES)
    # Faults of calls concern calls: the evidence about numbers has its work in the first table.
    numbers, calls, *others = totals
    for cells in others:
        assert all(int(cell) > 0 for cell in cells)
    assert len(numbers) == len(calls)
    assert all(int(a) + int(b) > 0 for a, b in zip(numbers, calls, strict=True))
    for row in _rows():
        assert "●" in row or row[0] == "fault" or row[0].startswith("**"), row


@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("position", [0, -1])
def test_one_wrong_element_is_found_and_named(output: int, position: int) -> None:
    names = ("value", "dz", "dq", "dalpha")
    sizes = []

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        results = rounded_reference(None)(z, q, alpha, max_level)
        if z.size:
            results[output][position] += 0.5 * q[position] ** (1, 0, 0, 3)[output]
        sizes.append(z.size)
        return results

    report = verify_soft_quantizer(fn)
    found = [check for check in report.failures if check.evidence == "reference"]
    assert found
    for check in found:
        assert check.output == names[output]
        assert check.where is not None
        assert check.where.index == 0 if position == 0 else check.where.index + 1 in sizes
        got, expected = check.where.got, check.where.expected
        unit = float(check.where.inputs["q"]) ** (1, 0, 0, 3)[output]
        assert got - expected == pytest.approx(0.5 * unit, rel=0.1)
