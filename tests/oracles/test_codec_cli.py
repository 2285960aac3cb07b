"""Codecs from the command line, under pytest, and as torch functions on batches."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from oracles import torch_jpeg_codec, verify_jpeg_codec
from oracles.cli.targets import Options, candidates
from oracles.cli.verify_command import verify
from oracles.pytest_plugin import _sound
from torch_impl import diff_jpeg, jpeg_roundtrip

SOURCE = """
import numpy as np
from reference import jpeg_codec
from oracles.mutants.codec_sound import real_codec as real
from torch_impl import jpeg_roundtrip

def right(image, *, quality=None, qtables=None, subsampling="4:2:0"):
    return jpeg_codec.roundtrip(image, quality=quality, qtables=qtables, subsampling=subsampling)

def wrong(image, *, quality=None, qtables=None, subsampling="4:2:0"):
    tables = None if qtables is None else qtables.swapaxes(1, 2)
    return right(image, quality=quality, qtables=tables, subsampling=subsampling)

def first_for_all(images, **options):
    return jpeg_roundtrip(images[:1].expand_as(images), **options)

def anyhow(x, **options):
    return right(x, **options)
"""

runner = CliRunner()
app = typer.Typer()
app.command()(verify)


def run(*arguments: str) -> Any:
    return runner.invoke(app, list(arguments))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"codecs_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_numpy_codec_is_judged(module: str) -> None:
    result = run(f"{module}:right", "--contract", "codec", "--subsampling", "420")
    assert result.exit_code == 0, result.output
    assert "uint8" in result.output
    result = run(f"{module}:real", "--contract", "real_codec", "--style", "numpy", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_a_wrong_one_is_rejected_and_the_line_replays(module: str) -> None:
    words = (f"{module}:wrong", "--contract", "codec", "--subsampling", "4:2:2", "--quiet")
    result = run(*words)
    assert result.exit_code == 1, result.output
    line = result.output.splitlines()[1].removeprefix("replay: jpegdl verify ")
    for option in ("--contract codec", "--subsampling 4:2:2", "--style numpy", "--seed 0"):
        assert option in line
    assert "--window" not in line
    assert run(*shlex.split(line)).exit_code == 1
    result = run(*words[:-1])
    for part in ("tables", "table entries", "pixel=", "none, qtables"):
        assert part in result.output


def test_torch_functions_are_told_from_numpy_ones(module: str) -> None:
    def found(**options: str) -> list[tuple[str, str]]:
        made = candidates(Options(**options))
        return [(c.name, c.settings["style"]) for c in made]

    assert found(contract="codec") == [("float32", "torch"), ("float64", "torch")]
    assert found(contract="codec", dtype="float64") == [("float64", "torch")]
    assert found(contract="codec", target=f"{module}:right") == [("uint8", "numpy")]
    assert found(contract="real_codec", target=f"{module}:anyhow", style="numpy") == [
        ("uint8", "numpy")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contract", "real_codec"], "contract real_codec needs a TARGET"),
        (["{}:anyhow", "--contract", "codec"], "give --style torch or --style numpy"),
        (["{}:right", "--contract", "codec", "--window", "5"], "has no window, got '5'"),
        (["--contract", "codec", "--command", "true"], "has no command, got 'true'"),
        (["{}:right", "--contract", "codec", "--subsampling", "4:1:1"], "subsampling must be"),
        (["{}:right", "--contract", "codecs"], "did you mean 'codec'?"),
    ],
)
def test_wrong_arguments(module: str, arguments: list[str], message: str) -> None:
    result = run(*(argument.format(module) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_under_pytest_the_evidence_comes_from_a_sound_codec(module: str) -> None:
    """The plugin asks a sound codec what there is to check."""
    for contract in ("codec", "real_codec"):
        (candidate,) = candidates(
            Options(target=f"{module}:wrong", contract=contract, subsampling="4:4:4")
        )
        report = verify_jpeg_codec(_sound(candidate), qualities=(50,), exact=contract == "codec")
        report.raise_if_failed()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_package_s_own_codec_is_libjpeg(dtype: str) -> None:
    codec = torch_jpeg_codec(jpeg_roundtrip, dtype=dtype, batch=3)
    report = verify_jpeg_codec(codec, grey=True, subsamplings="4:4:4,4:2:2,4:2:0,4:4:0")
    report.raise_if_failed()


def test_straight_through_diff_jpeg_is_libjpeg_and_its_surrogate_is_not() -> None:
    options: dict[str, Any] = {"qualities": (5, 50, 95), "subsamplings": "4:2:0"}

    def exact(images: torch.Tensor, **keywords: Any) -> torch.Tensor:
        return diff_jpeg(images, straight_through=True, **keywords)

    verify_jpeg_codec(torch_jpeg_codec(exact), **options).raise_if_failed()
    report = verify_jpeg_codec(torch_jpeg_codec(diff_jpeg), exact=False, **options)
    assert {"reference", "tables"} <= set(report.evidence(failed=True))


def test_images_of_a_batch_must_not_touch_each_other(module: str) -> None:
    result = run(
        f"{module}:first_for_all",
        "--contract",
        "codec",
        "--dtype",
        "float32",
        "--style",
        "torch",
        "--subsampling",
        "4:4:4",
        "--quiet",
    )
    assert result.exit_code == 1, result.output

    def alone(images: torch.Tensor, **options: Any) -> torch.Tensor:
        return jpeg_roundtrip(images[:1].expand_as(images), **options)

    # One image at a time cannot tell.
    options: dict[str, Any] = {"qualities": (50,), "subsamplings": "4:4:4"}
    verify_jpeg_codec(torch_jpeg_codec(alone, batch=1), **options).raise_if_failed()
    assert not verify_jpeg_codec(torch_jpeg_codec(alone, batch=2), **options).passed


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, **k: x[:, :, :1], "not images"),
        (lambda x, **k: 3, "the function gave int"),
        (lambda x, **k: x.add_(1), "changed its input tensor"),
    ],
)
def test_a_torch_function_that_breaks_its_contract(function: Any, message: str) -> None:
    report = verify_jpeg_codec(torch_jpeg_codec(function), qualities=(50,), qtables=False)
    assert "contract" in report.evidence(failed=True)
    assert message in str(report)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "int16"}, ValueError, "dtype must be one of 'uint8'"),
        ({"batch": 0}, ValueError, "batch must be at least 1"),
        ({"batch": 2.0}, TypeError, "batch must be a whole number"),
        ({"compile": 3}, TypeError, "compile must be"),
    ],
)
def test_wrong_options_of_the_adapter(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        torch_jpeg_codec(jpeg_roundtrip, **options)
