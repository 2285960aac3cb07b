"""Points as text, and what a function does there."""

from __future__ import annotations

import random
from typing import Any

import pytest

from oracles import replay_point
from oracles.mutants.quantizer import MUTANTS
from oracles.mutants.sound import rounded_reference
from oracles.quantizer.replay import format_point, parse_point, replay_line

POINT = "z=0x1.8p+0 q=0x1p+0 alpha=0x1.4p+2 max_level=127"


def test_a_point_survives_as_text() -> None:
    rng = random.Random(1)
    for size in (1, 1, 1, 3):
        for _ in range(50):
            z = [rng.choice([-1, 1]) * 2 ** rng.uniform(-1070, 1000) for _ in range(size)]
            q, alpha = ([2 ** rng.uniform(-1070, 1000) for _ in range(size)] for _ in "qa")
            columns = {"z": z, "q": q, "alpha": alpha}
            assert parse_point(format_point(columns, 9)) == (columns, 9)
    assert format_point({"z": [1.5], "q": [1.0], "alpha": [5.0]}, 127) == POINT
    assert parse_point("max_level=127 alpha=5 q=1.0 z=1.5") == parse_point(POINT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "replay lacks z, q, alpha, max_level"),
        ("z=1 q=1 alpha=1", "replay lacks max_level"),
        ("z=1 q=1 alpha=1 max_level=1 z=2", "each once; got 'z=2'"),
        ("z=1 q=1 alpha=1 level=1", "each once; got 'level=1'"),
        ("z= q=1 alpha=1 max_level=1", "each once; got 'z='"),
        ("z=one q=1 alpha=1 max_level=1", "z of a replay must be a finite number, got 'one'"),
        ("z=inf q=1 alpha=1 max_level=1", "z of a replay must be a finite number, got 'inf'"),
        ("z=0x1p+5000 q=1 alpha=1 max_level=1", "z of a replay must be a finite number"),
        ("z=1 q=0 alpha=1 max_level=1", "q of a replay must be > 0, got 0.0"),
        ("z=1 q=1 alpha=-1 max_level=1", "alpha of a replay must be > 0"),
        ("z=1 q=1 alpha=1 max_level=0", "max_level of a replay must be an int >= 1, got '0'"),
        ("z=1 q=1 alpha=1 max_level=1.5", "max_level of a replay must be an int >= 1"),
        ("z=1,2 q=1 alpha=1 max_level=1", "lists of equal length"),
    ],
)
def test_what_is_no_point_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_point(text)


def test_a_replay_judges_each_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_point(rounded_reference(None), POINT).passed
    replay = replay_point(MUTANTS["dz without factor 2"].factory(5), POINT, window=5)
    assert [name for name, where in replay.rows if where.units > 1] == ["dz"]
    assert not replay.passed
    replay.print()
    printed = capsys.readouterr().out
    assert POINT in printed
    assert printed.count("FAIL") == 1


def test_a_batch_is_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        sizes.append((z.shape, z.dtype.name))
        return rounded_reference(None)(z, q, alpha, max_level)

    replay = replay_point(fn, "z=1,2,3 q=1,1,1 alpha=1,1,1 max_level=3", dtype="float64")
    assert sizes == [((3,), "float64")]
    assert [where.index for _, where in replay.rows] == [0] * 4 + [1] * 4 + [2] * 4
    replay.print()
    assert "element" in capsys.readouterr().out


def test_a_broken_contract_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    replay = replay_point(lambda *arguments: 3, POINT)
    assert not replay.passed
    replay.print()
    assert "the function returned int" in capsys.readouterr().out


def test_inputs_have_to_fit_the_dtype_and_the_window() -> None:
    fn = rounded_reference(None)
    with pytest.raises(ValueError, match="no finite positive numbers in float32"):
        replay_point(fn, "z=1 q=1e-300 alpha=1 max_level=3")
    with pytest.raises(ValueError, match="window 5 does not fit into the levels of max_level=1"):
        replay_point(fn, "z=1 q=1 alpha=1 max_level=1", window=5)
    with pytest.raises(ValueError, match="dtype must be"):
        replay_point(fn, POINT, dtype="float16")


def test_lines_for_python_and_for_the_shell() -> None:
    settings = {"contract": "quantizer", "window": None, "dtype": "float64", "seed": 3}
    settings |= {"budget": "full", "broadcast": None}
    line = replay_line(settings, POINT)
    assert line == f"oracles.replay_point(fn, '{POINT}', window=None, dtype='float64').print()"
    assert replay_line(settings) == (
        "oracles.verify_soft_quantizer(fn, window=None, dtype='float64', seed=3, budget='full')"
    )
    settings |= {"target": "a b:c", "style": "torch", "device": "cuda", "compile": True}
    assert replay_line(settings, POINT) == (
        "jpegdl verify 'a b:c' --window full --dtype float64 --style torch --device cuda "
        f"--compile --replay '{POINT}'"
    )
    layer = {"contract": "layer", "window": 5, "subsampling": "4:2:0", "dtype": "float32"}
    layer |= {"seed": 0, "budget": "quick", "command": "./bench --fast", "timeout": 2.5}
    assert replay_line(layer) == (
        "jpegdl verify --command './bench --fast' --contract layer --window 5 "
        "--subsampling 4:2:0 --dtype float32 --timeout 2.5 --seed 0 --budget quick"
    )
    assert replay_line({}) == ""
