"""Measure the margins of the tolerances: ``python -m tests.oracles.calibrate [first] [last]``.

Every sound implementation is judged with seeds ``first`` to ``last`` - 1 (0 to 24 by default), the
supports and dtypes taking turns. Printed is the worst error of each in units of the tolerance,
by output for the difference to the reference, and over all other evidence. What is printed as a
constant is that worst times the constant in force: a constant below it would have accused a
sound implementation.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from oracles import verify_soft_quantizer
from oracles.mutants.sound import SOUND
from oracles.subject import OUTPUTS
from oracles.tolerance import CONSTANTS
from tests.oracles.test_sound import CONFIGURATIONS


def measure(first: int, last: int) -> dict[tuple[str, str, str], float]:
    """Worst error by implementation, dtype and output (or ``"identities"``)."""
    worst: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for name, factory in SOUND.items():
        for seed in range(first, last):
            dtype, window = CONFIGURATIONS[seed % len(CONFIGURATIONS)]
            if name == "constant cost":
                window = None
            report = verify_soft_quantizer(factory(window), window=window, dtype=dtype, seed=seed)
            for check in report.checks:
                output = check.output if check.evidence == "reference" else "identities"
                key = (name, dtype, output)
                worst[key] = max(worst[key], check.worst)
    return dict(worst)


def main() -> None:
    """Print the table of docs/tolerances.md."""
    import torch

    torch.set_num_threads(1)
    first, last = map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (0, 24)
    worst = measure(first, last)
    columns = (*OUTPUTS, "identities")
    print(f"| implementation, seeds {first}..{last - 1} | dtype | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name in SOUND:
        for dtype in ("float32", "float64"):
            cells = (f"{worst[name, dtype, column]:.3f}" for column in columns)
            print(f"| {name} | {dtype} | " + " | ".join(cells) + " |")
    for output in OUTPUTS:
        top = max(value for (_, _, column), value in worst.items() if column == output)
        used = getattr(CONSTANTS, output)
        print(f"{output}: constant {used:g}, needed {used * top:.2f}, margin {1 / top:.1f}")


if __name__ == "__main__":
    main()
