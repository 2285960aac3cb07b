"""Reports as JSON: exact, and readable from any language."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from oracles.report import Check, ErrorMap, Location, Report

__all__ = ["SCHEMA", "read", "write", "write_all"]

#: Number of the format; a reader refuses others.
SCHEMA = 1


def write(report: Report) -> str:
    """Write one report; see :meth:`oracles.Report.to_json`."""
    return json.dumps(_report(report), indent=1, allow_nan=False)


def write_all(reports: Iterable[Report]) -> str:
    """Write several reports as a JSON array."""
    return json.dumps([_report(report) for report in reports], indent=1, allow_nan=False)


def read(text: str) -> Report:
    """Read one report; see :meth:`oracles.Report.from_json`."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"text is no JSON: {error}") from error
    if isinstance(data, list):
        raise ValueError(f"text is an array of {len(data)} reports: hand over one of them")
    if not isinstance(data, dict) or "schema" not in data:
        raise ValueError("text is no report: it must be a JSON object with a 'schema'")
    if data["schema"] != SCHEMA:
        raise ValueError(f"the report has schema {data['schema']!r}; this version reads {SCHEMA}")
    try:
        return Report(
            title=_text(data["title"]),
            checks=tuple(_read_check(item) for item in data["checks"]),
            maps=tuple(_read_map(item) for item in data["maps"]),
            notes=tuple(_text(note) for note in data["notes"]),
            settings=_read_mapping(data["settings"]),
        )
    except KeyError as error:
        raise ValueError(f"the report lacks {error.args[0]!r}") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(f"the report is malformed: {error}") from error


def _report(report: Report) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "title": report.title,
        "passed": report.passed,
        "worst": _decimal(report.worst),
        "settings": _mapping(report.settings),
        "notes": list(report.notes),
        "checks": [_check(check) for check in report.checks],
        "maps": [
            {
                "output": m.output,
                "x_label": m.x_label,
                "y_label": m.y_label,
                "x": [_decimal(x) for x in m.x],
                "y": [_decimal(y) for y in m.y],
                "worst": [[_decimal(cell) for cell in row] for row in m.worst],
            }
            for m in report.maps
        ],
    }


def _check(check: Check) -> dict[str, Any]:
    where = check.where
    return {
        "evidence": check.evidence,
        "regime": check.regime,
        "output": check.output,
        "passed": check.passed,
        "worst": _decimal(check.worst),
        "count": int(check.count),
        "failed": int(check.failed),
        "message": check.message,
        "where": where
        and {
            "index": int(where.index),
            "inputs": _mapping(where.inputs),
            "got": float(where.got).hex(),
            "expected": float(where.expected).hex(),
            "tolerance": float(where.tolerance).hex(),
            "shrunk": where.shrunk,
        },
    }


def _read_check(data: dict[str, Any]) -> Check:
    where = data["where"]
    return Check(
        evidence=_text(data["evidence"]),
        regime=_text(data["regime"]),
        output=_text(data["output"]),
        worst=_read_decimal(data["worst"]),
        count=_whole(data["count"]),
        failed=_whole(data["failed"]),
        message=_text(data["message"]),
        where=None
        if where is None
        else Location(
            index=_whole(where["index"]),
            inputs=_read_mapping(where["inputs"]),
            got=float.fromhex(where["got"]),
            expected=float.fromhex(where["expected"]),
            tolerance=float.fromhex(where["tolerance"]),
            shrunk=_text(where["shrunk"]),
        ),
    )


def _read_map(data: dict[str, Any]) -> ErrorMap:
    return ErrorMap(
        output=_text(data["output"]),
        x_label=_text(data["x_label"]),
        y_label=_text(data["y_label"]),
        x=tuple(_read_decimal(x) for x in data["x"]),
        y=tuple(_read_decimal(y) for y in data["y"]),
        worst=tuple(tuple(_read_decimal(cell) for cell in row) for row in data["worst"]),
    )


def _decimal(x: float) -> float | str:
    """A JSON number, whose shortest form is exact, or a word."""
    x = float(x)
    return x if math.isfinite(x) else str(x)


def _read_decimal(x: Any) -> float:
    if isinstance(x, bool) or (isinstance(x, str) and x not in ("nan", "inf", "-inf")):
        raise ValueError(f"{x!r} is no number")
    return float(x)


def _mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Floats as {"hex": ...}: text may look like a number."""
    return {str(name): _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return {"hex": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _read_mapping(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: float.fromhex(value["hex"]) if isinstance(value, dict) else value
        for name, value in data.items()
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be text")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} should be a whole number")
    return value
