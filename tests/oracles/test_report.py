"""Reports say what failed, where and by how much."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import pytest

from oracles import Check, Location, Report, verify_soft_quantizer
from oracles.mutants.quantizer import MUTANTS
from oracles.mutants.sound import SOUND, rounded_reference
from oracles.subject import Inputs

WHERE = Location(
    4,
    {"z": 0.1, "q": 0.5, "alpha": 2.0, "max_level": 127},
    got=1.5,
    expected=1.25,
    tolerance=0.125,
)
GOOD = Check("reference", "soft", "value", 0.25, 10, 0, WHERE)
BAD = Check("euler", "hard", "value", 2.0, 10, 3, WHERE)


def test_a_report_without_checks_has_not_passed() -> None:
    assert not Report("nothing", ()).passed
    with pytest.raises(AssertionError, match="0 checks"):
        Report("nothing", ()).raise_if_failed()


def test_one_failure_fails_the_report() -> None:
    assert Report("fine", (GOOD,)).passed
    Report("fine", (GOOD,)).raise_if_failed()
    report = Report("not fine", (GOOD, BAD))
    assert not report.passed
    assert report.failures == (BAD,)
    assert report.worst == 2.0
    assert report.evidence() == ("reference", "euler")
    assert report.evidence(failed=True) == ("euler",)


def test_the_place_is_exact() -> None:
    text = str(BAD)
    found = re.search(r"z=(\S+) q=(\S+) alpha=(\S+)", text)
    assert found is not None
    assert [float.fromhex(part) for part in found.groups()] == [0.1, 0.5, 2.0]
    for part in ("element 4", "max_level=127", "got 1.5", "expected 1.25", "3/10 beyond"):
        assert part in text
    with pytest.raises(AssertionError) as error:
        Report("t", (GOOD, BAD)).raise_if_failed()
    assert "got 1.5" in str(error.value)
    assert "reference" not in str(error.value)


def test_text_and_table_name_every_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    report = verify_soft_quantizer(MUTANTS["dz without factor 2"].factory(5), window=5)
    text = str(report)
    report.print()
    printed = capsys.readouterr().out
    for kind in report.evidence():
        assert kind in text
        assert kind in printed
    assert text.startswith("FAILED: soft quantizer, window 5, float32")
    assert "FAIL" in printed
    good = verify_soft_quantizer(SOUND["float64 rounded"](5), window=5)
    assert str(good).startswith("PASSED")
    assert "FAIL" not in str(good)


def test_a_named_place_replays() -> None:
    """The inputs of a failure, handed to the mutant again, give what the report says."""
    import numpy as np

    mutant = MUTANTS["dq without E/q"].factory(None)
    report = verify_soft_quantizer(mutant)
    check = next(c for c in report.failures if c.evidence == "reference")
    where = check.where
    assert where is not None
    *point, level = where.inputs.values()
    inputs = Inputs(*(np.array([x], np.float32) for x in point))
    assert float(mutant(*inputs, level)[2][0]) == where.got
    right = rounded_reference(None)(*inputs, level)[2][0]
    assert float(right) == pytest.approx(where.expected, abs=where.tolerance)
    assert check.worst == pytest.approx(where.units)


def test_reports_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        BAD.failed = 0  # type: ignore[misc]
