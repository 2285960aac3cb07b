"""The pytest side, end to end, in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import ROOT, load

BENCH = """
import pytest
from benchmarks.measure import Opponent
from benchmarks.ratios import Kind
from benchmarks.verify import WrongResultError

def test_good(race):
    race("thing", lambda: sum(range(2000)), [
        Opponent("itself", lambda: sum(range(2000)), goal=0.001, note="a note"),
        Opponent("half", lambda: sum(range(1000)), Kind.MULTIPLE, work=2.0)], seconds=0.01)

def test_wrong(race):
    raise WrongResultError("not timed, because the result is wrong")

def test_timed_and_then_wrong(race):
    race("liar", lambda: None, [Opponent("nothing", lambda: None)], seconds=0.001)
    raise WrongResultError("too late")

@pytest.mark.gpu
def test_gpu(race):
    raise AssertionError("runs only where there is a GPU, and is not run here")
"""

ORDINARY = "def test_ordinary():\n    raise AssertionError('must be skipped')\n"


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --benchmark-skip\nmarkers = gpu: needs one\n"
        "filterwarnings = error\npython_files = test_*.py bench_*.py\n"
        f"pythonpath = {ROOT}\n"
    )
    # The conftest of the benchmarks itself, as pytest would load it there.
    (folder / "conftest.py").write_text((ROOT / "benchmarks" / "conftest.py").read_text())
    (folder / "bench_it.py").write_text(BENCH)
    (folder / "test_ordinary.py").write_text(ORDINARY)
    # Hides a GPU, so that the outcome is the same everywhere.
    environment = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_benchmark_only(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    done = _pytest(tmp_path, "--benchmark-only", f"--ratios-json={path}")
    assert done.returncode == 1, done.stdout + done.stderr  # two wrong results
    assert "1 passed" in done.stdout
    assert "2 failed" in done.stdout
    assert "2 skipped" in done.stdout  # the ordinary test and the GPU's

    assert "not measured: no CUDA device" in done.stdout
    assert "cuda: not measured" in done.stdout
    assert ">= 0.001x: met, a note" in done.stdout
    assert "no figure from bench_it.py::test_wrong" in done.stdout
    assert f"saved: {path}" in done.stdout

    (cpu,) = load(path).values()
    assert [(r.name, r.against) for r in cpu.ratios] == [("thing", "itself"), ("thing", "half")]
    assert all(r.pairs >= 3 and r.low <= r.value <= r.high for r in cpu.ratios)
    assert cpu.ratios[0].benchmark == "bench_it.py::test_good"
    assert sorted(cpu.failed) == [
        "bench_it.py::test_timed_and_then_wrong",
        "bench_it.py::test_wrong",
    ]
    assert cpu.hardware.keys() == {"cpu", "cores", "threads", "omp_wait_policy", "gpu"}
    assert cpu.hardware["omp_wait_policy"] == "PASSIVE"
    assert cpu.hardware["threads"] == 2
    assert {"python", "torch", "numpy", "numba", "triton"} <= cpu.versions.keys()
    raw = json.loads(path.read_text())
    assert raw["schema_version"] == 1
    assert raw["devices"]["cpu"].keys() >= {"commit", "dirty", "date", "method", "ratios"}


@pytest.mark.slow
def test_ordinary_runs_skip_benchmarks(tmp_path: Path) -> None:
    done = _pytest(tmp_path)
    assert "1 failed" in done.stdout, done.stdout + done.stderr  # the ordinary test
    assert "4 skipped" in done.stdout
    assert "ratios" not in done.stdout
    assert not list(tmp_path.glob("**/*.json"))
