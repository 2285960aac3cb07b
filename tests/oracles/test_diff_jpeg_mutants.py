"""No faulty differentiable JPEG survives, and every kind of evidence rejects something."""

from __future__ import annotations

from typing import Any

import pytest

from oracles import verify_diff_jpeg
from oracles.mutants.diff_jpeg import DIFF_JPEG_MUTANTS
from oracles.mutants.diff_jpeg_sound import plain_coding
from oracles.mutants.families import Case, cases

FAULTS = [case for case in cases() if case.family.mutants is DIFF_JPEG_MUTANTS]
# A fault with seed 0, the next one with seed 1: the kill matrix has both of each.
JUDGED = [(case, number % 2) for number, case in enumerate(FAULTS)]


@pytest.mark.parametrize(("case", "seed"), JUDGED, ids=lambda value: getattr(value, "label", value))
def test_a_fault_is_rejected(case: Case, seed: int) -> None:
    kinds = case.report(seed).evidence(failed=True)
    assert len(kinds) >= case.mutant.evidence, f"only {kinds} rejected it"


def test_there_are_faults_of_both_forms_and_dtypes() -> None:
    mutants = DIFF_JPEG_MUTANTS.values()
    assert {bool(mutant.options.get("straight_through")) for mutant in mutants} == {False, True}
    assert {mutant.dtype for mutant in mutants} == {"float32", "float64"}
    assert len(FAULTS) == len(DIFF_JPEG_MUTANTS) >= 50


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: set[str] = set()
    for name in (
        "straight-through: qualities rounded",
        "NaN at quality 100",
        "gradient of tables a mean over blocks",
        "strides ignored",
        "another last bit on each call",
        "images shifted in place",
        "float64: computed in float32",
    ):
        case = next(case for case in FAULTS if case.name == name)
        kills.update(case.report(0).evidence(failed=True))
    assert kills >= {"contract", "finite", "reference", "determinism", "unwritten", "strided"}
    assert kills >= {"linear", "neighbours", "quality", "by hand", "euler", "chain", "differences"}


def test_identities_alone_reject_a_gradient_that_is_not_that_of_the_value() -> None:
    for name in ("derivative of the step without -x R'", "cubic with the slope of linear"):
        mutant = DIFF_JPEG_MUTANTS[name]
        report = verify_diff_jpeg(mutant.factory(None), dtype="float64", **mutant.options)
        assert {"euler", "differences", "by hand"} <= set(report.evidence(failed=True))


@pytest.mark.parametrize("claimed", ["cubic", "linear"])
def test_one_kind_is_not_taken_for_another(claimed: str) -> None:
    for kind in {"cubic", "linear", "straight_through"} - {claimed}:
        options: dict[str, Any] = {"straight_through": True}
        report = verify_diff_jpeg(plain_coding(rounding=kind), rounding=claimed)
        assert {"reference", "by hand"} <= set(report.evidence(failed=True))
        true = verify_diff_jpeg(plain_coding(rounding=kind, **options), rounding=claimed, **options)
        assert {check.output for check in true.failures} <= {"d_images", "d_quality", "d_qtables"}
        assert not true.passed
