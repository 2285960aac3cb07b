"""No faulty codec survives, and every kind of evidence rejects something."""

from __future__ import annotations

from collections import Counter

import pytest

from oracles import verify_jpeg_codec
from oracles.mutants.codec import CODEC_MUTANTS, judge_codec
from oracles.mutants.codec_sound import PlainCodec
from oracles.mutants.families import FAMILIES, SEEDS, Case, cases
from reference.jpeg_codec import encode, file_size

FAULTS = [case for case in cases() if case.family.mutants is CODEC_MUTANTS]
# Many faults break both claims: here one or the other, the slow test takes the rest.
_OTHERS = {name.rpartition(", ")[0] for name in CODEC_MUTANTS if name.endswith(", real")}


def _first_choice(position: int, case: Case) -> bool:
    fault, _, claim = case.name.rpartition(", ")
    if fault not in _OTHERS or f"{fault}, exact" not in CODEC_MUTANTS:
        return True
    return claim == ("exact" if position // 2 % 2 else "real")


SOME = [case for position, case in enumerate(FAULTS) if _first_choice(position, case)]


def rejected(case: Case, seed: int) -> None:
    kinds = case.report(seed).evidence(failed=True)
    assert len(kinds) >= case.mutant.evidence, f"seed {seed}: only {kinds} rejected it"


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.label)
def test_a_fault_is_rejected(case: Case) -> None:
    rejected(case, SEEDS[len(case.name) % 2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in FAULTS if case not in SOME], ids=lambda case: case.label
)
def test_the_other_claim_is_rejected_too_with_other_seeds(case: Case) -> None:
    rejected(case, 2 + len(case.name) % 3)


def test_there_are_faults_of_every_kind() -> None:
    assert any(family.mutants is CODEC_MUTANTS for family in FAMILIES)
    counts = Counter(mutant.kind for mutant in CODEC_MUTANTS.values())
    assert counts["exact"] >= 80
    assert counts["real"] >= 60
    assert set(counts) == {"exact", "real", "encode", "file_size"}
    names = {case.name.rpartition(", ")[0] or case.name for case in SOME}
    assert names == {case.name.rpartition(", ")[0] or case.name for case in FAULTS}


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    for name in (
        "first block leaks into the last, exact",
        "last row of the call before, exact",
        "strides ignored, exact",
        "tables transposed, real",
        "pixels not cut off, real",
        "file: tables in natural order",
        "size: without the header",
        "size: in kilobytes",
    ):
        report = judge_codec(CODEC_MUTANTS[name], None, 0)
        kills.update(report.evidence(failed=True))
    grey = verify_jpeg_codec(lambda image, **k: 255 - image, qualities=(75,), grey=True)
    assert "grey" in grey.evidence(failed=True)
    kills["grey"] += 1
    sound = verify_jpeg_codec(PlainCodec(), grey=True, encode=encode, file_size=file_size)
    assert set(sound.evidence()) == set(kills)
