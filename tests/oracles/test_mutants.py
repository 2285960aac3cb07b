"""No fault survives: every planted one is rejected for every seed, by enough kinds of evidence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from oracles import verify_soft_quantizer
from oracles.mutants.families import FAMILIES, SEEDS, Case, cases
from oracles.mutants.sound import rounded_reference

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.family.title}: {case.label}")
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


def test_there_are_faults_of_many_kinds() -> None:
    assert sum(len(family.mutants) for family in FAMILIES) >= 60


def test_the_kill_matrix_in_the_docs_lists_every_fault() -> None:
    """Its cells are measured by ``python -m oracles.mutants``; its rows have to be these."""
    page = (ROOT / "docs/kill_matrix.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if "●" in line]
    listed = Counter(row for row in rows if not row.startswith("**"))
    listed.pop("fault", None)
    expected = Counter(case.label for case in cases())
    assert expected - listed == Counter()
    extra = listed - expected
    assert set(extra) <= {line for line in extra if "faults," in line}


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence: read from the kill matrix, a column each."""
    page = (ROOT / "docs/kill_matrix.md").read_text(encoding="utf-8")
    totals = [line for line in page.splitlines() if line.startswith("| **rejected")]
    assert len(totals) == len(FAMILIES)
    for line in totals:
        assert all(int(cell) > 0 for cell in line.strip(" |").split(" | ")[1:]), line


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
