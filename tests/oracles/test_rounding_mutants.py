"""No faulty rounding survives, and every kind of evidence rejects something."""

from __future__ import annotations

from collections import Counter

import pytest

from oracles import verify_rounding
from oracles.mutants.families import SEEDS, Case, cases
from oracles.mutants.rounding import ROUNDING_MUTANTS
from oracles.mutants.rounding_sound import rounded_twin
from reference.surrogates import KINDS

FAULTS = [case for case in cases() if case.family.mutants is ROUNDING_MUTANTS]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.label)
def test_a_fault_is_rejected(case: Case) -> None:
    for seed in SEEDS:
        kinds = case.report(seed).evidence(failed=True)
        assert len(kinds) >= case.mutant.evidence, f"seed {seed}: only {kinds} rejected it"


def test_there_are_faults_of_every_kind_and_form() -> None:
    assert {mutant.kind for mutant in ROUNDING_MUTANTS.values()} == set(KINDS)
    forms = {tuple(sorted(mutant.options.items())) for mutant in ROUNDING_MUTANTS.values()}
    assert len(forms) == 4
    assert len(FAULTS) == len(ROUNDING_MUTANTS) >= 50


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    seen: set[str] = set()
    for case in FAULTS:
        report = case.report(0)
        kills.update(report.evidence(failed=True))
        seen.update(report.evidence())
    assert seen == set(kills)


def test_one_kind_is_not_taken_for_another() -> None:
    drawn = {"uniform_noise"}  # another number of arrays
    for claimed in set(KINDS) - drawn:
        for kind in set(KINDS) - drawn - {claimed}:
            report = verify_rounding(rounded_twin(kind), claimed)
            assert {"reference", "limits"} <= set(report.evidence(failed=True)), (kind, claimed)
            assert not verify_rounding(rounded_twin(kind, floor=True), claimed).passed
