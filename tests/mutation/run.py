"""Mutation testing of torch_impl: plant small faults one by one, and see which tests notice.

Cosmic Ray makes the mutants; this script draws a seeded sample of them, stratified by file, runs
the tests of torch_impl on each in a copy of the tree, and sums up. docs/mutation.md has the
results. Not collected by pytest.

    python -m pip install cosmic-ray==8.7.0        # in an environment of its own will do
    python tests/mutation/run.py run --python python --minutes 60 results.jsonl
    python tests/mutation/run.py report results.jsonl
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import math
import os
import random
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

TARGETS = (
    *(
        f"torch_impl/{name}.py"
        for name in (
            "soft_quantize",
            "encode_decode",
            "jpeg_layer",
            "masking",
            "transforms",
            "adjoints",
        )
    ),
    *(
        f"torch_impl/kernels/{name}.py"
        for name in (
            "eager",
            "composition",
            "cpu_choice",
            "cpu_jit",
            "cpu_math",
            "cpu_rows",
            "cpu_quantizer",
            "cpu_layer",
            "cpu_blocks",
            "cpu_ends",
        )
    ),
)

# On floats these raise TypeError before anything is computed: they would raise the rate and tell
# nothing. `is` between numbers is a fault that nobody makes.
TRIVIAL = ("Shift", "BitOr", "BitXor", "BitAnd", "Mod", "_Is", "Invert", "_Pow", "USub_Not")
# The least number of mutants of a file in the sample.
LEAST = 4

# Everything that needs no GPU, Triton or new processes, less what takes seconds and judges no
# numbers that others do not.
TESTS = "tests/torch_impl"
IGNORED = ("test_gpu.py", "test_triton_layer.py", "test_triton_quantizer.py")
DESELECTED = (
    "test_cpu_kernels.py::test_inside_data_loader_workers",
    "test_cpu_kernels.py::test_importing_compiles_and_imports_nothing",
    "test_jpeg_layer_training.py::test_data_parallel_training_is_training_on_the_whole_batch",
    "test_soft_quantize_torch_features.py::test_compiles_to_one_graph_with_the_same_numbers",
    "test_encode_decode.py::test_batches_of_many_tiles",
    "test_encode_decode.py::test_opcheck",
    "test_jpeg_layer_training.py::test_compiles_to_one_graph",
    "test_jpeg_layer_training.py::test_compiled_training_clamps_and_counts",
)
TIMEOUT = 400.0  # seconds; the tests take 30 on two idle cores


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="test mutants; goes on where RESULTS ends")
    run.add_argument("results", type=Path)
    run.add_argument("--python", default=sys.executable, help="interpreter that has the packages")
    run.add_argument("--minutes", type=float, default=60.0)
    run.add_argument("--size", type=int, default=200, help="mutants in the sample")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--copy", type=Path, help="where to copy the tree [default: beside RESULTS]")
    report = commands.add_parser("report", help="sum up")
    report.add_argument("results", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "run":
        _run(arguments)
    else:
        print(summary([json.loads(line) for line in arguments.results.open()]))


def _run(arguments: argparse.Namespace) -> None:
    results = arguments.results.resolve()
    copy = (arguments.copy or results.with_suffix(".tree")).resolve()
    if not copy.exists():
        names = shutil.ignore_patterns(".*", "runs", "build", "dist")
        shutil.copytree(ROOT, copy, ignore=names)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    command = _test_command(arguments.python)
    mutants = sample(list(all_mutants()), arguments.size, arguments.seed)
    done = len(results.read_text().splitlines()) if results.exists() else 0
    if not done:
        _baseline(command)

    from cosmic_ray.mutating import mutate_and_test

    end = time.monotonic() + 60 * arguments.minutes
    for number, mutant in enumerate(mutants[done:], done + 1):
        if time.monotonic() > end:
            break
        start = time.monotonic()
        result = mutate_and_test([mutant], command, TIMEOUT)
        outcome = "timeout" if result.output == "timeout" else str(result.test_outcome.value)
        if "SyntaxError" in (result.output or ""):
            outcome = "invalid"  # such as `//` for the `*` before keyword arguments
        entry = {
            "file": mutant.module_path.as_posix(),
            "operator": mutant.operator_name.removeprefix("core/"),
            "occurrence": mutant.occurrence,
            "line": mutant.start_pos[0],
            "outcome": outcome,
            "seconds": round(time.monotonic() - start, 1),
            "diff": result.diff,
            "by": _killer(result.output or "") if outcome == "killed" else "",
        }
        with results.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(
            f"{number}/{len(mutants)} {outcome:9} {entry['seconds']:5} s {entry['file']}",
            flush=True,
        )


def _test_command(python: str) -> str:
    parts = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line"]
    parts += ["-o", "faulthandler_timeout=300"]
    parts.append(TESTS)
    parts += [f"--ignore={TESTS}/{name}" for name in IGNORED]
    parts += [f"--deselect={TESTS}/{name}" for name in DESELECTED]
    return shlex.join(parts)


def _baseline(command: str) -> None:
    """Without a mutation the tests must pass, or every mutant would count as killed."""
    from cosmic_ray.testing import run_tests

    outcome, output = run_tests(command, TIMEOUT)
    if outcome.value != "survived":
        raise SystemExit(f"the tests fail without any mutation:\n{output[-3000:]}")


def all_mutants() -> Iterator[Any]:
    """Every mutation of the targets that is not trivial and not in an annotation."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names
    from cosmic_ray.work_item import MutationSpec

    operators = sorted(n for n in operator_names() if not any(part in n for part in TRIVIAL))
    for target in TARGETS:
        tree = get_ast_from_path(Path(target))
        inert = list(_annotations(Path(target).read_text()))
        for name in operators:
            if get_operator(name).arguments():
                continue  # needs settings of its own
            operator = get_operator(name)()
            positions = itertools.chain.from_iterable(
                operator.mutation_positions(node) for node in ast_nodes(tree)
            )
            for occurrence, (start, stop) in enumerate(positions):
                if not any(first <= start and stop <= last for first, last in inert):
                    yield MutationSpec(Path(target), name, occurrence, start, stop)


def _annotations(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand: they are never evaluated, so that a mutation changes nothing."""
    for node in ast.walk(ast.parse(source)):
        found = (getattr(node, "annotation", None), getattr(node, "returns", None))
        for part in found:
            if part is not None:
                last = (part.end_lineno or part.lineno, part.end_col_offset or 0)
                yield (part.lineno, part.col_offset), last


def sample(mutants: list[Any], size: int, seed: int) -> list[Any]:
    """In proportion to the number of mutants in each file, at least some of each; shuffled."""
    rng = random.Random(seed)
    chosen = []
    for target in TARGETS:
        inside = [mutant for mutant in mutants if mutant.module_path.as_posix() == target]
        count = max(LEAST, round(size * len(inside) / len(mutants)))
        chosen += rng.sample(inside, min(count, len(inside)))
    rng.shuffle(chosen)
    return chosen


def _killer(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else output.strip()[-200:]


def summary(entries: list[dict[str, Any]]) -> str:
    """Counts by file, the rate with its 95 % interval (Wilson), and every survivor."""
    drawn = len(entries)
    entries = [entry for entry in entries if entry["outcome"] != "invalid"]
    lines = [f"drawn {drawn}, no valid Python {drawn - len(entries)}"]
    lines.append(f"{'file':40} mutants killed timeout survived")
    for file in (*TARGETS, ""):
        own = Counter(entry["outcome"] for entry in entries if entry["file"] == file or not file)
        if own:
            counts = (sum(own.values()), own["killed"], own["timeout"], own["survived"])
            lines.append(f"{file or 'all':40} " + " ".join(f"{n:7}" for n in counts))
    survivors = [entry for entry in entries if entry["outcome"] == "survived"]
    low, high = wilson(len(entries) - len(survivors), len(entries))
    rate = 1 - len(survivors) / len(entries)
    lines.append(f"kill rate {rate:.1%}, 95 % interval {low:.1%} to {high:.1%}")
    lines.append(f"seconds {sum(entry['seconds'] for entry in entries):.0f}")
    for entry in survivors:
        lines.append(f"\nsurvived: {entry['operator']} ({entry['file']}:{entry['line']})")
        changed = entry["diff"].splitlines()[2:]
        lines += [line for line in changed if line.startswith(("+", "-", "@"))]
    return "\n".join(lines)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson's score interval)."""
    z = 1.959964
    centre = (successes + z * z / 2) / (count + z * z)
    spread = successes * (count - successes) / count + z * z / 4
    half = z * math.sqrt(spread) / (count + z * z)
    return centre - half, centre + half


if __name__ == "__main__":
    main()
