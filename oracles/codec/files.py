"""Files of a codec, and their sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.codec.cases import Case
from oracles.codec.subject import CodecFindings, CodecSubject
from oracles.contract import ContractError
from reference import jpeg_codec

__all__ = ["check_encode", "check_file_size"]


def check_encode(encode: Callable[..., Any], case: Case, out: CodecFindings, *, exact: bool) -> int:
    """Judge a file: by its pixels as the reference decodes them, and by its bytes.

    Parameters
    ----------
    encode : callable
        ``encode(image, *, quality, qtables, subsampling) -> bytes``.
    case : Case
        What to encode.
    out : CodecFindings
    exact : bool
        Whether the bytes have to be those of libjpeg-turbo.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    ContractError
        If there is no file, or none that can be decoded.
    """
    data = CodecSubject(encode, exact).raw(case.image.copy(), case)
    if not isinstance(data, bytes | bytearray):
        raise ContractError(f"encode returned {type(data).__name__}; return bytes")
    try:
        decoded = jpeg_codec.decode(bytes(data))
    except jpeg_codec.JPEGError as error:
        raise ContractError(f"the file cannot be decoded: {error}") from error
    if decoded.shape != case.image.shape:
        raise ContractError(f"the file holds an image of {decoded.shape}, not {case.image.shape}")
    expected, tolerance = case.expected(exact=exact)
    out.pixels(
        case,
        got=decoded.astype(np.float64),
        expected=expected,
        tolerance=tolerance,
        evidence="file pixels",
    )
    if exact:
        found = np.frombuffer(bytes(data), np.uint8)
        wanted = np.frombuffer(jpeg_codec.encode(case.image, **case.options), np.uint8)
        length = max(found.size, wanted.size)
        # Where a file has ended there is no byte: -1 is none.
        got, want = (
            np.pad(a.astype(np.float64), (0, length - a.size), constant_values=-1)
            for a in (found, wanted)
        )
        _numbers(out, case, "file bytes", "bytes", got, want)
    return len(data)


def check_file_size(
    file_size: Callable[..., Any], case: Case, out: CodecFindings, expected: int
) -> None:
    """Judge the size that a codec gives without making the file.

    Parameters
    ----------
    file_size : callable
        ``file_size(image, *, quality, qtables, subsampling) -> int``.
    case : Case
        What to encode.
    out : CodecFindings
    expected : int
        Bytes of the file.

    Raises
    ------
    ContractError
        If it gives no whole number.
    """
    size = CodecSubject(file_size, True).raw(case.image.copy(), case)
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise ContractError(f"file_size returned {type(size).__name__}; return an int")
    got, want = np.array([float(size)]), np.array([float(expected)])
    _numbers(out, case, "file size", "bytes", got, want)


def _numbers(
    out: CodecFindings, case: Case, evidence: str, output: str, got: Any, expected: Any
) -> None:
    out.add(
        evidence,
        case.regime,
        output,
        lambda i: {**case.about, "byte": i},
        got=got,
        expected=expected,
        tolerance=np.full(got.shape, 0.5),
    )
