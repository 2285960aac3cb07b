"""What ``jpegdl benchmark`` does inside a checkout: run, print, compare, record."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.compare import Comparison, compare, merge_best
from benchmarks.results import BASELINE, ROOT, Results, ResultsFileError, load, save
from benchmarks.tables import TABLE_WIDTH, comparison_table, results_table, verdict

#: Benchmarks that look slower than stored are measured this many times more.
RETRIES = 2

# What pytest returns when all passed, and when some test failed.
_PASSED, _SOME_FAILED = 0, 1
_USAGE = 2


def benchmark(
    results_file: Path | None = None,
    *,
    against: bool = False,
    save_baseline: bool = False,
    select: str | None = None,
    baseline: Path = BASELINE,
) -> int:
    """Measure, or take a result file; then print, compare, record.

    Parameters
    ----------
    results_file : Path, optional
        A file that an earlier run wrote. None: measure now.
    against : bool
        Compare with the stored ratios. Figures that look slower are measured again, and count
        as slower only if they are so every time (not with a result file).
    save_baseline : bool
        Store the ratios of each device that was measured. Refused where a benchmark gave no
        figure.
    select : str, optional
        Measure only the benchmarks that match, as ``pytest -k`` does.
    baseline : Path
        The stored ratios.

    Returns
    -------
    int
        Exit code: 0; 1 for a regression or a failed benchmark; 2 for a file that cannot be used.
    """
    console = Console(width=TABLE_WIDTH)
    if save_baseline and select is not None:
        return _complain("a selection is no baseline: leave out --select")
    if against and not baseline.exists():
        return _complain(f"nothing is stored in {baseline}: record it with --save-baseline")
    try:
        stored = load(baseline) if against else {}
        measured = load(results_file) if results_file else _measure(select=select)
    except ResultsFileError as error:
        return _complain(error)
    if results_file:
        console.print(*(results_table(one) for one in measured.values()))
    passed = not any(one.failed for one in measured.values())
    if against:
        passed = _compare_all(
            console,
            stored,
            measured,
            measure_again=results_file is None,
            selection=select is not None,
        )
    if save_baseline:
        passed = _record(measured, baseline) and passed
    return 0 if passed else 1


def _complain(message: object) -> int:
    print(f"jpegdl benchmark: {message}", file=sys.stderr)
    return _USAGE


def _measure(
    tests: Sequence[str] = ("benchmarks",), *, select: str | None = None
) -> dict[str, Results]:
    """Run pytest-benchmark in its own process; its output goes to the terminal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", "--benchmark-only", "-q", *tests]
        command += [f"--ratios-json={path}", *(["-k", select] if select else [])]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode not in (_PASSED, _SOME_FAILED) or not path.exists():
            raise ResultsFileError(
                f"pytest ended with code {done.returncode} and left no results: see above"
            )
        return load(path)


def _compare_all(
    console: Console,
    stored: dict[str, Results],
    measured: dict[str, Results],
    *,
    measure_again: bool,
    selection: bool,
) -> bool:
    passed = True
    for device in {**stored, **measured}:
        if device not in measured:
            console.print(f"{device}: not measured, {len(stored[device].ratios)} figures stored")
            continue
        if device not in stored:
            console.print(
                f"{device}: nothing stored to compare with; "
                "record it with jpegdl benchmark --save-baseline"
            )
            passed = passed and not measured[device].failed
            continue
        comparison = compare(stored[device], measured[device])
        if measure_again:
            comparison = _confirmed(console, stored[device], measured[device], comparison)
        console.print(comparison_table(comparison, hide_missing=selection))
        console.print(verdict(comparison, hide_missing=selection), markup=False, highlight=False)
        passed = passed and comparison.passed
    return passed


def _confirmed(
    console: Console, stored: Results, measured: Results, comparison: Comparison
) -> Comparison:
    """Measure what looks slower again: noise does not repeat itself, a regression does."""
    for _ in range(RETRIES):
        suspects = {row.now.benchmark for row in comparison.regressions if row.now}
        if not suspects:
            break
        console.print(f"{len(suspects)} benchmarks look slower than stored: measuring them again")
        repeated = _measure(sorted(suspects)).get(measured.device)
        if repeated is None:
            break
        measured = merge_best(measured, repeated)
        comparison = compare(stored, measured)
    return comparison


def _record(measured: dict[str, Results], baseline: Path) -> bool:
    failed = [name for one in measured.values() for name in one.failed]
    if failed:
        print(
            f"jpegdl benchmark: not stored, because {len(failed)} benchmarks gave no figure: "
            + ", ".join(failed),
            file=sys.stderr,
        )
        return False
    kept = load(baseline) if baseline.exists() else {}
    save(baseline, {**kept, **measured})
    print(f"stored: {', '.join(sorted(measured))} in {baseline}")
    return True


__all__ = ["RETRIES", "benchmark"]
