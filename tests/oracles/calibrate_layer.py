"""Measure the layer's margins: ``python -m tests.oracles.calibrate_layer [first] [last]``.

Every sound layer is judged with seeds ``first`` to ``last`` - 1 (0 to 5 by default); samplings,
supports and dtypes take turns. Printed is the worst error of each in units of the tolerance, by
output for the difference to the reference, and over all other evidence.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from oracles import verify_jpeg_layer
from oracles.layer.subject import LAYER_OUTPUTS
from oracles.mutants.layer_sound import LAYER_SOUND
from tests.oracles._layer_memo import remembered_bounds

CONFIGURATIONS: tuple[tuple[str, int | None, str], ...] = (
    ("float32", None, "4:4:4"),
    ("float64", 5, "4:2:0"),
    ("float32", 5, "4:2:2"),
    ("float64", None, "4:4:4"),
    ("float32", 5, "4:4:4"),
    ("float32", None, "4:2:0"),
    ("float64", 5, "4:4:4"),
    ("float64", None, "4:2:2"),
)


def measure(first: int, last: int) -> tuple[dict[tuple[str, str], float], int, int]:
    """Worst error by implementation and output (or ``"other"``), verdicts and accusations."""
    worst: defaultdict[tuple[str, str], float] = defaultdict(float)
    verdicts = accusations = 0
    for seed in range(first, last):
        dtype, window, subsampling = CONFIGURATIONS[seed % len(CONFIGURATIONS)]
        options = {"window": window, "subsampling": subsampling, "dtype": dtype}
        with remembered_bounds():
            for name, factory in LAYER_SOUND.items():
                fn = factory(window, subsampling)
                report = verify_jpeg_layer(fn, **options, seed=seed)  # type: ignore[arg-type]
                verdicts += 1
                accusations += not report.passed
                for check in report.checks:
                    output = check.output if check.evidence == "reference" else "other"
                    worst[name, output] = max(worst[name, output], check.worst)
    return dict(worst), verdicts, accusations


def main() -> None:
    """Print the table."""
    import torch

    torch.set_num_threads(1)
    first, last = map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (0, 5)
    worst, verdicts, accusations = measure(first, last)
    columns = (*LAYER_OUTPUTS, "other")
    print(f"| sound layer, seeds {first}..{last - 1} | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name in LAYER_SOUND:
        cells = (f"{worst[name, column]:.3f}" for column in columns)
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"{verdicts} verdicts, {accusations} accusations")


if __name__ == "__main__":
    main()
