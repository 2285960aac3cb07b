"""What the modules on faulty layers share: the verdict on each fault, and who gave it."""

from __future__ import annotations

from types import ModuleType

from oracles import verify_jpeg_layer
from oracles.mutants.layer import LAYER_MUTANTS

SEEDS = (0, 1)


def faults_of(module: ModuleType) -> list[tuple[str, int | None]]:
    """Names and supports of the faults that are written down in a module."""
    return [
        (name, window)
        for name, mutant in LAYER_MUTANTS.items()
        for window in mutant.windows
        if mutant.factory.__module__ == module.__name__
    ]


def assert_rejected(name: str, window: int | None) -> None:
    """Rejected with each seed, by as many kinds of evidence as the table says."""
    mutant = LAYER_MUTANTS[name]
    for seed in SEEDS:
        report = verify_jpeg_layer(
            mutant.factory(window, mutant.subsampling),
            window=window,
            subsampling=mutant.subsampling,
            dtype=mutant.dtype,
            seed=seed,
        )
        kinds = report.evidence(failed=True)
        assert not report.passed
        assert len(kinds) >= mutant.evidence, f"seed {seed}: only {kinds} rejected {name!r}"
