"""Measure the margins of the CPMF's tolerances: ``python -m tests.oracles.calibrate_cpmf 0 100``.

As :mod:`tests.oracles.calibrate`: every sound implementation is judged with seeds ``first`` to
``last`` - 1, the supports and dtypes taking turns. Next to a tie of a hard CPMF the error of an
exponent may move a probability by all it can, 1, and there the worst error is no measure of the
margin. So the table is made three times: with the constants in force, with the constant of the
exponents divided by 2 and by 4. Where a column stays below 1, that constant would have done.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import partial

from oracles import cpmf_subject, verify_cpmf
from oracles.cpmf.bounds import CPMF_CONSTANTS, CpmfConstants, cpmf_bounds
from oracles.mutants.cpmf_sound import CPMF_SOUND
from tests.oracles.test_sound import CONFIGURATIONS

COLUMNS = ("reference", "ratio", "sums", "range", "mean", "others")


def measure(first: int, last: int, constants: CpmfConstants) -> dict[tuple[str, str, str], float]:
    """Worst error by implementation, dtype and evidence."""
    worst: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    before = cpmf_subject.cpmf_bounds
    cpmf_subject.cpmf_bounds = partial(cpmf_bounds, constants=constants)
    try:
        for name, factory in CPMF_SOUND.items():
            for seed in range(first, last):
                dtype, window = CONFIGURATIONS[seed % len(CONFIGURATIONS)]
                report = verify_cpmf(factory(window), window=window, dtype=dtype, seed=seed)
                for check in report.checks:
                    evidence = check.evidence if check.evidence in COLUMNS else "others"
                    key = (name, dtype, evidence)
                    worst[key] = max(worst[key], check.worst)
    finally:
        cpmf_subject.cpmf_bounds = before
    return dict(worst)


def main() -> None:
    """Print the tables of docs/tolerances.md."""
    import torch

    torch.set_num_threads(1)
    first, last = map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (0, 24)
    for divisor in (1, 2, 4):
        constants = CPMF_CONSTANTS._replace(weight=CPMF_CONSTANTS.weight / divisor)
        worst = measure(first, last, constants)
        print(f"\nweight {constants.weight:g}")
        print(f"| CPMF, seeds {first}..{last - 1} | dtype | " + " | ".join(COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 2) + "|")
        for name in CPMF_SOUND:
            for dtype in ("float32", "float64"):
                cells = (f"{worst[name, dtype, column]:.3f}" for column in COLUMNS)
                print(f"| {name} | {dtype} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
