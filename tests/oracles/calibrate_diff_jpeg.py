"""Measure the margins of roundings and differentiable JPEG: ``python -m ...calibrate_diff_jpeg``.

Sound implementations are judged with seeds of their own; dtypes, forms, kinds and samplings take
turns. Worst errors are in units of the tolerance. Three minutes.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from oracles import Report, torch_diff_jpeg, verify_diff_jpeg, verify_rounding
from oracles.mutants.diff_jpeg_sound import plain_coding
from oracles.mutants.rounding_sound import ROUNDING_SOUND
from reference.surrogates import KINDS
from torch_impl import diff_jpeg

DTYPES = ("float32", "float64")
SAMPLINGS = ("4:2:0", "4:4:4", "4:2:2", "4:4:0")
FIXED = [kind for kind in KINDS if kind != "uniform_noise"]  # the pipeline's noise has no twin
SEEDS = {"roundings": range(100, 120), "pipelines": range(100, 149)}


class Margins:
    """Verdicts, accusations and the worst error of each subject."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.accused: Counter[str] = Counter()
        self.worst: defaultdict[str, float] = defaultdict(float)

    def add(self, name: str, report: Report) -> None:
        """Take a verdict into account."""
        self.verdicts[name] += 1
        self.accused[name] += not report.passed
        self.worst[name] = max(self.worst[name], report.worst)

    def print(self) -> None:
        """The rows of docs/tolerances.md."""
        for name, count in self.verdicts.items():
            print(f"| {name} | {count} | {self.worst[name]:.2f} | {self.accused[name]} |")


def main() -> None:
    """Judge, and print the table."""
    import torch

    torch.set_num_threads(1)
    margins = Margins()
    for seed in SEEDS["roundings"]:
        for name, factory in ROUNDING_SOUND.items():
            for kind in KINDS:
                for floor in (False, True):
                    dtype = DTYPES[(seed + floor) % 2]
                    form = {"floor": floor, "straight_through": bool(seed // 2 % 2)}
                    report = verify_rounding(
                        factory(kind, **form), kind, dtype=dtype, seed=seed, **form
                    )
                    margins.add(f"roundings: {name}", report)
    for seed in SEEDS["pipelines"]:
        options = {
            "rounding": FIXED[seed % len(FIXED)],
            "straight_through": bool(seed // 2 % 2),
            "subsampling": SAMPLINGS[seed % 4],
        }
        dtype = DTYPES[seed // 3 % 2]
        for name, fn in (
            ("torch_impl.diff_jpeg", torch_diff_jpeg(diff_jpeg, dtype=dtype, **options)),
            ("plain", plain_coding(**options)),
        ):
            report = verify_diff_jpeg(fn, dtype=dtype, seed=seed, **options)
            margins.add(f"diff_jpeg: {name}", report)
    print("| | verdicts | worst | accused |\n|---|---|---|---|")
    margins.print()


if __name__ == "__main__":
    main()
