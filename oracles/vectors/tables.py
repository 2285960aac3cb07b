"""The files of the conformance set: their columns, reading, numbers as C99 hex floats."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.regimes import REGIMES
from oracles.subject import OUTPUTS

__all__ = [
    "ARRAYS",
    "DATA",
    "DESCRIPTION",
    "LAYER_COLUMNS",
    "LAYER_FILE",
    "QUANTIZER_COLUMNS",
    "QUANTIZER_FILE",
    "SCHEMA",
    "SUMS",
    "LayerVector",
    "QuantizerVectors",
    "description",
    "load_layer",
    "load_quantizer",
    "parse_number",
    "rows_of",
    "to_hex",
]

Array = NDArray[np.float64]

#: Where the shipped files are.
DATA = Path(__file__).parent / "data"

DESCRIPTION = "vectors.json"
QUANTIZER_FILE = "quantizer.csv"
LAYER_FILE = "layer.csv"
SUMS = "SHA256SUMS"
#: Number of the file format; the description names it.
SCHEMA = 1

_INPUTS = ("z", "q", "alpha")
QUANTIZER_COLUMNS = (
    *("id", "regime", "dtype", "max_level", "window"),
    *_INPUTS,
    *OUTPUTS,
    *(f"tol_{name}" for name in OUTPUTS),
)
LAYER_COLUMNS = ("id", "array", "i", "j", "k", "value", "tol_float32", "tol_float64")
#: Arrays of a layer vector, in their order in the file: four inputs, four expectations.
ARRAYS = (
    *("image", "q", "alpha", "grad_output"),
    *("output", "grad_image", "grad_q", "grad_alpha"),
)
_TABLES = ("q", "alpha", "grad_q", "grad_alpha")


@dataclass(frozen=True)
class QuantizerVectors:
    """All quantizer vectors, in the order of the file.

    Parameters
    ----------
    ids : tuple of str
        Names of the n vectors.
    regimes : ndarray of int, shape (n,)
        Positions in :data:`oracles.regimes.REGIMES`.
    dtypes : ndarray of str, shape (n,)
        "float32" or "float64": the inputs are exact in it, the tolerances are meant for it.
    max_levels, windows : ndarray of int, shape (n,)
        L; the number of levels of the masked form, 0 for all of them.
    inputs : ndarray, shape (3, n)
        z, q, alpha.
    expected, tolerances : ndarray, shape (4, n)
        value, dz, dq, dalpha: the float64 nearest to the exact result, and the largest
        acceptable errors.
    """

    ids: tuple[str, ...]
    regimes: NDArray[np.intp]
    dtypes: NDArray[np.str_]
    max_levels: NDArray[np.intp]
    windows: NDArray[np.intp]
    inputs: Array
    expected: Array
    tolerances: Array

    def take(self, index: Any) -> QuantizerVectors:
        """Return the selected vectors."""
        chosen = np.arange(len(self.ids))[index]
        return QuantizerVectors(
            tuple(self.ids[i] for i in chosen),
            self.regimes[chosen],
            self.dtypes[chosen],
            self.max_levels[chosen],
            self.windows[chosen],
            self.inputs[:, chosen],
            self.expected[:, chosen],
            self.tolerances[:, chosen],
        )


@dataclass(frozen=True)
class LayerVector:
    """One call of a JPEG layer and what it should give.

    Parameters
    ----------
    id, name : str
        Name of the vector, and what it is about.
    subsampling : str
        Sampling of chroma: "4:4:4", "4:2:2" or "4:2:0".
    max_level, window : int
        L; the number of levels of the masked form, 0 for all of them.
    arrays : dict of str to ndarray
        By the names in :data:`ARRAYS`; pictures (3, H, W), tables (2, 8, 8). The inputs are
        exact in float32.
    tolerances : dict of str to dict of str to ndarray
        Largest acceptable errors, by dtype and array.
    """

    id: str
    name: str
    subsampling: str
    max_level: int
    window: int
    arrays: dict[str, Array]
    tolerances: dict[str, dict[str, Array]]


def to_hex(number: float) -> str:
    """Write a finite number as C's "%a" does: exact, and short.

    Parameters
    ----------
    number : float

    Returns
    -------
    str
    """
    mantissa, exponent = float(number).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{exponent}"


def parse_number(text: str) -> float:
    """Read a decimal or a C99 hex number, as strtod would.

    Parameters
    ----------
    text : str

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is no number.
    """
    try:
        return float.fromhex(text) if "0x" in text.lower() else float(text)
    except OverflowError:
        return float("-inf" if text.strip().startswith("-") else "inf")


def rows_of(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Read a CSV file line by line.

    Parameters
    ----------
    path : Path
        The file; its first line names the columns.
    columns : tuple of str
        The names that it must have, in this order.

    Yields
    ------
    line, fields : int, list of str
        Number of the line, and its fields.

    Raises
    ------
    ValueError
        If there is no such file, its columns are others, or a line has another number of fields.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not there")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if [name.strip() for name in header] != list(columns):
            raise ValueError(
                f"{path}: the first line must be {','.join(columns)!r}, got {','.join(header)!r}"
            )
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields, "
                    f"there should be {len(columns)}"
                )
            yield reader.line_num, fields


def description(directory: Path | str | None = None) -> dict[str, Any]:
    """Read the description of the set.

    Parameters
    ----------
    directory : Path or str, optional
        Where the files are; None for those that are shipped.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If it is missing, no JSON, or of another schema.
    """
    path = _folder(directory) / DESCRIPTION
    if not path.is_file():
        raise ValueError(f"{path} is not there; name a directory written by `jpegdl vectors write`")
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if found.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema must be {SCHEMA}, got {found.get('schema')!r}")
    return found


def load_quantizer(directory: Path | str | None = None) -> QuantizerVectors:
    """Load the quantizer vectors.

    Parameters
    ----------
    directory : Path or str, optional
        Where the files are; None for those that are shipped.

    Returns
    -------
    QuantizerVectors

    Raises
    ------
    ValueError
        If the file is missing or not of the format.
    """
    path = _folder(directory) / QUANTIZER_FILE
    names = {name: code for code, name in enumerate(REGIMES)}
    heads, codes, numbers = [], [], []
    for line, fields in rows_of(path, QUANTIZER_COLUMNS):
        if fields[1] not in names:
            raise ValueError(f"{path}, line {line}: unknown regime {fields[1]!r}")
        if fields[2] not in ("float32", "float64"):
            raise ValueError(f"{path}, line {line}: unknown dtype {fields[2]!r}")
        heads.append((fields[0], fields[2]))
        codes.append((names[fields[1]], _number(path, line, fields[3]), fields[4]))
        numbers.append([_number(path, line, text) for text in fields[5:]])
    if not numbers:
        raise ValueError(f"{path} holds no vectors")
    table = np.array(numbers).T
    integers = np.array(codes, dtype=np.float64).astype(np.intp).T
    return QuantizerVectors(
        ids=tuple(name for name, _ in heads),
        regimes=integers[0],
        dtypes=np.array([dtype for _, dtype in heads]),
        max_levels=integers[1],
        windows=integers[2],
        inputs=table[:3],
        expected=table[3:7],
        tolerances=table[7:],
    )


def load_layer(directory: Path | str | None = None) -> list[LayerVector]:
    """Load the layer vectors.

    Parameters
    ----------
    directory : Path or str, optional
        Where the files are; None for those that are shipped.

    Returns
    -------
    list of LayerVector

    Raises
    ------
    ValueError
        If a file is missing or not of the format.
    """
    about = description(directory)
    path = _folder(directory) / LAYER_FILE
    vectors = {}
    for case in about["layer"]["cases"]:
        sides = (3, case["height"], case["width"])
        shapes = {name: (2, 8, 8) if name in _TABLES else sides for name in ARRAYS}
        # NaN: an entry that the file lacks stays one, and is found below.
        vectors[case["id"]] = LayerVector(
            id=case["id"],
            name=case["name"],
            subsampling=case["subsampling"],
            max_level=case["max_level"],
            window=case["window"],
            arrays={name: np.full(shape, np.nan) for name, shape in shapes.items()},
            tolerances={
                dtype: {name: np.full(shapes[name], np.nan) for name in ARRAYS[4:]}
                for dtype in ("float32", "float64")
            },
        )
    for line, fields in rows_of(path, LAYER_COLUMNS):
        vector = vectors.get(fields[0])
        array = None if vector is None else vector.arrays.get(fields[1])
        if vector is None or array is None:
            raise ValueError(f"{path}, line {line}: unknown id or array {fields[:2]}")
        place = tuple(int(_number(path, line, text)) for text in fields[2:5])
        if not all(0 <= i < side for i, side in zip(place, array.shape, strict=True)):
            raise ValueError(f"{path}, line {line}: {fields[1]} has shape {array.shape}")
        array[place] = _number(path, line, fields[5])
        if fields[1] in ARRAYS[4:]:
            for dtype, text in zip(("float32", "float64"), fields[6:], strict=True):
                vector.tolerances[dtype][fields[1]][place] = _number(path, line, text)
    for vector in vectors.values():
        groups = (vector.arrays, *vector.tolerances.values())
        if any(np.isnan(array).any() for group in groups for array in group.values()):
            raise ValueError(f"{path}: entries of {vector.id} are missing")
    return list(vectors.values())


def _folder(directory: Path | str | None) -> Path:
    return DATA if directory is None else Path(directory)


def _number(path: Path, line: int, text: str) -> float:
    try:
        return parse_number(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {text!r} is no number") from None
