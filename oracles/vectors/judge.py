"""Judging functions, and files of results, by the conformance set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from oracles.contract import ContractError, call_checked
from oracles.findings import Findings
from oracles.regimes import REGIMES
from oracles.report import Report
from oracles.subject import OUTPUTS, QuantizerFunction
from oracles.vectors.tables import (
    ARRAYS,
    Array,
    LayerVector,
    QuantizerVectors,
    description,
    load_layer,
    load_quantizer,
    parse_number,
    rows_of,
)

__all__ = ["RESULT_COLUMNS", "verify_layer_vectors", "verify_results", "verify_vectors"]

#: First line of a file of results.
RESULT_COLUMNS = ("id", *OUTPUTS)
_EVIDENCE = "vectors"
_NAMED = 5  # ids that a message lists


def verify_vectors(
    fn: QuantizerFunction,
    *,
    window: int | None = None,
    dtype: Any = "float32",
    directory: Path | str | None = None,
) -> Report:
    """Judge a soft quantizer by the golden vectors.

    Parameters
    ----------
    fn : callable
        ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)``, as for
        :func:`oracles.verify_soft_quantizer`.
    window : int, optional
        The support that ``fn`` claims: one of those in the set, or None for all levels.
    dtype : {"float32", "float64"}
        Dtype of the inputs; the vectors of that dtype are used.
    directory : Path or str, optional
        Where the files are; None for those that are shipped.

    Returns
    -------
    Report
        Evidence ``vectors``, by regime and output; each place names the vector. Every vector is
        asked for twice, in the order of the file and backwards.

    Raises
    ------
    TypeError
        If ``fn`` is not callable.
    ValueError
        If the set has no vectors for this window and dtype, or is damaged.
    """
    _check_callable(fn, "fn(z, q, alpha, max_level)")
    kind = _dtype(dtype)
    vectors = load_quantizer(directory)
    claimed = 0 if window is None else window
    chosen = vectors.take((vectors.windows == claimed) & (vectors.dtypes == kind.name))
    if not chosen.ids:
        shipped = sorted(set(vectors.windows[vectors.windows > 0].tolist()))
        raise ValueError(
            f"window must be None or one of {shipped}, those of the vectors, got {window!r}"
        )
    out = Findings(tuple(REGIMES))
    try:
        for max_level in np.unique(chosen.max_levels):
            part = chosen.take(chosen.max_levels == max_level)
            # Forwards and backwards: what a call leaves behind for the next one shows.
            for ordered in (part, part.take(slice(None, None, -1))):
                arguments = tuple(array.astype(kind) for array in ordered.inputs)
                shapes = dict.fromkeys(OUTPUTS, (len(ordered.ids),))
                got = call_checked(fn, arguments, int(max_level), shapes, dtype=kind)
                out.called()
                _compare(ordered, np.array(got), out)
    except ContractError as error:
        out.broke(str(error))
    support = "all levels" if window is None else f"window {window}"
    return _report(f"golden vectors, {support}, {kind}", out, directory, window, kind.name)


def verify_results(path: Path | str, *, directory: Path | str | None = None) -> Report:
    """Judge a file of results, wherever they come from.

    Parameters
    ----------
    path : Path or str
        CSV with the columns id,value,dz,dq,dalpha; numbers decimal or C99 hex, in any order of
        lines. Vectors of one dtype, window and level count go together: such a group may be
        left out as a whole, which the report notes.
    directory : Path or str, optional
        Where the vectors are; None for those that are shipped.

    Returns
    -------
    Report
        Failed where a result is beyond its acceptable error, NaN, or missing.

    Raises
    ------
    ValueError
        If the file is missing, has other columns, holds no results, or a line has an unknown
        id, one that was there before, or something that is no number.
    """
    vectors = load_quantizer(directory)
    known = {name: i for i, name in enumerate(vectors.ids)}
    got = np.full((4, len(vectors.ids)), np.nan)
    lines: dict[str, int] = {}
    for line, fields in rows_of(Path(path), RESULT_COLUMNS):
        name = fields[0].strip()
        if name not in known:
            raise ValueError(f"{path}, line {line}: unknown id {name!r}; ids are those of the set")
        if name in lines:
            raise ValueError(f"{path}, line {line}: id {name!r} was there in line {lines[name]}")
        lines[name] = line
        for row, text in enumerate(fields[1:]):
            try:
                got[row, known[name]] = parse_number(text)
            except ValueError:
                raise ValueError(
                    f"{path}, line {line}: {OUTPUTS[row]} is {text!r}, which is no number"
                ) from None
    if not lines:
        raise ValueError(f"{path} holds no results")

    out = Findings(tuple(REGIMES))
    there = np.array([name in lines for name in vectors.ids])
    groups = list(zip(vectors.dtypes, vectors.windows, vectors.max_levels, strict=True))
    for dtype, window, max_level in dict.fromkeys(groups):
        inside = np.array([group == (dtype, window, max_level) for group in groups])
        support = f"window {window}" if window else "all levels"
        name = f"{dtype}, {support}, max_level {max_level}"
        if not (inside & there).any():
            out.note(f"no results for {name}: not judged")
            continue
        out.called()
        missing = [vectors.ids[i] for i in np.flatnonzero(inside & ~there)]
        if missing:
            more = ", ..." if len(missing) > _NAMED else ""
            out.broke(
                f"{len(missing)} of {int(inside.sum())} results for {name} are missing: "
                f"{', '.join(missing[:_NAMED])}{more}"
            )
        part = inside & there
        _compare(vectors.take(part), got[:, part], out)
    return _report(f"results in {Path(path).name}", out, directory)


def verify_layer_vectors(
    make: Callable[[str, int | None], Callable[..., Any]],
    *,
    dtype: Any = "float32",
    directory: Path | str | None = None,
) -> Report:
    """Judge a JPEG layer and its gradients by the golden vectors.

    Parameters
    ----------
    make : callable
        ``make(subsampling, window)`` gives the layer for that sampling and support:
        ``fn(image, q, alpha, grad_output, max_level)
        -> (output, grad_image, grad_q, grad_alpha)``, pictures (1, 3, H, W), tables (2, 8, 8).
    dtype : {"float32", "float64"}
        Dtype of the inputs, and that of the tolerances.
    directory : Path or str, optional
        Where the files are; None for those that are shipped.

    Returns
    -------
    Report
        Evidence ``vectors``, by vector and output.

    Raises
    ------
    TypeError
        If ``make`` is not callable.
    ValueError
        If the dtype is neither, or the set is damaged.
    """
    _check_callable(make, "make(subsampling, window)")
    kind = _dtype(dtype)
    out = Findings()
    for vector in load_layer(directory):
        try:
            got = _call_layer(make(vector.subsampling, vector.window or None), vector, kind)
        except ContractError as error:
            out.broke(str(error), regime=vector.id)
            continue
        out.called()
        for name, found in zip(ARRAYS[4:], got, strict=True):
            out.add(
                _EVIDENCE,
                vector.id,
                name,
                partial(_layer_place, vector, name),
                got=found.ravel(),
                expected=vector.arrays[name].ravel(),
                tolerance=vector.tolerances[kind.name][name].ravel(),
            )
    return _report(f"golden layer vectors, {kind}", out, directory, dtype=kind.name)


def _call_layer(fn: Any, vector: LayerVector, kind: np.dtype[Any]) -> list[Array]:
    image, q, alpha, grad_output = (vector.arrays[name].astype(kind) for name in ARRAYS[:4])
    shapes = {
        name: (1, *array.shape) if array.shape == image.shape else array.shape
        for name, array in vector.arrays.items()
        if name in ARRAYS[4:]
    }
    arguments = (image[None], q, alpha, grad_output[None])
    return call_checked(fn, arguments, vector.max_level, shapes, dtype=kind)


def _layer_place(vector: LayerVector, name: str, i: int) -> dict[str, float | int | str]:
    place: dict[str, float | int | str] = {"id": vector.id, "case": vector.name}
    index = np.unravel_index(i, vector.arrays[name].shape)
    return place | {axis: int(at) for axis, at in zip("ijk", index, strict=True)}


def _compare(vectors: QuantizerVectors, got: Array, out: Findings) -> None:
    def describe(i: int) -> dict[str, float | int | str]:
        z, q, alpha = (float(x) for x in vectors.inputs[:, i])
        return {
            "id": vectors.ids[i],
            "z": z,
            "q": q,
            "alpha": alpha,
            "max_level": int(vectors.max_levels[i]),
            "window": int(vectors.windows[i]),
        }

    for row, output in enumerate(OUTPUTS):
        out.add(
            _EVIDENCE,
            vectors.regimes,
            output,
            describe,
            got=got[row],
            expected=vectors.expected[row],
            tolerance=vectors.tolerances[row],
        )


def _report(
    subject: str,
    out: Findings,
    directory: Path | str | None,
    window: int | None = None,
    dtype: str | None = None,
) -> Report:
    version = description(directory)["version"]
    settings = {"contract": "vectors", "window": window, "dtype": dtype, "version": version}
    return Report(f"{subject}, version {version}", out.checks, (), tuple(out.notes), settings)


def _check_callable(fn: Any, signature: str) -> None:
    if not callable(fn):
        raise TypeError(f"the function must be callable as {signature}, got {type(fn).__name__}")


def _dtype(dtype: Any) -> np.dtype[Any]:
    name = "" if dtype is None else np.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return np.dtype(name)
