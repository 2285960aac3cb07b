"""Strides, broadcasting, lengths and unwritten memory: faults are found, sound ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from examples.jax_like import soft_quantize
from oracles import ContractError, verify_soft_quantizer
from oracles.contract import call_checked
from oracles.layouts import make_grid
from oracles.mutants.calls import CALL_MUTANTS, SOUND_IN_ONE_DIMENSION
from oracles.mutants.sound import SOUND, rounded_reference
from oracles.poison import poisoned_memory

KINDS = {"strided", "broadcast", "empty", "unwritten"}
NOT_JUDGED = "does not broadcast (not judged): two dimensions"


@pytest.mark.parametrize(
    ("name", "window"),
    [(name, window) for name, mutant in CALL_MUTANTS.items() for window in mutant.windows],
)
def test_a_fault_of_layout_is_rejected(name: str, window: int | None) -> None:
    mutant = CALL_MUTANTS[name]
    for seed in (0, 1) if window else (0,):
        report = verify_soft_quantizer(mutant.factory(window), window=window, seed=seed)
        kinds = report.evidence(failed=True)
        assert len(kinds) >= mutant.evidence, f"seed {seed}: only {kinds} rejected {name!r}"


@pytest.mark.parametrize("name", [name for name in CALL_MUTANTS if name.startswith("unwritten")])
def test_unwritten_memory_is_found_every_time(name: str) -> None:
    """Not by luck of the allocator, nor only in a process that has allocated nothing yet."""
    for seed in range(6):
        junk = [np.ones(n) for n in np.random.default_rng(seed).integers(1, 3000, 20)]
        report = verify_soft_quantizer(CALL_MUTANTS[name].factory(5), window=5, seed=seed)
        assert "unwritten" in report.evidence(failed=True), f"seed {seed}"
        del junk


@pytest.mark.parametrize("size", [1, 2, 7, 63, 255, 263, 1025, 4099, 100_003])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fresh_memory_is_poisoned(size: int, dtype: Any) -> None:
    def fn(level: int) -> Any:
        return (np.empty(size, dtype),)

    kind = np.dtype(dtype)
    one, other = (
        call_checked(fn, (), 3, {"value": (size,)}, dtype=kind, poison=poison)[0]
        for poison in (np.nan, 1e30)
    )
    with np.errstate(invalid="ignore"):
        assert not np.any(one == other)


def test_memory_is_left_alone_afterwards() -> None:
    def stale() -> Any:
        block = np.ones(5000, np.uint8)
        del block
        return np.empty(5000, np.uint8)

    with poisoned_memory([8], np.nan):
        inside = stale()
    assert np.all(inside == 0x7F)
    assert not np.all(stale() == 0x7F)
    with pytest.raises(ZeroDivisionError), poisoned_memory([4096], 1e30):
        raise ZeroDivisionError
    assert not np.all(stale() == 0x45)


@pytest.mark.parametrize("name", SOUND)
def test_whoever_is_made_for_one_dimension_is_not_accused(name: str) -> None:
    report = verify_soft_quantizer(SOUND[name](None))
    report.raise_if_failed()
    assert set(report.evidence()) >= KINDS
    # The reference broadcasts; what is written out for one dimension says that it was not judged.
    broadcasts = name == "float64 rounded"
    assert [NOT_JUDGED in note for note in report.notes] == ([] if broadcasts else [True])
    regimes = {check.regime for check in report.checks if check.evidence == "broadcast"}
    assert ("alpha per row" in regimes) == broadcasts


@pytest.mark.parametrize("window", [None, 5])
def test_results_of_the_right_shape_are_not_enough_to_be_accused(window: int | None) -> None:
    fn = SOUND_IN_ONE_DIMENSION["writes len(z) elements"](window)
    report = verify_soft_quantizer(fn, window=window)
    report.raise_if_failed()
    assert NOT_JUDGED in report.notes[0]


def test_broadcasting_is_required_where_it_is_asked_for() -> None:
    fn = SOUND_IN_ONE_DIMENSION["writes len(z) elements"](None)
    report = verify_soft_quantizer(fn, broadcast=True)
    assert report.evidence(failed=True) == ("broadcast",)
    assert not report.notes
    report = verify_soft_quantizer(SOUND["softmax in z"](None), broadcast=True)
    assert report.evidence(failed=True) == ("broadcast",)
    assert "the function raised" in str(report)


def test_broadcasting_is_not_tried_where_it_is_declined() -> None:
    shapes = []

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        shapes.append((z.shape, q.shape, alpha.shape))
        return soft_quantize(z, q, alpha, level)

    verify_soft_quantizer(fn, broadcast=False).raise_if_failed()
    assert all(len(shape[0]) == 1 and len(set(shape)) == 1 for shape in shapes)
    shapes.clear()
    verify_soft_quantizer(fn, broadcast=True).raise_if_failed()
    assert ((4, 10), (10,), ()) in shapes
    assert ((4, 10), (10,), (4, 1)) in shapes
    assert ((10,), (4, 1), (4, 10)) in shapes


def test_a_number_is_no_answer_to_broadcast() -> None:
    with pytest.raises(TypeError, match="broadcast must be None, True or False, got 1"):
        verify_soft_quantizer(rounded_reference(None), broadcast=1)  # type: ignore[arg-type]


def test_what_arrays_a_function_gets() -> None:
    """Empty, strided, of stride 0, of one element and long; all writeable, none with a NaN."""
    seen = set()

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        for array in (z, q, alpha):
            assert array.flags.writeable
            assert np.isfinite(array).all()
        if z.ndim == 1:
            assert z.shape == q.shape == alpha.shape
            seen.add((z.size, z.strides[0] // 4, q.strides[0] // 4, alpha.strides[0] // 4))
        return rounded_reference(None)(z, q, alpha, level)

    report = verify_soft_quantizer(fn, broadcast=False)
    report.raise_if_failed()
    assert {layout for layout in seen if layout[0] and layout[1:] != (1, 1, 1)} == {
        (315, 2, 2, 2),
        (315, 3, 1, 2),
        (40, 1, 0, 0),
        (40, 0, 1, 1),
    }
    assert {0, 1, 263, 4099} <= {size for size, *_ in seen}


def test_the_full_budget_has_a_longer_batch() -> None:
    sizes = set()

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        sizes.add(z.size)
        return rounded_reference(5)(z, q, alpha, level)

    verify_soft_quantizer(fn, window=5, budget="full").raise_if_failed()
    assert 100_003 in sizes


def test_a_grid_writes_its_layouts_out() -> None:
    grid = make_grid(3, np.dtype(np.float32), np.random.default_rng(0))
    parts = [np.broadcast_arrays(*layout[1:]) for layout in grid.layouts]
    for name, whole in enumerate(grid.inputs):
        expected = np.concatenate([part[name].ravel() for part in parts])
        np.testing.assert_array_equal(whole, expected)
        np.testing.assert_array_equal(whole, whole.astype(np.float32))
    # Each array differs along both of its axes: an index taken from the wrong one shows.
    two = next(layout for layout in grid.layouts if layout.name == "two dimensions")
    for array in two[1:]:
        assert np.unique(array).size == array.size


def test_leaving_the_process_is_a_broken_contract() -> None:
    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        raise SystemExit(3)

    report = verify_soft_quantizer(fn)
    assert report.evidence(failed=True) == ("contract",)
    assert "raised SystemExit: 3" in str(report)


def test_one_failed_kind_of_call_leaves_the_others() -> None:
    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        if z.strides[0] != z.itemsize or not z.size:
            raise ContractError("contiguous arrays only")
        return rounded_reference(None)(z, q, alpha, level)

    report = verify_soft_quantizer(fn)
    assert set(report.evidence(failed=True)) == {"strided", "empty", "broadcast"}
    assert "contiguous arrays only" in str(report)
    assert "unwritten" in report.evidence()
