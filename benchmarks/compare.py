"""Compare a run with the stored baseline: ratio by ratio, never second by second."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.ratios import Ratio
from benchmarks.results import Results

#: A candidate that takes this much longer than it did, against the same opponent, has regressed.
THRESHOLD = 0.20


class Status(StrEnum):
    """What became of a figure."""

    SAME = "same"
    REGRESSION = "REGRESSION"
    FASTER = "faster"
    NEW = "new"
    MISSING = "MISSING"


@dataclass(frozen=True)
class Row:
    """One figure, stored and now. `slower` is 0.25 where the candidate takes 25 % longer."""

    key: str
    stored: Ratio | None
    now: Ratio | None
    slower: float | None
    status: Status


@dataclass(frozen=True)
class Comparison:
    """All figures of one device."""

    device: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Row, ...]:
        """Rows that are more than :data:`THRESHOLD` slower than stored."""
        return tuple(row for row in self.rows if row.status is Status.REGRESSION)

    @property
    def passed(self) -> bool:
        """No regression, and every benchmark that ran gave a figure."""
        return not self.regressions and not self.failed


def compare(stored: Results, now: Results) -> Comparison:
    """Set the figures of a run beside the stored ones.

    Parameters
    ----------
    stored, now : Results
        Of the same device.

    Returns
    -------
    Comparison
        A row for each figure of either; remarks on what makes the two less comparable.

    Raises
    ------
    ValueError
        If the devices differ.
    """
    if stored.device != now.device:
        raise ValueError(
            f"stored is of device {stored.device!r}, now of {now.device!r}: compare like with like"
        )
    old = {ratio.key: ratio for ratio in stored.ratios}
    new = {ratio.key: ratio for ratio in now.ratios}
    rows = [_row(key, old.get(key), new.get(key)) for key in {**old, **new}]
    return Comparison(now.device, tuple(rows), tuple(_remarks(stored, now)), now.failed)


def _row(key: str, stored: Ratio | None, now: Ratio | None) -> Row:
    if stored is None or now is None:
        return Row(key, stored, now, None, Status.NEW if stored is None else Status.MISSING)
    if stored.kind is not now.kind:  # another question under the same name
        return Row(key, stored, now, None, Status.NEW)
    slower = now.kind.cost(now.value) / stored.kind.cost(stored.value) - 1
    status = Status.SAME
    if slower > THRESHOLD:
        status = Status.REGRESSION
    elif 1 / (1 + slower) - 1 > THRESHOLD:
        status = Status.FASTER
    return Row(key, stored, now, slower, status)


def _remarks(stored: Results, now: Results) -> list[str]:
    remarks = []
    for what, before, after in (
        ("hardware", stored.hardware, now.hardware),
        ("versions", stored.versions, now.versions),
    ):
        different = [
            f"{name}: {before.get(name)} stored, {after.get(name)} now"
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        ]
        if different:
            remarks.append(f"{what} differ ({'; '.join(different)})")
    if now.dirty:
        remarks.append("the files differ from the commit")
    return remarks


def merge_best(first: Results, again: Results) -> Results:
    """Results of `first`, with the better of the two for every figure that `again` has.

    A disturbance makes a ratio worse or better by chance; a regression makes it worse every time.

    Parameters
    ----------
    first, again : Results
        A run, and a repetition of some of its benchmarks.

    Returns
    -------
    Results
        What `first` says of hardware, versions and commit holds for both.
    """
    repeated = {ratio.key: ratio for ratio in again.ratios}
    ratios = []
    for ratio in first.ratios:
        other = repeated.get(ratio.key, ratio)
        better = other.kind.cost(other.value) < ratio.kind.cost(ratio.value)
        ratios.append(other if better else ratio)
    return Results(
        device=first.device,
        hardware=first.hardware,
        versions=first.versions,
        commit=first.commit,
        dirty=first.dirty,
        date=first.date,
        ratios=tuple(ratios),
        failed=tuple(dict.fromkeys(first.failed + again.failed)),
        method=first.method,
    )


__all__ = [
    "THRESHOLD",
    "Comparison",
    "Row",
    "Status",
    "compare",
    "merge_best",
]
