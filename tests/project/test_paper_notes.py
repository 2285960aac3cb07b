"""The notes on the paper: their tables are what the code gives, their prose what the tables say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reference import max_level_from_bits

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def _module() -> ModuleType:
    path = ROOT / "docs" / "figures" / "paper_notes.py"
    spec = importlib.util.spec_from_file_location("paper_notes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notes = _module()


@pytest.mark.parametrize("name", notes.TABLES)
def test_a_table_of_the_page_is_what_the_code_gives(name: str) -> None:
    stored, fresh = notes.stored(name), notes.TABLES[name]()
    assert len(stored) == len(fresh)
    for ours, theirs in zip(stored, fresh, strict=True):
        assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
        for a, b in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True):
            # With an exponent: two digits. Entries below 1e-10, and what is divided by them, are
            # rounding noise.
            close = float(a) == pytest.approx(float(b), rel=0.06, abs=1e-10)
            assert a == b or ("e" in a and (close or min(float(a), float(b)) > 1e9))


def _row(h: float) -> list[float]:
    (line,) = (line for line in notes.masking() if line.startswith(f"| {h:g} |"))
    return [float(cell) for cell in line.strip("| ").split("|")]


def test_the_prose_about_h_of_0_7_is_true() -> None:
    _, masked, identity, jump, dz_masked, dz_full, ratio = _row(0.7)
    assert identity < 1e-5
    assert dz_full < 1e-4
    assert masked == pytest.approx(1.5e-2, rel=0.03)
    assert jump == pytest.approx(2 * masked, rel=0.05)
    assert dz_masked > 100 * dz_full
    assert 1200 < ratio < 1400


def test_from_h_of_2_the_two_agree() -> None:
    _, masked, _, _, _, _, ratio = _row(2.0)
    assert masked < 1e-5
    assert ratio == pytest.approx(1, abs=0.05)
    assert 5 * 0.63**2 < 2 < 5 * 0.64**2  # alpha = 5


def test_three_sums_do_not_add_up_and_two_of_them_by_rounding() -> None:
    gaps = [round(value - base - printed, 2) for _, value, base, printed in notes.SUMS]
    assert gaps == [0.06, 0.01, 0.01]


def test_the_rules_behind_the_numbers_of_a12() -> None:
    assert (2 * 2**8 + 1, 2 * max_level_from_bits(11) + 1) == (513, 2047)
    # The largest coefficient: 64 samples of 128, orthonormal.
    largest = np.full(64, 128.0).sum() / 8
    assert largest == 1024
    assert 8 < largest / max_level_from_bits(8) < 8.1
    assert 1 < largest / max_level_from_bits(11) < 1.01


def test_gains_against_the_baselines_of_the_other_code() -> None:
    assert round(74.46 - 74.31, 2) == 0.15
    assert round(75.32 - 74.64, 2) == 0.68
