"""The plugin in a project of someone else's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import oracles

ROOT = Path(oracles.__file__).parents[1]
SOURCE = """
import numpy as np
from reference.compiled import soft_quantize_partials

def right(z, q, alpha, max_level):
    wide = (a.astype(np.float64) for a in (z, q, alpha))
    return tuple(p.astype(z.dtype) for p in soft_quantize_partials(*wide, max_level=max_level))

def wrong(z, q, alpha, max_level):
    value, dz, dq, dalpha = right(z, q, alpha, max_level)
    return value, dz, np.where(alpha * q * q < 1, dq + 1, dq).astype(z.dtype), dalpha

def raising(z, q, alpha, max_level):
    raise RuntimeError("no such kernel")
"""
TESTS = """
def test_with_the_fixture(oracle_report):
    import quantizers
    assert oracle_report(quantizers.right, dtype="float64").passed
    assert not oracle_report(quantizers.wrong).passed

def test_without():
    pass
"""
FAST = ("--oracle-dtype", "float32", "--oracle-window", "full")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "quantizers.py").write_text(SOURCE)
    (tmp_path / "test_theirs.py").write_text(TESTS)
    return tmp_path


def run(project: Path, *options: str) -> tuple[int, str]:
    """Run pytest in a project, whether or not the package is installed."""
    plugin = ("-p", "no:jpegdl_oracles", "-p", "oracles.pytest_plugin", "-p", "no:cacheprovider")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-W", "error", *options],
        cwd=project,
        env=environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.returncode, result.stdout + result.stderr


def test_one_test_per_evidence_and_regime(project: Path) -> None:
    code, output = run(project, "--oracle", "quantizers:right", *FAST, "--collect-only", "-q")
    assert code == 0, output
    names = re.findall(r"^oracle::quantizers:right\[float32-full-(\S+)\]$", output, re.MULTILINE)
    report = oracles.verify_soft_quantizer(_right)
    wanted = {f"{c.evidence}-{c.regime}".replace(" ", "_") for c in report.checks}
    assert set(names) == wanted
    assert len(names) == len(wanted)
    assert "test_theirs.py::test_without" in output


def _right(z, q, alpha, max_level):  # type: ignore[no-untyped-def]
    from oracles.mutants.sound import rounded_reference

    return rounded_reference(None)(z, q, alpha, max_level)


def test_failures_show_the_check_and_nothing_of_the_oracle(project: Path) -> None:
    code, output = run(project, "--oracle", "quantizers:wrong", *FAST, "-k", "reference")
    assert code == 1, output
    assert "oracle::quantizers:wrong[float32-full-reference-soft]" in output
    assert re.search(r"FAIL reference +soft +dq", output)
    assert re.search(r"replay: jpegdl verify quantizers:wrong .*--replay 'z=", output)
    assert "shrunk: z=" in output
    assert "Traceback" not in output
    assert "pytest_plugin.py" not in output
    # Only where h < 1 is it wrong.
    assert not re.search(r"FAILED .*reference-(hard|very_hard)\]", output)
    assert re.search(r"\d+ failed, \d+ passed, \d+ deselected", output)


def test_selection_and_their_own_tests(project: Path) -> None:
    code, output = run(project, "--oracle", "quantizers:right", *FAST, "-k", "oddness or theirs")
    assert code == 0, output
    assert re.search(r"\d+ passed, \d+ deselected", output)
    code, output = run(project, "-q")
    assert code == 0, output
    assert "2 passed" in output


def test_a_function_that_raises_fails_every_test_with_one_reason(project: Path) -> None:
    code, output = run(project, "--oracle", "quantizers:raising", *FAST, "-k", "oracle")
    assert code == 1
    assert "the function raised RuntimeError: no such kernel" in output
    assert "not judged: a call before this broke the contract" in output
    assert not re.search(r"\d+ passed", output.splitlines()[-1])


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
def test_workers_share_the_tests(project: Path) -> None:
    code, output = run(project, "--oracle", "quantizers:wrong", *FAST, "-n", "2", "-k", "reference")
    assert code == 1, output
    assert re.search(r"\d+ failed, \d+ passed", output)
    assert "different tests were collected" not in output.lower()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--oracle", "quantizers:absent"], "module 'quantizers' has no 'absent'"),
        (["--oracle", "no_such_module:f"], "cannot import module 'no_such_module'"),
        (["--oracle", "quantizers"], "target must be package.module:function"),
        (["--oracle", "quantizers:right", "--oracle-dtype", "float23"], "did you mean 'float32'"),
        (["--oracle", "quantizers:right", "--oracle-window", "4"], "window must be 'full' or"),
        (["--oracle", "quantizers:right", "--oracle-seed", "x"], "seed must be an int >= 0"),
    ],
)
def test_a_wrong_option_is_a_usage_error(project: Path, options: list[str], message: str) -> None:
    code, output = run(project, *options)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert message in output
    assert "Traceback" not in output


def test_without_the_option_nothing_is_imported(project: Path) -> None:
    heavy = {"numpy", "torch", "numba", "rich", "typer", "reference", "oracles.report"}
    (project / "test_theirs.py").write_text(
        f"import sys\ndef test():\n    assert not {heavy!r} & set(sys.modules)\n"
    )
    code, output = run(project, "-q")
    assert code == 0, output
