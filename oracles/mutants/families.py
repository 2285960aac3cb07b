"""All planted faults by contract, each with the judge that has to reject it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oracles.baselines import verify_quantizer_baseline
from oracles.cpmf import verify_cpmf
from oracles.layer import verify_jpeg_layer
from oracles.mutants.baselines import BASELINE_MUTANTS
from oracles.mutants.baselines_sound import scale_of
from oracles.mutants.calls import CALL_MUTANTS
from oracles.mutants.codec import CODEC_MUTANTS, judge_codec
from oracles.mutants.cpmf import CPMF_MUTANTS
from oracles.mutants.diff_jpeg import DIFF_JPEG_MUTANTS, judge_diff_jpeg
from oracles.mutants.layer import LAYER_MUTANTS
from oracles.mutants.quantizer import MUTANTS
from oracles.mutants.quantizer_more import MORE_MUTANTS
from oracles.mutants.rounding import ROUNDING_MUTANTS, judge_rounding
from oracles.mutants.table import Mutant
from oracles.quantizer import verify_soft_quantizer
from oracles.report import Report

__all__ = ["FAMILIES", "SEEDS", "Case", "Family", "cases"]

#: Seeds with which every fault has to be rejected.
SEEDS = (0, 1)


@dataclass(frozen=True, eq=False)
class Family:
    """Faults of one contract.

    Parameters
    ----------
    title : str
        Name of the contract.
    mutants : dict of str to Mutant
        The faults.
    judge : callable
        ``judge(mutant, window, seed) -> Report``.
    """

    title: str
    mutants: dict[str, Mutant]
    judge: Callable[[Mutant, int | None, int], Report]


@dataclass(frozen=True)
class Case:
    """One fault under one support."""

    family: Family
    name: str
    window: int | None

    @property
    def mutant(self) -> Mutant:
        """The fault."""
        return self.family.mutants[self.name]

    @property
    def label(self) -> str:
        """Its row in the kill matrix."""
        return self.name if self.window is None else f"{self.name} (window {self.window})"

    def report(self, seed: int) -> Report:
        """Verdict with a seed."""
        return self.family.judge(self.mutant, self.window, seed)


def _judge_quantizer(mutant: Mutant, window: int | None, seed: int) -> Report:
    return verify_soft_quantizer(
        mutant.factory(window), window=window, dtype=mutant.dtype, seed=seed
    )


def _judge_cpmf(mutant: Mutant, window: int | None, seed: int) -> Report:
    return verify_cpmf(mutant.factory(window), window=window, dtype=mutant.dtype, seed=seed)


def _judge_layer(mutant: Mutant, window: int | None, seed: int) -> Report:
    return verify_jpeg_layer(
        mutant.factory(window, mutant.subsampling),
        window=window,
        subsampling=mutant.subsampling,
        dtype=mutant.dtype,
        seed=seed,
    )


def _judge_baseline(mutant: Mutant, window: int | None, seed: int) -> Report:
    return verify_quantizer_baseline(
        mutant.factory(window),
        mutant.kind,
        dtype=mutant.dtype,
        seed=seed,
        gradient_scale=scale_of(mutant.kind),
    )


#: Faults of every contract; those of the quantizer in its numbers, and in how it is called.
FAMILIES: tuple[Family, ...] = (
    Family("Soft quantizer: numbers", MUTANTS | MORE_MUTANTS, _judge_quantizer),
    Family("Soft quantizer: calls and memory", CALL_MUTANTS, _judge_quantizer),
    Family("CPMF", CPMF_MUTANTS, _judge_cpmf),
    Family("JPEG layer", LAYER_MUTANTS, _judge_layer),
    Family("Quantizer baselines", BASELINE_MUTANTS, _judge_baseline),
    Family("JPEG codec", CODEC_MUTANTS, judge_codec),
    Family("Rounding", ROUNDING_MUTANTS, judge_rounding),
    Family("Differentiable JPEG", DIFF_JPEG_MUTANTS, judge_diff_jpeg),
)


def cases() -> Iterator[Case]:
    """Every fault with every support for which it is one."""
    for family in FAMILIES:
        for name, mutant in family.mutants.items():
            for window in mutant.windows:
                yield Case(family, name, window)
