"""Where a layer's errors are: over the entries of the tables, and over the pixels of one case."""

from __future__ import annotations

import numpy as np

from oracles.layer.identities import Judged
from oracles.layer.subject import Array, LayerResult
from oracles.report import ErrorMap

__all__ = ["MAP_CASE", "LayerMaps"]

#: Case whose pixels are shown: partial blocks on both sides, two images.
MAP_CASE = "odd size"

_TABLES = ("luma", "chroma")


class LayerMaps:
    """Collects errors in units of the tolerance, the largest at each place."""

    def __init__(self) -> None:
        self._tables: dict[str, Array] = {}
        self._pixels: dict[str, Array] = {}

    def add(self, judged: Judged, expected: LayerResult) -> None:
        """Take the differences of one case to the reference into account.

        Parameters
        ----------
        judged : Judged
            Case, results and tolerances.
        expected : LayerResult
            What the reference says.
        """
        units = [
            np.nan_to_num(np.abs(got - want) / limit, nan=np.inf, posinf=np.inf)
            for got, want, limit in zip(judged.got, expected, judged.tolerance, strict=True)
        ]
        for name, found in zip(("grad_q", "grad_alpha"), units[2:], strict=True):
            for table, entries in zip(_TABLES, found, strict=True):
                key = f"{name} {table}"
                self._tables[key] = np.maximum(entries, self._tables.get(key, 0.0))
        if judged.case.name == MAP_CASE and not self._pixels:
            for name, found in zip(("output", "grad_image"), units[:2], strict=True):
                self._pixels[f"{name}, {MAP_CASE}"] = found.max(axis=(0, 1))

    def made(self) -> tuple[ErrorMap, ...]:
        """Return the maps: grad_q and grad_alpha of each table, output and grad_image."""
        return tuple(_map(name, worst, "v", "u") for name, worst in self._tables.items()) + tuple(
            _map(name, worst, "column", "row") for name, worst in self._pixels.items()
        )


def _map(name: str, worst: Array, x_label: str, y_label: str) -> ErrorMap:
    rows, columns = worst.shape
    return ErrorMap(
        name,
        x_label,
        y_label,
        x=tuple(float(i) for i in range(columns)),
        y=tuple(float(i) for i in range(rows)),
        worst=tuple(tuple(row) for row in worst.tolist()),
    )
