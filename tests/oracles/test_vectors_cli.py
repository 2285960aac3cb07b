"""``jpegdl vectors`` as a command: what it prints, and its exit codes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jpegdl.cli import app
from oracles.vectors import DATA, generate, layer_inputs
from oracles.vectors import tables as files

runner = CliRunner()

SOURCE = """
from reference import soft_quantize_partials

def right(z, q, alpha, max_level):
    parts = soft_quantize_partials(z, q, alpha, max_level=max_level)
    return tuple(part.astype(z.dtype) for part in parts)

def wrong(z, q, alpha, max_level):
    value, dz, dq, dalpha = right(z, q, alpha, max_level)
    return value, dz, -dq, dalpha
"""


def run(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, ["vectors", *arguments])
    return result.exit_code, result.output


def refused(match: str, *arguments: str) -> None:
    code, output = run("check", *arguments)
    assert code == 2
    assert match in output


def test_check_of_the_files() -> None:
    code, output = run("check", "--sample", "5")
    assert code == 0
    assert "sound: 5 of" in output


def test_check_finds_damage(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(DATA, tmp_path / "vectors"))
    path = copy / files.QUANTIZER_FILE
    path.write_text(path.read_text() + "\n")
    code, output = run("check", str(copy), "--sample", "0")
    assert code == 1
    assert "quantizer.csv: the checksum differs" in output
    assert "DAMAGED" in output


def test_all_recomputes_every_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what `write` writes is what `check` accepts: on a small set of the same format."""
    monkeypatch.setattr(generate, "_GROUPS", {(1, 0): 1, (1, 3): 1})
    monkeypatch.setattr(layer_inputs, "_CASES", layer_inputs._CASES[:1])
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        code, output = run("write", str(folder))
        assert code == 0
        assert "layer.csv" in output
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    # What the old set lacks is computed.
    monkeypatch.setattr(generate, "_GROUPS", {(1, 0): 1, (1, 3): 1, (3, 0): 1})
    assert run("write", str(second), "--reuse", str(first))[0] == 0
    code, output = run("check", str(second), "--all")
    assert (code, output.splitlines()[-1]) == (0, "sound: 91 of 91 vectors recomputed")


def test_a_target_is_judged() -> None:
    code, output = run("check", "--target", "torch_impl:soft_quantize")
    assert code == 0
    assert output.count("PASSED") == 4  # full space and window 5, both dtypes


def test_a_layer_is_judged() -> None:
    code, output = run(
        "check", "--target", "torch_impl:JPEGLayer", "--contract", "layer", "--dtype", "float32"
    )
    assert code == 0
    assert "golden layer vectors, float32" in output


def test_a_numpy_target_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "numpy_quantizers_to_judge"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert run("check", "--target", f"{name}:right")[0] == 0
    code, output = run("check", "--target", f"{name}:wrong", "--dtype", "float64")
    assert code == 1
    assert "FAILED" in output
    assert "id=q" in output


def test_a_file_of_results_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    lines = (DATA / files.QUANTIZER_FILE).read_text().splitlines()
    chosen = [",".join([f[0], *f[8:12]]) for f in (line.split(",") for line in lines[1:])]
    path.write_text("\n".join(["id,value,dz,dq,dalpha", *chosen]))
    assert run("check", "--results", str(path))[0] == 0
    # Expectations with the columns of z and value mixed up.
    chosen = [",".join([f[0], f[5], *f[9:12]]) for f in (line.split(",") for line in lines[1:])]
    path.write_text("\n".join(["id,value,dz,dq,dalpha", *chosen]))
    code, output = run("check", "--results", str(path))
    assert code == 1
    assert "vectors" in output
    path.write_text("id,value\n")
    refused("the first line must be", "--results", str(path))


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    refused("give one of", "--target", "a:b", "--results", "c.csv")
    refused("TARGET or --command, not both", "--target", "a:b", "--command", "c")
    refused("style must be one of", "--target", "a:b", "--style", "jax")
    refused("dtype must be one of", "--target", "a:b", "--dtype", "float16")
    refused("contract must be one of", "--target", "a:b", "--contract", "cpmf")
    refused("leave --window out", "--target", "a:b", "--contract", "layer", "--window", "5")
    refused("cannot import module", "--target", "no_such_module:fn")
    refused("window must be", "--target", "torch_impl:soft_quantize", "--window", "9")
    refused("is not there", str(tmp_path))
    refused("sample must be >= 0", "--sample", "-1")
    assert run("write", str(tmp_path / "new"), "--reuse", str(tmp_path))[0] == 2
    code, output = run("write", "/dev/null/vectors")
    assert code == 2
    assert "vectors write" in output
