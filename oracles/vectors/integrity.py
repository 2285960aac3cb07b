"""Whether a conformance set is what it should be: bytes, format, and results, computed anew."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oracles.regimes import REGIMES
from oracles.vectors import generate, tables
from oracles.vectors.tables import Array

__all__ = ["Integrity", "check_set"]

_FILES = (tables.QUANTIZER_FILE, tables.LAYER_FILE, tables.DESCRIPTION)


@dataclass(frozen=True)
class Integrity:
    """What was found.

    Parameters
    ----------
    problems : tuple of str
        One line each; empty when all is well.
    recomputed : int
        How many vectors were computed anew.
    total : int
        How many there are.
    """

    problems: tuple[str, ...]
    recomputed: int
    total: int

    @property
    def passed(self) -> bool:
        """True when there are no problems."""
        return not self.problems


def check_set(
    directory: Path | str | None = None,
    *,
    sample: int | None = 50,
    seed: int = 0,
    progress: generate.Progress = lambda done, total: None,
) -> Integrity:
    """Check files, format and results of a conformance set.

    Parameters
    ----------
    directory : Path or str, optional
        Where the files are; None for those that are shipped.
    sample : int or None
        How many vectors to compute anew in mpmath, drawn at random; None for all.
    seed : int
        Of that draw.
    progress : callable
        Told how many vectors are done.

    Returns
    -------
    Integrity

    Raises
    ------
    ValueError
        If there is no description in the directory, or ``sample`` is negative.
    """
    if sample is not None and sample < 0:
        raise ValueError(f"sample must be >= 0, got {sample}; None takes all")
    folder = tables.DATA if directory is None else Path(directory)
    about = tables.description(folder)
    problems = _check_sums(folder)
    try:
        quantizer, layer = tables.load_quantizer(folder), tables.load_layer(folder)
    except ValueError as error:
        return Integrity((*problems, str(error)), 0, 0)
    total = len(quantizer.ids) + len(layer)
    problems += _check_format(quantizer, about["quantizer"]["vectors"])

    rng = np.random.default_rng(seed)
    count = total if sample is None else min(sample, total)
    chosen = sorted(rng.permutation(total)[:count].tolist())
    limits = generate.quantizer_tolerances(quantizer)
    for done, number in enumerate(chosen, 1):
        if number < len(quantizer.ids):
            exact = np.array(generate.expected_quantizer(quantizer, number))
            name = quantizer.ids[number]
            problems += _compare(name, quantizer.expected[:, number], exact, "expectations")
            problems += _compare(
                name, quantizer.tolerances[:, number], limits[:, number], "tolerances"
            )
        else:
            vector = layer[number - len(quantizer.ids)]
            for array, entries in generate.expected_layer(vector).items():
                problems += _compare(f"{vector.id} {array}", vector.arrays[array], entries)
            for dtype, arrays in generate.layer_tolerances(vector).items():
                for array, entries in arrays.items():
                    found = vector.tolerances[dtype][array]
                    problems += _compare(f"{vector.id} {array} {dtype}", found, entries)
        progress(done, count)
    return Integrity(tuple(problems), count, total)


def _check_sums(folder: Path) -> list[str]:
    path = folder / tables.SUMS
    if not path.is_file():
        return [f"{tables.SUMS} is missing"]
    stated = {}
    for line in path.read_text().splitlines():
        digest, _, name = line.partition("  ")
        stated[name] = digest
    problems = []
    for name in _FILES:
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif name not in stated:
            problems.append(f"{tables.SUMS} does not name {name}")
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != stated[name]:
            problems.append(f"{name}: the checksum differs from that in {tables.SUMS}")
    return problems


def _check_format(vectors: tables.QuantizerVectors, stated: int) -> list[str]:
    problems = []
    if len(vectors.ids) != stated:
        problems.append(f"the description states {stated} vectors, there are {len(vectors.ids)}")
    if len(set(vectors.ids)) != len(vectors.ids):
        problems.append(f"{tables.QUANTIZER_FILE}: ids are not unique")
    if set(vectors.regimes.tolist()) != set(range(len(REGIMES))):
        problems.append(f"{tables.QUANTIZER_FILE}: not every regime occurs")
    for dtype in ("float32", "float64"):
        inputs = vectors.inputs[:, vectors.dtypes == dtype]
        if not np.array_equal(inputs.astype(dtype).astype(np.float64), inputs):
            problems.append(f"{tables.QUANTIZER_FILE}: inputs are not exact in {dtype}")
    if not (np.isfinite(vectors.expected).all() and (vectors.tolerances > 0).all()):
        problems.append(f"{tables.QUANTIZER_FILE}: results finite, tolerances positive: not so")
    return problems


def _compare(name: str, stated: Array, exact: Array, what: str = "entries") -> list[str]:
    if np.array_equal(stated, exact):
        return []
    i = int(np.flatnonzero(stated.ravel() != exact.ravel())[0])
    got, want = float(stated.ravel()[i]), float(exact.ravel()[i])
    return [
        f"{name}: {what}[{i}] should be {tables.to_hex(want)}, the file has {tables.to_hex(got)}"
    ]
