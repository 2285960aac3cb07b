"""One point of the soft quantizer as text, and what an implementation does there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.contract import ContractError
from oracles.report.model import Location, short_hex

__all__ = ["Replay", "format_point", "parse_point", "replay_line", "replay_point"]

_NAMES = ("z", "q", "alpha")
_JUDGES = {
    "quantizer": "verify_soft_quantizer",
    "cpmf": "verify_cpmf",
    "layer": "verify_jpeg_layer",
    "uniform_noise": "verify_quantizer_baseline",
    "cubic": "verify_quantizer_baseline",
    "straight_through": "verify_quantizer_baseline",
    "hard": "verify_quantizer_baseline",
    "codec": "verify_jpeg_codec",
    "real_codec": "verify_jpeg_codec",
    "diff_jpeg": "verify_diff_jpeg",
    "rounding": "verify_rounding",
    "floor": "verify_rounding",
}


def format_point(columns: Mapping[str, Sequence[float]], max_level: int) -> str:
    """Write inputs as text that :func:`parse_point` reads without loss.

    Parameters
    ----------
    columns : mapping of str to sequence of float
        ``z``, ``q`` and ``alpha``, of equal length.
    max_level : int
        L.

    Returns
    -------
    str
        ``z=0x1.8p+1 q=0x1p+0 alpha=0x1.4p+2 max_level=127``; a batch has commas.
    """
    parts = [f"{name}={','.join(short_hex(float(x)) for x in columns[name])}" for name in _NAMES]
    return " ".join([*parts, f"max_level={max_level}"])


def parse_point(text: str) -> tuple[dict[str, list[float]], int]:
    """Read what :func:`format_point` writes; decimal numbers are read as well.

    Parameters
    ----------
    text : str
        Four assignments in any order; z, q and alpha may be lists with commas, of equal length.

    Returns
    -------
    columns : dict of str to list of float
        ``z``, ``q`` and ``alpha``.
    max_level : int

    Raises
    ------
    ValueError
        If a name is missing, unknown or twice there, or a number is none or out of range.
    """
    found: dict[str, str] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name not in (*_NAMES, "max_level") or not value or name in found:
            raise ValueError(
                f"replay must read 'z=... q=... alpha=... max_level=...', each once; got {word!r}"
            )
        found[name] = value
    missing = [name for name in (*_NAMES, "max_level") if name not in found]
    if missing:
        raise ValueError(f"replay lacks {', '.join(missing)}: got {text!r}")
    columns = {name: [_number(name, part) for part in found[name].split(",")] for name in _NAMES}
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("z, q and alpha of a replay must be lists of equal length")
    for name in ("q", "alpha"):
        if min(columns[name]) <= 0:
            raise ValueError(f"{name} of a replay must be > 0, got {min(columns[name])}")
    try:
        max_level = int(found["max_level"])
    except ValueError:
        max_level = 0
    if max_level < 1:
        raise ValueError(f"max_level of a replay must be an int >= 1, got {found['max_level']!r}")
    return columns, max_level


def _number(name: str, text: str) -> float:
    try:
        number = float.fromhex(text) if "0x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"{name} of a replay must be a finite number, got {text!r}")
    return number


def replay_line(settings: Mapping[str, Any], point: str = "") -> str:
    """Return the line that judges the same function again, at one point or in whole.

    Parameters
    ----------
    settings : mapping
        Of a :class:`oracles.Report`. With ``target`` or ``command`` in it the line is for a shell,
        otherwise for Python.
    point : str
        From :func:`format_point`; empty for the whole verdict.

    Returns
    -------
    str
        Empty where the settings do not tell.
    """
    contract = settings.get("contract", "")
    if contract not in _JUDGES:
        return ""
    if "target" in settings or "command" in settings:
        return _shell_line(settings, point)
    names = ("window", "subsampling", "dtype", *(() if point else ("seed", "budget")))
    names += ("gradient_scale", "exact", "nonfinite")  # of the baselines
    names += ("qualities", "subsamplings", "qtables", "grey", "multiple")  # of a codec
    names += ("kind", "floor", "straight_through")  # of a rounding
    names += ("rounding", "scale_floor", "table_floor", "qtable_rounding")  # of diff_jpeg
    names += ("table_slope", "output_slope")
    options = "".join(f", {name}={settings[name]!r}" for name in names if name in settings)
    if point:
        return f"oracles.replay_point(fn, {point!r}{options}).print()"
    kind = f", {contract!r}" if "gradient_scale" in settings else ""
    return f"oracles.{_JUDGES[contract]}(fn{kind}{options})"


def _shell_line(settings: Mapping[str, Any], point: str) -> str:
    words = ["jpegdl", "verify"]
    words += [settings["target"]] if "target" in settings else ["--command", settings["command"]]
    if settings["contract"] != "quantizer":
        words += ["--contract", settings["contract"]]
    if "window" in settings:
        words += ["--window", str(settings["window"] or "full")]
    for name in ("subsampling", "dtype", "style", "device", "timeout"):
        if settings.get(name) is not None:
            words += [f"--{name}", str(settings[name])]
    kind = settings.get("kind", settings.get("rounding"))
    words += ["--kind", str(kind)] if kind else []
    words += [f"--{name}" for name in ("compile",) if settings.get(name)]
    words += ["--straight-through"] if settings.get("straight_through") else []
    if point:
        words += ["--replay", point]
    else:
        words += [w for name in ("seed", "budget") for w in (f"--{name}", str(settings[name]))]
    return shlex.join(words)


@dataclass(frozen=True)
class Replay:
    """What a function did at one point, or in one small batch.

    Parameters
    ----------
    point : str
        The inputs, as :func:`format_point` writes them.
    rows : tuple of (str, Location)
        Output and what was found, for each element.
    message : str
        How the call broke the contract; empty when it did not.
    """

    point: str
    rows: tuple[tuple[str, Location], ...]
    message: str = ""

    @property
    def passed(self) -> bool:
        """True when every output is within its tolerance."""
        return not self.message and all(where.units <= 1 for _, where in self.rows)

    def print(self) -> None:
        """Print got, expected, tolerance and units of each output as a table."""
        from oracles.report.table import print_replay

        print_replay(self)


def replay_point(
    fn: Any, point: str, *, window: int | None = None, dtype: Any = "float32"
) -> Replay:
    """Call an implementation of the soft quantizer at one point and compare with the reference.

    Parameters
    ----------
    fn : callable
        As for :func:`oracles.verify_soft_quantizer`.
    point : str
        ``z=... q=... alpha=... max_level=...``, hexadecimal or decimal; lists with commas are
        handed over as one batch. Rounded to ``dtype``.
    window : int, optional
        The support that ``fn`` claims.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.

    Returns
    -------
    Replay

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> from oracles.mutants.sound import rounded_reference
    >>> replay_point(rounded_reference(None), "z=0x1.8p+0 q=1 alpha=5 max_level=127").passed
    True
    """
    from oracles.quantizer.judge import check_arguments
    from oracles.quantizer.reference_check import expectation
    from oracles.subject import OUTPUTS, Subject

    kind = check_arguments(fn, window, dtype, 0, "quick")
    columns, max_level = parse_point(point)
    if window is not None and window > 2 * max_level + 1:
        raise ValueError(f"window {window} does not fit into the levels of max_level={max_level}")
    subject = Subject(fn, window, kind, max_level)
    inputs = subject.round(*(np.array(columns[name]) for name in _NAMES))
    if not (np.isfinite(inputs).all() and inputs.q.all() and inputs.alpha.all()):
        raise ValueError(f"the inputs of the replay are no finite positive numbers in {kind}")
    point = format_point(inputs._asdict(), max_level)
    try:
        got = subject(inputs)
    except ContractError as error:
        return Replay(point, (), str(error))
    with np.errstate(all="ignore"):
        expected, tolerance = expectation(subject, inputs, got)
    rows = []
    for i in range(inputs.z.size):
        place = {name: float(a[i]) for name, a in inputs._asdict().items()}
        for row, output in enumerate(OUTPUTS):
            g, e, t = (float(a[row, i]) for a in (got, expected, tolerance))
            rows.append((output, Location(i, place | {"max_level": max_level}, g, e, t)))
    return Replay(point, tuple(rows))
