"""``jpegdl benchmark``: exit codes, files, and what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import jpegdl.benchmark
from benchmarks import __main__, cli
from benchmarks.ratios import Ratio
from benchmarks.results import BASELINE, ROOT, Results, load, save
from tests.benchmarks.test_compare import ratio, results


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    save(path, {"cpu": results(ratio("a", 10.0, benchmark="bench.py::a"), ratio("b", 4.0))})
    return path


def _file(tmp_path: Path, *ratios: Ratio, **more: object) -> Path:
    path = tmp_path / "run.json"
    save(path, {"cpu": results(*ratios, **more)})
    return path


@pytest.mark.parametrize(("value", "code"), [(9.0, 0), (5.0, 1)])
def test_compare_a_file(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str], value: float, code: int
) -> None:
    path = _file(tmp_path, ratio("a", value), ratio("b", 4.0))
    assert cli.benchmark(path, against=True, baseline=baseline) == code
    out = capsys.readouterr().out
    assert ("REGRESSION" in out) is (code == 1)
    assert "figures more than 20% slower" in out


def test_without_options_a_file_is_printed(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, ratio("a", 9.0))
    assert cli.benchmark(path, baseline=baseline) == 0
    assert "9x faster" in capsys.readouterr().out
    assert cli.benchmark(_file(tmp_path, ratio("a", 9.0), failed=("x",))) == 1


def test_files_that_cannot_be_used(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.benchmark(tmp_path / "none.json", against=True, baseline=baseline) == 2
    assert "there is no result file" in capsys.readouterr().err
    run = _file(tmp_path, ratio("a", 9.0))
    assert cli.benchmark(run, against=True, baseline=tmp_path / "none.json") == 2
    assert "--save-baseline" in capsys.readouterr().err


def test_device_without_stored_figures(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    save(path, {"cuda": results(device="cuda")})
    assert cli.benchmark(path, against=True, baseline=baseline) == 0
    out = capsys.readouterr().out
    assert "cpu: not measured, 2 figures stored" in out
    assert "cuda: nothing stored to compare with" in out


def test_save_baseline_keeps_other_devices(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    save(baseline, {"cpu": results(ratio("a", 1.0)), "cuda": results(device="cuda")})
    run = _file(tmp_path, ratio("a", 9.0))
    assert cli.benchmark(run, save_baseline=True, baseline=baseline) == 0
    stored = load(baseline)
    assert stored["cpu"] == load(run)["cpu"]
    assert stored["cuda"] == results(device="cuda")


def test_save_baseline_refuses(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = baseline.read_text()
    run = _file(tmp_path, ratio("a", 9.0), failed=("bench.py::b",))
    assert cli.benchmark(run, save_baseline=True, baseline=baseline) == 1
    assert "not stored, because 1 benchmarks gave no figure" in capsys.readouterr().err
    assert cli.benchmark(None, save_baseline=True, select="a", baseline=baseline) == 2
    assert "a selection is no baseline" in capsys.readouterr().err
    assert baseline.read_text() == before


class FakeRuns:
    """Stands in for the runs of pytest: one value of figure "a" for each."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)
        self.asked: list[tuple[str, ...]] = []

    def __call__(
        self, tests: tuple[str, ...] = ("benchmarks",), *, select: str | None = None
    ) -> dict[str, Results]:
        self.asked.append(tuple(tests))
        ratios = [ratio("a", self.values.pop(0), benchmark="bench.py::a")]
        if len(self.asked) == 1:
            ratios.append(ratio("b", 4.0, benchmark="bench.py::b"))
        return {"cpu": results(*ratios)}


@pytest.mark.parametrize(
    ("values", "code", "runs"),
    [
        ((10.0,), 0, 1),
        ((5.0, 9.5), 0, 2),  # noise: the second time it is fine
        ((5.0, 5.0, 9.5), 0, 3),
        ((5.0, 5.0, 5.0), 1, 3),  # a regression: every time
    ],
)
def test_suspects_are_measured_again(
    monkeypatch: pytest.MonkeyPatch,
    baseline: Path,
    values: tuple[float, ...],
    code: int,
    runs: int,
) -> None:
    fake = FakeRuns(*values)
    monkeypatch.setattr(cli, "_measure", fake)
    assert cli.benchmark(against=True, baseline=baseline) == code
    assert fake.asked == [("benchmarks",)] + [("bench.py::a",)] * (runs - 1)


def _command() -> typer.Typer:
    app = typer.Typer()
    app.command()(jpegdl.benchmark.benchmark)
    return app


def test_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages" / "jpegdl" / "benchmark.py"
    monkeypatch.setattr(jpegdl.benchmark, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(_command(), [])
    assert done.exit_code == 2
    assert "needs a checkout of the repository" in done.output


@pytest.mark.parametrize(
    ("option", "values"), [("--compare", []), ("--save-baseline", []), ("--select", ["a and b"])]
)
def test_options_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, values: list[str]
) -> None:
    """Installed elsewhere and run below the checkout; the exit code comes back."""
    started: list[tuple[list[str], Path]] = []

    def run(command: list[str], *, cwd: Path, check: bool) -> subprocess.CompletedProcess[str]:
        started.append((command, cwd))
        return subprocess.CompletedProcess(command, 7)

    installed = tmp_path / "site-packages" / "jpegdl" / "benchmark.py"
    monkeypatch.setattr(jpegdl.benchmark, "__file__", str(installed))
    monkeypatch.setattr(jpegdl.benchmark.subprocess, "run", run)
    monkeypatch.chdir(ROOT / "docs")
    given = ["run.json", option, *values]
    done = CliRunner().invoke(_command(), given)
    assert done.exit_code == 7
    ((command, where),) = started
    assert where == ROOT
    assert command == [
        sys.executable,
        "-m",
        "benchmarks",
        str(ROOT / "docs" / "run.json"),
        option,
        *values,
    ]

    asked: dict[str, object] = {}

    def record(results_file: Path, **options: object) -> int:
        asked.update(options, results_file=results_file)
        return 3

    monkeypatch.setattr(__main__, "benchmark", record)
    assert __main__.main(command[3:]) == 3
    assert asked == {
        "results_file": ROOT / "docs" / "run.json",
        "against": option == "--compare",
        "save_baseline": option == "--save-baseline",
        "select": "a and b" if option == "--select" else None,
    }


def test_the_whole_way(tmp_path: Path) -> None:
    """A process behind a process: the table arrives, and so does the exit code."""
    run = _file(tmp_path, ratio("a", 9.0), failed=("x",))
    code = "import typer, jpegdl.benchmark as b; typer.run(b.benchmark)"
    done = subprocess.run(
        [sys.executable, "-c", code, "run.json"],
        cwd=run.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "9x faster" in done.stdout


def test_other_projects_with_benchmarks_are_passed_over(tmp_path: Path) -> None:
    other = tmp_path / "other" / "deep"
    (other / "benchmarks").mkdir(parents=True)
    (other / "benchmarks" / "cli.py").touch()
    (other / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert jpegdl.benchmark.find_checkout(other) is None
    assert jpegdl.benchmark.find_checkout(other, ROOT / "docs") == ROOT


def test_stored_baseline_can_be_read() -> None:
    """And holds a figure for every goal of the CPU, against the naive forms."""
    stored = load(BASELINE)["cpu"]
    assert not stored.failed
    assert len({r.key for r in stored.ratios}) == len(stored.ratios)
    assert sum(r.goal is not None for r in stored.ratios) >= 4
