"""``verify`` as a command."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oracles import Report, search_worst
from oracles.cli.targets import BASELINES, CONTRACTS, Options, candidates, one_of, seconds
from oracles.cli.verify_command import resolve, verify
from oracles.regimes import REGIMES

SOURCE = """
import torch
from oracles.mutants.sound import rounded_reference

def _levels(z, q, max_level, window):
    if window is None:
        return torch.arange(-max_level, max_level + 1, dtype=z.dtype).expand(z.numel(), -1)
    near = torch.clamp(torch.floor(z / q + 0.5), -max_level, max_level).detach()
    first = torch.clamp(near - window // 2, -max_level, max_level - window + 1)
    return first[:, None] + torch.arange(window, dtype=z.dtype)

def right(z, q, alpha, *, max_level, window):
    shape = torch.broadcast_shapes(z.shape, q.shape, alpha.shape)
    z, q, alpha = (a.double().expand(shape).reshape(-1) for a in (z, q, alpha))
    v = _levels(z, q, max_level, window) * q[:, None]
    value = (torch.softmax(-alpha[:, None] * (z[:, None] - v) ** 2, 1) * v).sum(1)
    return value.reshape(shape)

def wrong(z, q, alpha, *, max_level, window):
    return right(z, q.detach(), alpha, max_level=max_level, window=window)

full = rounded_reference(None)

def masked(z, q, alpha, max_level, *, window):
    return rounded_reference(window)(z, q, alpha, max_level)

def upside_down(z, q, alpha, max_level):
    value, dz, dq, dalpha = full(z, q, alpha, max_level)
    return value, dz, dq, -dalpha

def two(z, q):
    return z

class Module(torch.nn.Module):
    pass

number = 3
"""

runner = CliRunner()
app = typer.Typer()
app.command()(verify)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "functions_to_judge"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / "breaks.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def run(*arguments: str) -> Any:
    return runner.invoke(app, list(arguments))


def test_a_right_torch_function_passes_in_both_supports_and_dtypes(module: str) -> None:
    result = run(f"{module}:right")
    assert result.exit_code == 0, result.output
    assert result.output.count(" ok ") == 4
    for words in ("all levels, float32", "window 5, float64"):
        assert words in result.output


def test_a_wrong_one_is_rejected_with_its_place(module: str) -> None:
    result = run(f"{module}:wrong", "--window", "3", "--dtype", "float32")
    assert result.exit_code == 1
    for words in ("FAIL", "window 3", "max_level=", "0x1", "replay: jpegdl verify", "shrunk: z="):
        assert words in result.output


@pytest.mark.parametrize("columns", ["80", "120", "60"])
def test_no_name_and_no_number_is_cut_off(
    module: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    result = run(f"{module}:upside_down", "--dtype", "float32")
    assert "…" not in result.output
    for evidence in ("determinism", "neighbours", "differences"):
        assert any(line.lstrip().startswith(evidence + " ") for line in result.output.splitlines())


def test_the_replay_line_works_as_it_is_printed(module: str) -> None:
    result = run(f"{module}:upside_down", "--dtype", "float64")
    (line,) = (x for x in result.output.splitlines() if x.startswith("replay: "))
    words = shlex.split(line.removeprefix("replay: "))
    assert words[:2] == ["jpegdl", "verify"]
    again = run(*words[2:])
    assert again.exit_code == 1
    for word in ("expected", "tolerance", "units", "dalpha", "FAIL", "all levels, float64"):
        assert word in again.output
    assert run(*(w.replace("upside_down", "full") for w in words[2:])).exit_code == 0


def test_replay_reads_decimals_and_takes_the_full_space_by_default(module: str) -> None:
    result = run(f"{module}:right", "--replay", "z=1.5 q=1 alpha=5 max_level=127")
    assert result.exit_code == 0, result.output
    assert "all levels, float32" in result.output
    assert "z=0x1.8p+0 q=0x1p+0 alpha=0x1.4p+2 max_level=127" in result.output


def test_search_prints_the_worst_input_and_its_line(module: str) -> None:
    result = run(f"{module}:full", "--dtype", "float32", "--search", "1500ms")
    assert result.exit_code == 0, result.output
    for regime in REGIMES:
        assert regime in result.output
    (line,) = (x for x in result.output.splitlines() if x.startswith("replay: "))
    words = shlex.split(line.removeprefix("replay: "))
    again = run(*words[2:])
    assert again.exit_code == 0, again.output
    assert words[-1] in again.output


def test_reports_are_written(module: str, tmp_path: Path) -> None:
    result = run(f"{module}:upside_down", "--json", "out.json", "--html", "out.html", "--quiet")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split(":")[0] for line in lines] == ["FAILED", "replay"] * 2
    data = json.loads((tmp_path / "out.json").read_text())
    reports = [Report.from_json(json.dumps(item)) for item in data]
    assert [report.settings["dtype"] for report in reports] == ["float32", "float64"]
    assert all(report.settings["target"] == f"{module}:upside_down" for report in reports)
    page = (tmp_path / "out.html").read_text()
    assert "2 reports" in page
    assert f"{module}:upside_down" in page


def test_quiet_says_nothing_of_what_is_sound(module: str) -> None:
    result = run(f"{module}:full", "--dtype", "float32", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_styles_are_told_apart(module: str) -> None:
    def found(name: str, **options: str) -> list[tuple[int | None, str]]:
        made = candidates(Options(target=f"{module}:{name}", **options))
        return [(c.window, c.settings["style"]) for c in made if c.dtype == "float32"]

    assert found("right") == [(None, "torch"), (5, "torch")]
    assert found("full") == [(None, "numpy")]
    # A NumPy function may have a window as well; its parameters do not tell.
    assert found("masked", style="numpy") == [(None, "numpy"), (5, "numpy")]
    assert found("masked", style="numpy", window="7") == [(7, "numpy")]
    assert found("Module", contract="layer") == [(None, "torch"), (5, "torch")]
    result = run(f"{module}:masked", "--style", "numpy", "--window", "5", "--dtype", "float32")
    assert result.exit_code == 0, result.output


def test_a_program_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.py").write_text("import sys; sys.exit('out of order')")
    command = f"{shlex.quote(sys.executable)} bench.py"
    result = run("--command", command, "--dtype", "float32", "--timeout", "20", "--quiet")
    assert result.exit_code == 1, result.output
    line = result.output.splitlines()[1].removeprefix("replay: jpegdl verify ")
    words = shlex.split(line)
    assert words[words.index("--command") + 1] == command
    assert words[words.index("--timeout") + 1] == "20.0"
    assert run(*words).exit_code == 1


def test_every_contract_has_its_judge_and_its_adapter() -> None:
    import oracles

    for judge, adapter, _, _ in CONTRACTS.values():
        assert callable(getattr(oracles, judge))
        assert callable(getattr(oracles.adapters, adapter))
    from oracles.baselines import KINDS

    assert set(KINDS) == set(BASELINES)


def test_quantizers_without_alpha_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in BASELINES:
        (torch_one,) = candidates(Options(contract=kind, dtype="float32"))
        assert torch_one.settings == {"target": f"torch_impl:{kind}_quantize", "style": "torch"}
        assert torch_one.name == "float32"
    result = run("--contract", "uniform_noise", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "cubes.py").write_text(
        "import reference\n"
        "def cube(z, q, max_level):\n"
        "    parts = reference.cubic_partials(z, q, max_level=max_level)\n"
        "    return [part.astype(z.dtype) for part in parts]\n"
    )
    assert run("cubes:cube", "--contract", "cubic", "--dtype", "float32").exit_code == 0
    result = run("cubes:cube", "--contract", "hard", "--dtype", "float32", "--quiet")
    assert result.exit_code == 1
    line = result.output.splitlines()[1].removeprefix("replay: jpegdl verify ")
    assert "--window" not in line
    assert run(*shlex.split(line)).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_package.at_all:f"], "cannot import module 'no_such_package.at_all'"),
        (["breaks:f"], "cannot import module 'breaks': it raised ZeroDivisionError"),
        (["{module}:absent"], "has no 'absent'"),
        (["{module}:number"], "is not callable but int"),
        (["{module}"], "target must be package.module:function"),
        (["{module}:two"], "give --style torch or --style numpy"),
        (["{module}:right", "--window", "4"], "window must be 'full' or an odd number >= 3"),
        (["{module}:right", "--window", "fill"], "window must be 'full' or an odd number >= 3"),
        (["{module}:right", "--dtype", "float23"], "got 'float23'; did you mean 'float32'?"),
        (["{module}:right", "--seed", "-1"], "seed must be >= 0"),
        (["{module}:right", "--budget", "fast"], "budget must be one of quick, full"),
        (["{module}:right", "--budget", "ful"], "did you mean 'full'?"),
        (["{module}:right", "--contract", "quantiser"], "did you mean 'quantizer'?"),
        (["{module}:right", "--style", "numpie"], "did you mean 'numpy'?"),
        (["{module}:right", "--subsampling", "4:1:1"], "subsampling must be one of"),
        (["{module}:right", "--search", "soon"], "search must be a duration such as 60s"),
        (["{module}:right", "--search", "0s"], "search must be a duration"),
        (["{module}:right", "--replay", "z=1"], "replay lacks q, alpha, max_level"),
        (["{module}:right", "--contract", "layer", "--replay", "z=1"], "quantizer only"),
        (["{module}:right", "--contract", "cpmf", "--search", "1s"], "quantizer only"),
        (["{module}:right", "--command", "true"], "give TARGET or --command, not both"),
        (["--command", "true", "--timeout", "0"], "timeout must be > 0"),
        (["--contract", "cpmf"], "contract cpmf needs a TARGET"),
        (["--contract", "cubic", "--window", "5"], "contract cubic has no window, got '5'"),
        (["--contract", "cubik"], "did you mean 'cubic'?"),
        (["{module}:full", "--dtype", "float32", "--json", "no/where.json"], "no/where.json"),
    ],
)
def test_wrong_arguments(module: str, arguments: list[str], message: str) -> None:
    result = run(*(argument.format(module=module) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.output


@pytest.mark.parametrize(
    ("text", "expected"), [("60s", 60.0), ("2m", 120.0), ("500ms", 0.5), ("7", 7.0), ("1.5s", 1.5)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_the_nearest_choice_is_named_only_where_one_is_near() -> None:
    with pytest.raises(ValueError, match=r"got 'zzz'$"):
        one_of("budget", "zzz", ("quick", "full"))


def test_the_package_s_own_quantizer_passes() -> None:
    result = run()
    assert result.exit_code == 0, result.output


def test_resolve_finds_nested_names() -> None:
    assert resolve("oracles:Report.from_json") == Report.from_json
    assert resolve("oracles:search_worst") is search_worst
