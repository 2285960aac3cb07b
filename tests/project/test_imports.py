"""Who may import whom: the arrows between the rooms, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("reference", "torch_impl", "oracles", "trainer", "jpegdl")
# Ours, besides the rooms: none of these may be imported by what is installed.
OUTER = ("tests", "benchmarks")


class Import(NamedTuple):
    file: str
    line: int
    module: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports_in(source: str, file: str) -> Iterator[Import]:
    """Every import of a file, with `from a.b import c` as "a.b.c"."""
    tree = ast.parse(source)
    package = file.removesuffix(".py").removesuffix("/__init__").split("/")
    inside_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        lazy = id(node) in inside_functions
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                # Relative to the package that the file is in.
                keep = len(package) - node.level + file.endswith("__init__.py")
                base = ".".join([*package[:keep], *filter(None, [base])])
            for alias in node.names:
                yield Import(file, node.lineno, f"{base}.{alias.name}", lazy)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else "?"
            yield Import(file, node.lineno, str(name), lazy)


def imports_of(room: str) -> list[Import]:
    files = sorted((ROOT / room).rglob("*.py"))
    return [
        found
        for path in files
        for found in imports_in(path.read_text(), path.relative_to(ROOT).as_posix())
    ]


def top(module: str) -> str:
    return module.split(".")[0]


def is_under(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(allowed + ".")


# Room: what it may import of ours, beside itself.
ALLOWED = {
    "reference": (),
    "torch_impl": ("reference.standard",),
    "oracles": ("reference",),
    "trainer": ("torch_impl",),
    "jpegdl": tuple(f"{room}.cli" for room in ROOMS),
}


def violations(room: str, found: list[Import]) -> list[str]:
    """Imports of ours that the arrows forbid."""
    return [
        str(i)
        for i in found
        if top(i.module) in (*ROOMS, *OUTER)
        and top(i.module) != room
        and not any(is_under(i.module, allowed) for allowed in ALLOWED[room])
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_go_one_way(room):
    found = imports_of(room)
    if not found:
        pytest.skip(f"{room} holds no code yet")
    assert violations(room, found) == []


@pytest.mark.parametrize("room", ["reference", "oracles"])
def test_torch_stays_out_of_the_numpy_rooms(room):
    found = [i for i in imports_of(room) if top(i.module) == "torch"]
    if room == "oracles":
        # Adapters, and mutants written in torch: when they are called, not before.
        rooms = ("oracles/adapters/", "oracles/mutants/")
        found = [i for i in found if not (i.file.startswith(rooms) and i.lazy)]
    assert [str(i) for i in found] == []


def test_the_data_of_the_standard_is_shared_without_code():
    # What torch_impl shares with its own judge: numbers, and nothing that computes on images.
    source = (ROOT / "reference/standard.py").read_text()
    found = {top(i.module) for i in imports_in(source, "reference/standard.py")}
    assert not found & {"reference", "scipy", "numba", "mpmath"}


@pytest.mark.parametrize(
    ("room", "source", "bad"),
    [
        ("reference", "import torch_impl", 1),
        ("reference", "from reference.cpmf import cpmf", 0),
        ("reference", "def f():\n    from oracles import tolerance", 1),
        ("torch_impl", "from reference.standard import ZIGZAG", 0),
        ("torch_impl", "from reference import standard", 0),
        ("torch_impl", "from reference import cpmf", 1),
        ("torch_impl", "from reference.cpmf import hard_quantize", 1),
        ("torch_impl", "import importlib\nimportlib.import_module('oracles.report')", 1),
        ("trainer", "import torch_impl.jpeg_layer as j", 0),
        ("trainer", "from reference.standard import ZIGZAG", 1),
        ("jpegdl", "from trainer.cli import app", 0),
        ("jpegdl", "from trainer import cli", 0),
        ("jpegdl", "from trainer.loop import train", 1),
        ("oracles", "from tests.strategies import points", 1),
        ("oracles", "from .tolerance import tolerances", 0),
    ],
)
def test_the_reading_of_imports_itself(room, source, bad):
    assert len(violations(room, list(imports_in(source, f"{room}/module.py")))) == bad


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"import sys\n{statement}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import reference", {"torch", "numba", "mpmath", "scipy", "torch_impl", "oracles"}),
        ("import reference.standard", {"torch", "numba", "mpmath", "scipy"}),
        (
            "import torch_impl",
            {"numba", "triton", "oracles", "mpmath", "matplotlib", "trainer", "hypothesis"},
        ),
        ("import oracles", {"torch", "numba", "hypothesis", "matplotlib"}),
        ("import oracles.cli", {"torch", "numba", "hypothesis", "matplotlib"}),
        (
            "import oracles.pytest_plugin",
            {"numpy", "torch", "numba", "hypothesis", "matplotlib", "rich", "typer", "reference"},
        ),
        ("import oracles.adapters", {"torch", "torch_impl", "hypothesis", "matplotlib"}),
        ("import jpegdl.cli", {"torch", "numba", "matplotlib", "skimage"}),
    ],
)
def test_imports_stay_light(statement, absent):
    room = statement.replace(",", " ").split()[1]
    if (
        not (ROOT / (room.replace(".", "/") + ".py")).exists()
        and not (ROOT / room.replace(".", "/")).is_dir()
    ):
        pytest.skip(f"{room} is not there yet")
    assert modules_after(statement) & absent == set()
