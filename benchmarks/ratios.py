"""What a benchmark yields: a ratio of two times, and what kind of ratio it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: An overhead below this cannot be told from noise: comparisons count it as this much.
SMALLEST_OVERHEAD = 0.05


class Kind(StrEnum):
    """What a ratio says. The value is the name in the result files."""

    SPEEDUP = "speedup"
    """Time of the other over time of the candidate; more is better."""
    MULTIPLE = "multiple"
    """Time of the candidate over time of the other; less is better."""
    SHARE = "share"
    """Bytes per second of the candidate over those of the other; more is better."""
    OVERHEAD = "overhead"
    """Time of the candidate over time of the other, less 1; less is better."""
    MEMORY = "memory"
    """Peak memory of the candidate over that of the other; less is better."""

    @property
    def more_is_better(self) -> bool:
        """Whether a larger value is a faster candidate."""
        return self in (Kind.SPEEDUP, Kind.SHARE)

    def from_cost(self, cost: float) -> float:
        """Value of this kind for a candidate that takes `cost` times as long as the other."""
        if self.more_is_better:
            return 1 / cost
        return cost - 1 if self is Kind.OVERHEAD else cost

    def cost(self, value: float) -> float:
        """A number in proportion to the candidate's time, to compare two values of this kind."""
        if self.more_is_better:
            return 1 / value
        return max(value, SMALLEST_OVERHEAD) if self is Kind.OVERHEAD else value

    def text(self, value: float) -> str:
        """`value` for a reader."""
        if self is Kind.SPEEDUP:
            return f"{digits(value)}x {'faster' if value >= 1 else 'as fast'}"
        if self is Kind.MULTIPLE:
            return f"{digits(value)}x the time"
        if self is Kind.SHARE:
            return f"{value:.1%} of it"
        if self is Kind.MEMORY:
            return f"{digits(value)}x the memory"
        return f"{value:+.1%} time"


def digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


@dataclass(frozen=True)
class Ratio:
    """One figure.

    Parameters
    ----------
    name : str
        What was measured, with its shape and options.
    against : str
        What it was measured against.
    device : str
        "cpu" or "cuda".
    kind : Kind
        How to read `value`.
    value : float
        The ratio: the median over the pairs of rounds.
    low, high : float
        Lower and upper quartile of the pairs; both `value` where the other ran fewer than three
        times.
    pairs : int
        Rounds in which both ran, one right after the other.
    seconds, against_seconds : float
        Median time of one call of each, or its peak memory in bytes. Only their ratio means
        anything elsewhere.
    goal : float or None
        What the project wants.
    note : str
        What a reader has to know about this figure.
    benchmark : str
        Test that measured it, to run it again.
    """

    name: str
    against: str
    device: str
    kind: Kind
    value: float
    low: float
    high: float
    pairs: int
    seconds: float
    against_seconds: float
    goal: float | None = None
    note: str = ""
    benchmark: str = ""

    @property
    def key(self) -> str:
        """Identity of the figure from run to run."""
        return f"{self.device}: {self.name} / {self.against}"

    @property
    def goal_met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.kind.more_is_better else self.value <= self.goal


__all__ = ["SMALLEST_OVERHEAD", "Kind", "Ratio", "digits"]
