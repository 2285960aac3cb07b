"""No fault survives: every planted one is rejected for every seed, by enough kinds of evidence."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from oracles import Report, verify_soft_quantizer
from oracles.mutants.quantizer import MUTANTS, Mutant
from oracles.mutants.sound import rounded_reference

# All levels take longer, and reject by more kinds of evidence.
SEEDS = {None: (0, 1), 5: (0, 1, 2, 3)}


def _report(mutant: Mutant, window: int | None, seed: int) -> Report:
    return verify_soft_quantizer(
        mutant.factory(window), window=window, dtype=mutant.dtype, seed=seed
    )


@pytest.mark.parametrize(
    ("name", "window"),
    [(name, window) for name, mutant in MUTANTS.items() for window in mutant.windows],
)
def test_a_fault_is_rejected(name: str, window: int | None) -> None:
    mutant = MUTANTS[name]
    for seed in SEEDS[window]:
        report = _report(mutant, window, seed)
        kinds = report.evidence(failed=True)
        assert not report.passed
        assert len(kinds) >= mutant.evidence, f"seed {seed}: only {kinds} rejected {name!r}"
        with pytest.raises(AssertionError, match="FAIL"):
            report.raise_if_failed()


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    for name in (
        "last element unwritten",
        "half the exponent",
        "stale first element",
        "alpha of element 0 for all",
        "dq zero beyond the end",
        "one level more on each side",
    ):
        mutant = MUTANTS[name]
        kills.update(_report(mutant, mutant.windows[0], 0).evidence(failed=True))
    kills.update(verify_soft_quantizer(lambda *_: None).evidence(failed=True))
    print(dict(kills))
    sound = MUTANTS["last element unwritten"].factory(None)
    assert set(verify_soft_quantizer(sound).evidence()) <= set(kills)


@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("position", [0, -1])
def test_one_wrong_element_is_found_and_named(output: int, position: int) -> None:
    names = ("value", "dz", "dq", "dalpha")
    sizes = []

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        results = rounded_reference(None)(z, q, alpha, max_level)
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
