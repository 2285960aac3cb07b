"""No faulty CPMF survives, and the place of a fault is named."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from oracles import verify_cpmf
from oracles.mutants.cpmf import CPMF_MUTANTS
from oracles.mutants.cpmf_sound import rounded_cpmf


@pytest.mark.parametrize(
    ("name", "window"),
    [(name, window) for name, mutant in CPMF_MUTANTS.items() for window in mutant.windows],
)
def test_a_fault_is_rejected(name: str, window: int | None) -> None:
    mutant = CPMF_MUTANTS[name]
    for seed in (0, 1) if window else (0,):
        report = verify_cpmf(mutant.factory(window), window=window, dtype=mutant.dtype, seed=seed)
        kinds = report.evidence(failed=True)
        assert len(kinds) >= mutant.evidence, f"seed {seed}: only {kinds} rejected {name!r}"


def _strided_only(z: Any, q: Any, alpha: Any, level: int) -> Any:
    if z.strides[0] != q.strides[0] or not z.size:
        raise ValueError("strides differ")
    return rounded_cpmf(None)(z, q, alpha, level)


def test_every_kind_of_evidence_rejects_something() -> None:
    """A check that never fails is no evidence."""
    kills: Counter[str] = Counter()
    for name in (
        "not normalized",
        "logarithms",
        "level names off by one",
        "weights symmetric about the level",
        "alpha of element 0 for all",
        "alpha instead of alpha q^2",
        "another last bit on each call",
        "absolute distance",
    ):
        kills.update(verify_cpmf(CPMF_MUTANTS[name].factory(None)).evidence(failed=True))
    kills.update(verify_cpmf(lambda *_: None).evidence(failed=True))
    kills.update(verify_cpmf(_strided_only).evidence(failed=True))
    assert set(verify_cpmf(rounded_cpmf(None)).evidence()) <= set(kills)


@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.parametrize("column", [0, 3, -1])
def test_one_wrong_probability_is_found_and_named(position: int, column: int) -> None:
    sizes = []

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        levels, p = rounded_cpmf(7)(z, q, alpha, level)
        if z.size:
            p[position, column] += 0.01
        sizes.append(z.size)
        return levels, p

    report = verify_cpmf(fn, window=7)
    found = [check for check in report.failures if check.evidence == "reference"]
    assert found
    for check in found:
        assert check.where is not None
        assert check.where.index == 0 if position == 0 else check.where.index + 1 in sizes
        assert check.where.got - check.where.expected == pytest.approx(0.01, rel=1e-4)
        inputs = check.where.inputs
        c = float(inputs["z"]) / float(inputs["q"])
        top = int(inputs["max_level"])
        nearest = np.clip(np.floor(c + 0.5), -top, top)
        first = np.clip(nearest - 3, -top, top - 6)
        assert inputs["level"] == first + column % 7
