"""``python -m benchmarks``: what ``jpegdl benchmark`` starts in the checkout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.cli import benchmark


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run; the options are those of ``jpegdl benchmark``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, compare and record the ratios."
    )
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--save-baseline", action="store_true")
    parser.add_argument("--select", "-k")
    options = parser.parse_args(arguments)
    return benchmark(
        options.results,
        against=options.compare,
        save_baseline=options.save_baseline,
        select=options.select,
    )


if __name__ == "__main__":
    sys.exit(main())
