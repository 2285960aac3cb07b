"""Result files: what was measured, on what, with what, from which commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.ratios import Kind, Ratio

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benchmarks" / "baseline.json"
FOLDER = ROOT / "benchmarks" / "results"

SCHEMA_VERSION = 1
METHOD = (
    "Interleaved rounds in one process: in each round what is compared runs first, the candidate "
    "right after it; the ratio is the median over the rounds, low and high are its quartiles. "
    "Fewer than three rounds: the ratio of medians. Garbage collection is off meanwhile. "
    "CUDA times are between events on the stream."
)


class ResultsFileError(ValueError):
    """A result file cannot be used."""


@dataclass(frozen=True)
class Results:
    """The figures of one run on one device.

    Parameters
    ----------
    device : str
        "cpu" or "cuda".
    hardware : mapping
        ``cpu``, ``cores``, ``threads``, ``omp_wait_policy``, ``gpu``.
    versions : mapping
        Of Python and of the packages that matter.
    commit : str or None
        Hash of the commit; None where there is no repository.
    dirty : bool or None
        Whether tracked files differed from the commit.
    date : str
        UTC, ISO 8601.
    ratios : tuple of Ratio
        The figures.
    failed : tuple of str
        Benchmarks that gave no figure, because the result was wrong or an error occurred.
    method : str
        How it was measured.
    """

    device: str
    hardware: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    date: str
    ratios: tuple[Ratio, ...]
    failed: tuple[str, ...] = ()
    method: str = field(default=METHOD)


def save(path: Path, results: Mapping[str, Results]) -> None:
    """Write one file that holds the results of each device.

    Parameters
    ----------
    path : Path
        File to write; its folder is made.
    results : mapping
        Device name to results.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "devices": {device: asdict(r) for device, r in sorted(results.items())},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Results]:
    """Read a file that :func:`save` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Device name to results.

    Raises
    ------
    ResultsFileError
        If there is no such file, or it is not one of ours.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultsFileError(f"there is no result file {path}") from None
    except (OSError, ValueError) as error:
        raise ResultsFileError(f"{path} is not a result file: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise ResultsFileError(
            f"{path} has schema version {version!r}, "
            f"this code reads {SCHEMA_VERSION}: measure again"
        )
    try:
        return {device: _results(raw) for device, raw in content["devices"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResultsFileError(f"{path} is not a result file: {error!r}") from error


def _results(raw: dict[str, Any]) -> Results:
    ratios = tuple(Ratio(**{**r, "kind": Kind(r["kind"])}) for r in raw["ratios"])
    if not all(isinstance(ratio.value, (int, float)) for ratio in ratios):
        raise TypeError("a ratio is not a number")
    known = {f.name: raw[f.name] for f in fields(Results) if f.name in raw}
    return Results(**{**known, "ratios": ratios, "failed": tuple(raw["failed"])})


def default_path(results: Mapping[str, Results], folder: Path = FOLDER) -> Path:
    """``benchmarks/results/<date>-<commit>[-dirty]-<devices>.json``."""
    some = next(iter(results.values()))
    stamp = some.date.partition("+")[0].replace(":", "").replace("-", "")
    commit = some.commit[:10] if some.commit else "unversioned"
    commit += "-dirty" if some.dirty else ""
    return folder / f"{stamp}-{commit}-{'-'.join(sorted(results))}.json"


__all__ = [
    "BASELINE",
    "METHOD",
    "ROOT",
    "SCHEMA_VERSION",
    "Results",
    "ResultsFileError",
    "default_path",
    "load",
    "save",
]
