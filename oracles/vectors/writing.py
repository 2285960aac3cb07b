"""Writes the files of the conformance set."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from oracles.regimes import REGIMES
from oracles.subject import OUTPUTS
from oracles.vectors import layer_inputs, tables
from oracles.vectors.generate import (
    DIGITS,
    LAYER_DIGITS,
    SEED,
    VERSION,
    Progress,
    draw_quantizer,
    expected_layer,
    expected_quantizer,
    layer_tolerances,
    quantizer_tolerances,
)
from oracles.vectors.tables import Array, LayerVector, QuantizerVectors, to_hex

__all__ = ["write"]


def write(
    directory: Path | str,
    progress: Progress = lambda done, total: None,
    *,
    reuse: Path | str | None = None,
) -> list[Path]:
    """Write the whole set; the same bytes every time.

    Parameters
    ----------
    directory : Path or str
        Made if it is not there; files of these names are overwritten.
    progress : callable
        Told how many vectors are done.
    reuse : Path or str, optional
        A set whose results are taken over where the inputs are the same: for new tolerances or
        new cases, without minutes of arithmetic.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If `reuse` holds no set.
    """
    known_quantizer = {} if reuse is None else _known_quantizer(tables.load_quantizer(reuse))
    known_layer = {} if reuse is None else _known_layer(tables.load_layer(reuse))
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    quantizer, layer = draw_quantizer(), layer_inputs.draw_layer(SEED)
    total = len(quantizer.ids) + len(layer)
    rows = []
    limits = quantizer_tolerances(quantizer)
    for i in range(len(quantizer.ids)):
        exact = known_quantizer.get(_question(quantizer, i)) or expected_quantizer(quantizer, i)
        numbers = [*quantizer.inputs[:, i], *exact, *limits[:, i]]
        rows.append(_quantizer_row(quantizer, i, numbers))
        progress(i + 1, total)
    layer_rows: list[list[str]] = []
    for number, vector in enumerate(layer, len(quantizer.ids) + 1):
        arrays = known_layer.get(_layer_question(vector)) or expected_layer(vector)
        layer_rows += _layer_rows(vector, arrays, layer_tolerances(vector))
        progress(number, total)
    contents = {
        tables.QUANTIZER_FILE: _csv(tables.QUANTIZER_COLUMNS, rows),
        tables.LAYER_FILE: _csv(tables.LAYER_COLUMNS, layer_rows),
        tables.DESCRIPTION: _description(quantizer, layer),
    }
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items()]
    contents[tables.SUMS] = "".join(sums).encode()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in contents]


def _question(vectors: QuantizerVectors, i: int) -> tuple[int, int, bytes]:
    """Everything that the results of a vector follow from."""
    return int(vectors.max_levels[i]), int(vectors.windows[i]), vectors.inputs[:, i].tobytes()


def _known_quantizer(vectors: QuantizerVectors) -> dict[tuple[int, int, bytes], list[float]]:
    count = len(vectors.ids)
    return {_question(vectors, i): vectors.expected[:, i].tolist() for i in range(count)}


def _layer_question(vector: LayerVector) -> tuple[str, int, int, bytes]:
    arrays = b"".join(vector.arrays[name].tobytes() for name in tables.ARRAYS[:4])
    return vector.subsampling, vector.max_level, vector.window, arrays


def _known_layer(vectors: list[LayerVector]) -> dict[Any, dict[str, Array]]:
    return {
        _layer_question(vector): {name: vector.arrays[name] for name in tables.ARRAYS[4:]}
        for vector in vectors
    }


def _quantizer_row(vectors: QuantizerVectors, i: int, numbers: list[float]) -> list[str]:
    return [
        vectors.ids[i],
        list(REGIMES)[vectors.regimes[i]],
        str(vectors.dtypes[i]),
        str(vectors.max_levels[i]),
        str(vectors.windows[i]),
        *(to_hex(number) for number in numbers),
    ]


def _layer_rows(
    vector: LayerVector, expected: dict[str, Array], limits: dict[str, dict[str, Array]]
) -> list[list[str]]:
    rows = []
    for name in tables.ARRAYS:
        array = expected[name] if name in expected else vector.arrays[name]
        for place in np.ndindex(array.shape):
            tolerance = [
                to_hex(float(limits[dtype][name][place])) if name in expected else ""
                for dtype in ("float32", "float64")
            ]
            index = [str(axis) for axis in place]
            rows.append([vector.id, name, *index, to_hex(float(array[place])), *tolerance])
    return rows


def _csv(columns: tuple[str, ...], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    for fields in (list(columns), *rows):
        text.write(",".join(fields) + "\n")
    return text.getvalue().encode()


def _description(quantizer: QuantizerVectors, layer: list[LayerVector]) -> bytes:
    import mpmath

    from oracles.vectors.about import COLUMNS, LICENCE, REGIME_MEANINGS, TITLE

    counts: dict[str, int] = {}
    for code in quantizer.regimes:
        name = list(REGIMES)[code]
        counts[name] = counts.get(name, 0) + 1
    found = {
        "title": TITLE,
        "schema": tables.SCHEMA,
        "version": VERSION,
        "licence": LICENCE,
        "made": {
            "by": "jpegdl vectors write",
            "expectations": f"mpmath {mpmath.__version__}: every result to {DIGITS} digits or "
            "more, then rounded to the nearest float64, ties to even",
            "inputs": f"numpy.random.PCG64, seed {SEED}; regimes of oracles.regimes",
            "quantizer_digits": DIGITS,
            "layer_digits": LAYER_DIGITS,
            "seed": SEED,
            "numbers": "C99 hexadecimal floating point, exact; strtod reads them",
        },
        "quantizer": {
            "file": tables.QUANTIZER_FILE,
            "vectors": len(quantizer.ids),
            "columns": {name: COLUMNS[name] for name in tables.QUANTIZER_COLUMNS},
            "regimes": {
                name: {"vectors": counts[name], "meaning": REGIME_MEANINGS[name]}
                for name in REGIMES
            },
        },
        "layer": {
            "file": tables.LAYER_FILE,
            "columns": {name: COLUMNS[f"layer {name}"] for name in tables.LAYER_COLUMNS},
            "cases": [
                {
                    "id": vector.id,
                    "name": vector.name,
                    "height": vector.arrays["image"].shape[1],
                    "width": vector.arrays["image"].shape[2],
                    "subsampling": vector.subsampling,
                    "max_level": vector.max_level,
                    "window": vector.window,
                }
                for vector in layer
            ],
        },
        "outputs": list(OUTPUTS),
    }
    return (json.dumps(found, indent=1, ensure_ascii=True) + "\n").encode()
