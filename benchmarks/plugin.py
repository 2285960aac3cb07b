"""The pytest side: a fixture that races, a table at the end, and a result file."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import environment, tables
from benchmarks.measure import Clock, Opponent, Race, Work, no_garbage_collection, wall_clock
from benchmarks.ratios import Ratio
from benchmarks.results import Results, default_path, save

#: The project's goals are stated for this many CPU threads.
THREADS = 2
DEFAULT_COLUMNS = ["min", "median", "iqr", "rounds"]

_RATIOS = pytest.StashKey[list[Ratio]]()
_FAILED = pytest.StashKey[list[str]]()
_SAVED = pytest.StashKey[Path]()
_RESULTS = pytest.StashKey[dict[str, Results]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the result file goes."""
    parser.addoption(
        "--ratios-json",
        metavar="PATH",
        default=None,
        help="Write the ratios of the benchmarks there instead of to benchmarks/results/.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the collection of ratios; keep pytest-benchmark's table narrow."""
    config.stash[_RATIOS] = []
    config.stash[_FAILED] = []
    if config.getoption("benchmark_columns", None) is None:
        config.option.benchmark_columns = DEFAULT_COLUMNS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip benchmarks marked ``gpu`` where there is no CUDA device."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords and "race" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="not measured: no CUDA device"))


@pytest.fixture
def threads() -> Iterator[None]:
    """Two torch threads, as the goals say, whatever the machine offers."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


Runner = Callable[..., list[Ratio]]


@pytest.fixture
def race(threads: None, benchmark: Any, request: pytest.FixtureRequest) -> Runner:
    """``race(name, candidate, opponents)`` measures, reports and returns the ratios.

    Call it after the candidate has been checked: what was raced is reported.
    """

    def run(
        name: str,
        candidate: Work,
        opponents: Sequence[Opponent],
        *,
        clock: Clock = wall_clock,
        device: str = "cpu",
        seconds: float = 0.6,
    ) -> list[Ratio]:
        with no_garbage_collection():
            contest = Race(candidate, opponents, clock, seconds)
            benchmark.pedantic(
                contest.run_candidate, setup=contest.run_opponents, rounds=contest.rounds
            )
        ratios = contest.ratios(name, device, request.node.nodeid)
        benchmark.extra_info["ratios"] = {r.against: r.value for r in ratios}
        request.config.stash[_RATIOS].extend(ratios)
        return ratios

    return run


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember the benchmarks that gave no figure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    failed: list[str] = item.config.stash[_FAILED]
    if report.failed and "race" in getattr(item, "fixturenames", ()) and item.nodeid not in failed:
        failed.append(item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the result file."""
    config = session.config
    ratios, failed = config.stash[_RATIOS], config.stash[_FAILED]
    if not ratios and not failed:
        return
    # A figure of a benchmark that failed later on is no figure.
    results = _collect([r for r in ratios if r.benchmark not in failed], failed)
    config.stash[_RESULTS] = results
    chosen = config.getoption("ratios_json")
    path = Path(chosen) if chosen else default_path(results)
    save(path, results)
    config.stash[_SAVED] = path


def _collect(ratios: list[Ratio], failed: list[str]) -> dict[str, Results]:
    commit, dirty = environment.commit()
    # Threads as during the measurement: the fixture has put them back by now.
    hardware = {**environment.hardware(), "threads": THREADS}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        device: Results(
            device=device,
            hardware=hardware,
            versions=environment.versions(),
            commit=commit,
            dirty=dirty,
            date=now,
            ratios=tuple(r for r in ratios if r.device == device),
            failed=tuple(name for name in failed if _device_of(name) == device),
        )
        for device in sorted({r.device for r in ratios} | {_device_of(name) for name in failed})
    }


def _device_of(nodeid: str) -> str:
    return "cuda" if "bench_cuda" in nodeid else "cpu"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the ratios."""
    results = config.stash.get(_RESULTS, None)
    if results is None:
        return
    terminalreporter.section("ratios")
    for device, one in results.items():
        shown = tables.render([tables.results_table(one)], color=terminalreporter.hasmarkup)
        terminalreporter.write_line(shown)
        for name in one.failed:
            terminalreporter.write_line(f"{device}: no figure from {name}", red=True)
    if "cuda" not in results:
        terminalreporter.write_line("cuda: not measured")
    some = next(iter(results.values()))
    gpu = some.hardware["gpu"] or "no GPU"
    versions = ", ".join(f"{name} {version}" for name, version in some.versions.items())
    terminalreporter.write_line(
        f"{some.hardware['cpu']}, {some.hardware['cores']} cores, {THREADS} threads, {gpu}"
    )
    terminalreporter.write_line(
        f"{versions}; commit {some.commit or 'unknown'}{' (changed)' if some.dirty else ''}"
    )
    terminalreporter.write_line(f"saved: {config.stash[_SAVED]}")
