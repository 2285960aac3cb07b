"""No faulty baseline survives, and every kind of evidence rejects something."""

from __future__ import annotations

from collections import Counter

import pytest

from oracles import verify_quantizer_baseline
from oracles.baselines import KINDS
from oracles.mutants.baselines import BASELINE_MUTANTS
from oracles.mutants.baselines_sound import rounded_baseline, scale_of
from oracles.mutants.families import FAMILIES, SEEDS, Case, cases

FAULTS = [case for case in cases() if case.family.mutants is BASELINE_MUTANTS]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.label)
def test_a_fault_is_rejected(case: Case) -> None:
    for seed in SEEDS:
        kinds = case.report(seed).evidence(failed=True)
        assert len(kinds) >= case.mutant.evidence, f"seed {seed}: only {kinds} rejected it"


def test_there_are_faults_of_every_kind() -> None:
    assert any(family.mutants is BASELINE_MUTANTS for family in FAMILIES)
    counts = Counter(mutant.kind for mutant in BASELINE_MUTANTS.values())
    assert set(counts) == set(KINDS)
    assert len(FAULTS) == len(BASELINE_MUTANTS) >= 50


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    for name in (
        "cubic: floor",
        "cubic: not multiplied by q",
        "cubic: another last bit on each call",
        "cubic: q of element 0 for all",
        "cubic: one stride for z and q",
        "hard: fails on no elements",
        "hard: divides in place",
        "noise: dq with the level",
    ):
        mutant = BASELINE_MUTANTS[name]
        report = verify_quantizer_baseline(mutant.factory(None), mutant.kind)
        kills.update(report.evidence(failed=True))
    # NaN counts as wrong everywhere, which says nothing about the other kinds.
    mutant = BASELINE_MUTANTS["cubic: NaN far outside"]
    nan = verify_quantizer_baseline(mutant.factory(None), mutant.kind)
    assert "finite" in nan.evidence(failed=True)
    kills["finite"] += 1
    sound = verify_quantizer_baseline(rounded_baseline("cubic"), "cubic")
    assert set(sound.evidence()) <= set(kills)


def test_one_kind_is_not_taken_for_another() -> None:
    for claimed in KINDS:
        for kind in set(KINDS) - {claimed, "uniform_noise"}:
            if claimed == "uniform_noise":
                continue  # another number of arrays
            report = verify_quantizer_baseline(
                rounded_baseline(kind), claimed, gradient_scale=scale_of(claimed)
            )
            assert {"reference", "definition"} <= set(report.evidence(failed=True))
