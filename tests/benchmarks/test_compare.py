"""Regressions against the stored ratios."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compare import Status, compare, merge_best
from benchmarks.ratios import Kind, Ratio
from benchmarks.results import Results, ResultsFileError, default_path, load, save
from benchmarks.tables import comparison_table, render, results_table, verdict


def ratio(name: str, value: float, kind: Kind = Kind.SPEEDUP, **more: object) -> Ratio:
    fields = {"low": value, "high": value, "pairs": 5, "seconds": 0.5, "against_seconds": 1.0}
    return Ratio(name, "naive", "cpu", kind, value, **{**fields, **more})


def results(*ratios: Ratio, device: str = "cpu", **more: object) -> Results:
    fields: dict[str, object] = {
        "hardware": {"cpu": "abacus", "cores": 2, "threads": 2, "gpu": None},
        "versions": {"python": "3.11.0", "torch": "2.13.0"},
        "commit": "0123456789abcdef",
        "dirty": False,
        "date": "2026-11-21T10:20:30+00:00",
    }
    return Results(device=device, ratios=ratios, **{**fields, **more})


@pytest.mark.parametrize(
    ("kind", "stored", "now", "status"),
    [
        # More is better: 20 % more time is 1/1.2 of the speedup.
        (Kind.SPEEDUP, 12.0, 10.01, Status.SAME),
        (Kind.SPEEDUP, 12.0, 9.99, Status.REGRESSION),
        (Kind.SPEEDUP, 10.0, 11.99, Status.SAME),
        (Kind.SPEEDUP, 10.0, 12.01, Status.FASTER),
        (Kind.SHARE, 0.60, 0.49, Status.REGRESSION),
        (Kind.SHARE, 0.60, 0.51, Status.SAME),
        # Less is better.
        (Kind.MULTIPLE, 10.0, 11.99, Status.SAME),
        (Kind.MULTIPLE, 10.0, 12.01, Status.REGRESSION),
        (Kind.MULTIPLE, 12.01, 10.0, Status.FASTER),
        # Overheads compare as overheads, and below 5 % they are noise.
        (Kind.OVERHEAD, 0.30, 0.37, Status.REGRESSION),
        (Kind.OVERHEAD, 0.01, 0.05, Status.SAME),
        (Kind.OVERHEAD, -0.02, 0.07, Status.REGRESSION),
    ],
)
def test_threshold(kind: Kind, stored: float, now: float, status: Status) -> None:
    (row,) = compare(results(ratio("a", stored, kind)), results(ratio("a", now, kind))).rows
    assert row.status is status


def test_slower_is_the_extra_time() -> None:
    (row,) = compare(results(ratio("a", 10.0)), results(ratio("a", 8.0))).rows
    assert row.slower == pytest.approx(0.25)


def test_seconds_do_not_matter() -> None:
    """A machine of half the speed, with the same ratio, has not regressed."""
    slow = ratio("a", 10.0, seconds=99.0, against_seconds=990.0)
    assert compare(results(ratio("a", 10.0)), results(slow)).passed


def test_missing_and_new_are_reported() -> None:
    comparison = compare(
        results(ratio("both", 2.0), ratio("gone", 2.0)),
        results(ratio("both", 2.0), ratio("added", 2.0)),
    )
    status = {row.key: row.status for row in comparison.rows}
    assert status == {
        "cpu: both / naive": Status.SAME,
        "cpu: gone / naive": Status.MISSING,
        "cpu: added / naive": Status.NEW,
    }
    text = verdict(comparison)
    assert "1 stored figures were not measured" in text
    assert "1 figures are not stored" in text
    table = render([comparison_table(comparison)])
    assert "MISSING" in table
    assert "new" in table
    assert "MISSING" not in render([comparison_table(comparison, hide_missing=True)])
    assert "not measured" not in verdict(comparison, hide_missing=True)


def test_another_kind_is_another_figure() -> None:
    (row,) = compare(results(ratio("a", 2.0)), results(ratio("a", 2.0, Kind.MULTIPLE))).rows
    assert row.status is Status.NEW


def test_failed_benchmarks_do_not_pass() -> None:
    comparison = compare(results(ratio("a", 2.0)), results(ratio("a", 2.0), failed=("test_b",)))
    assert not comparison.passed
    assert "no figure from test_b" in verdict(comparison)


def test_other_hardware_and_versions_are_said() -> None:
    other = results(
        ratio("a", 2.0),
        hardware={"cpu": "slide rule", "cores": 2, "threads": 2, "gpu": None},
        versions={"python": "3.11.0", "torch": "2.14.0"},
        dirty=True,
    )
    text = verdict(compare(results(ratio("a", 2.0)), other))
    assert "hardware differ (cpu: abacus stored, slide rule now)" in text
    assert "versions differ (torch: 2.13.0 stored, 2.14.0 now)" in text
    assert "the files differ from the commit" in text
    assert "differ" not in verdict(compare(results(ratio("a", 2.0)), results(ratio("a", 2.0))))


def test_devices_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="compare like with like"):
        compare(results(), results(device="cuda"))


def test_regression_is_visible() -> None:
    comparison = compare(results(ratio("a", 10.0)), results(ratio("a", 5.0)))
    assert "+100%" in render([comparison_table(comparison)])
    assert "REGRESSION" in render([comparison_table(comparison)])
    assert "1 of 1 figures more than 20% slower" in verdict(comparison)


def test_the_better_of_two_runs_counts() -> None:
    first = results(ratio("a", 10.0), ratio("b", 10.0), ratio("c", 0.5, Kind.MULTIPLE))
    again = results(
        ratio("a", 12.0), ratio("b", 8.0), ratio("c", 0.4, Kind.MULTIPLE), failed=("x",)
    )
    merged = merge_best(first, again)
    assert [r.value for r in merged.ratios] == [12.0, 10.0, 0.4]
    assert merged.failed == ("x",)


def test_file_keeps_everything(tmp_path: Path) -> None:
    stored = {
        "cpu": results(ratio("a", 1 / 3, goal=2.0, note="α"), failed=("x",)),
        "cuda": results(replace(ratio("b", 0.6, Kind.SHARE), device="cuda"), device="cuda"),
    }
    path = tmp_path / "sub" / "file.json"
    save(path, stored)
    assert load(path) == stored


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no result file"),
        ("not json", "is not a result file"),
        ("[]", "schema version None"),
        ('{"schema_version": 99, "devices": {}}', "schema version 99"),
        ('{"schema_version": 1}', "is not a result file"),
        ('{"schema_version": 1, "devices": {"cpu": {"ratios": []}}}', "is not a result file"),
        ('{"schema_version": 1, "devices": {"cpu": {"ratios": [{}]}}}', "is not a result file"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsFileError, match=message):
        load(path)


def test_default_path(tmp_path: Path) -> None:
    name = default_path({"cpu": results()}, tmp_path).name
    assert name == "20261121T102030-0123456789-cpu.json"
    unversioned = results(commit=None, dirty=None)
    assert default_path({"cpu": unversioned}, tmp_path).name.endswith("-unversioned-cpu.json")
    dirty = {"cpu": results(dirty=True), "cuda": results(dirty=True)}
    assert default_path(dirty, tmp_path).name.endswith("-dirty-cpu-cuda.json")


def test_results_table_reads_well() -> None:
    text = render(
        [
            results_table(
                results(
                    ratio("fast one", 250.0, goal=200.0, low=240.0, high=260.0, note="scaled"),
                    ratio("slow one", 5.0, goal=8.0),
                    ratio("gpu one", 0.5, Kind.SHARE, goal=0.6),
                )
            )
        ]
    )
    lines = text.splitlines()
    fast, slow, gpu = (
        lines[i : i + 2]
        for n in ("fast one", "slow one", "gpu one")
        for i, x in enumerate(lines)
        if n in x
    )
    assert "500 ms" in fast[0]
    assert "naive" in fast[1]
    assert "250x faster" in fast[1]
    assert "240 .. 260" in fast[1]
    assert ">= 200x: met, scaled" in fast[1]
    assert ">= 8x: MISSED" in slow[1]
    assert "50.0% of it" in gpu[1]
    assert ">= 60%: MISSED" in gpu[1]
