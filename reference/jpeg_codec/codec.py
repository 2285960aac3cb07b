"""Baseline JPEG, equal to libjpeg-turbo in every byte and every pixel.

References
----------
ITU-T T.81 | ISO/IEC 10918-1; libjpeg-turbo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from reference.entropy import BlockStream, HuffmanPair, SymbolCounts, coded_bytes, coded_size
from reference.entropy_reader import EntropyError, read_blocks
from reference.huffman_tables import STANDARD_PAIRS
from reference.jpeg_codec.checks import (
    check_image,
    check_pixels,
    check_subsampling,
    check_tables,
)
from reference.jpeg_codec.errors import JPEGError
from reference.jpeg_codec.markers import EOI, Frame, write_header
from reference.jpeg_codec.planes import frame_of_size, quantize, reconstruct
from reference.jpeg_codec.reader import Reader, Scan
from reference.jpeg_codec.scan import Blocks, block_order, deinterleave
from reference.jpeg_codec.statistics import stream_of

MAX_PIXELS = 2**28
"""Largest image that `decode` accepts unless told otherwise."""

_END = bytes([0xFF, EOI])


def coefficients(
    image: NDArray[np.uint8],
    *,
    quality: int | None = None,
    qtables: Any = None,
    subsampling: str = "4:2:0",
) -> tuple[Blocks, ...]:
    """Quantized DCT coefficients of an image.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3) RGB or (H, W) grey, 1 to 65535 rows and columns.
    quality : int, optional
        1 to 100: the Annex K tables, scaled as libjpeg scales them. Default 75.
    qtables : array_like, optional
        (2, 8, 8) whole numbers in 1..255, luma and chroma in natural order, instead of a quality.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of the chroma planes; without meaning for grey.

    Returns
    -------
    tuple of ndarray of int16
        Y, Cb and Cr (grey: one), each (R, C, 8, 8): rows and columns of blocks, then natural
        order.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    """
    image, frame, tables = _prepared(image, quality, qtables, subsampling)
    return tuple(quantize(image, frame, tables))


def roundtrip(
    image: NDArray[np.uint8],
    *,
    quality: int | None = None,
    qtables: Any = None,
    subsampling: str = "4:2:0",
) -> NDArray[np.uint8]:
    """Encode and decode without the entropy coder, which loses nothing.

    Parameters and errors as in :func:`coefficients`.

    Returns
    -------
    ndarray of uint8
        Shape of `image`; what ``decode(encode(image, ...))`` gives.
    """
    image, frame, tables = _prepared(image, quality, qtables, subsampling)
    own = [tables[component.table] for component in frame.components]
    return reconstruct(frame, quantize(image, frame, tables), own)


def encode(
    image: NDArray[np.uint8],
    *,
    quality: int | None = None,
    qtables: Any = None,
    subsampling: str = "4:2:0",
    optimize: bool = False,
    huffman: Sequence[HuffmanPair] | None = None,
) -> bytes:
    """A JPEG file, byte for byte that of libjpeg-turbo with the same options.

    Parameters
    ----------
    image, quality, qtables, subsampling
        As in :func:`coefficients`.
    optimize : bool
        Huffman tables made for this image instead of the standard ones.
    huffman : sequence of HuffmanPair, optional
        Tables for luma and chroma (grey: the first only), such as
        :meth:`reference.entropy.SymbolCounts.optimal_tables` makes of many images; excludes
        `optimize`.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or `huffman` has no code for a symbol
        of the image.
    """
    image, frame, tables = _prepared(image, quality, qtables, subsampling)
    stream = stream_of(frame, quantize(image, frame, tables))
    pairs = _pairs(stream, optimize, huffman)
    header = write_header(frame, tables[: stream.pairs], pairs)
    return header + coded_bytes(stream, pairs) + _END


@overload
def file_size(
    image: NDArray[np.uint8],
    *,
    quality: int | None = ...,
    qtables: Any = ...,
    subsampling: str = ...,
    optimize: bool = ...,
    huffman: Sequence[HuffmanPair] | None = ...,
) -> int: ...


@overload
def file_size(
    image: Sequence[NDArray[np.uint8]],
    *,
    quality: int | None = ...,
    qtables: Any = ...,
    subsampling: str = ...,
    optimize: bool = ...,
    huffman: Sequence[HuffmanPair] | None = ...,
) -> NDArray[np.int64]: ...


def file_size(
    image: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
    *,
    quality: int | None = None,
    qtables: Any = None,
    subsampling: str = "4:2:0",
    optimize: bool = False,
    huffman: Sequence[HuffmanPair] | None = None,
) -> int | NDArray[np.int64]:
    """Bytes of the file that :func:`encode` makes, without making it.

    Parameters
    ----------
    image : ndarray of uint8, or sequence of them
        One image; or several, of any sizes, as a list, a tuple or an array (N, H, W, 3).
    quality, qtables, subsampling, optimize, huffman
        As in :func:`encode`; for all images the same.

    Returns
    -------
    int, or ndarray of int64
        Of one image; or of each.

    Raises
    ------
    TypeError, ValueError
        As in :func:`encode`.
    """
    options = (quality, qtables, subsampling)
    if isinstance(image, list | tuple) or (isinstance(image, np.ndarray) and image.ndim == 4):
        return np.array([_size(each, options, optimize, huffman) for each in image], np.int64)
    return _size(image, options, optimize, huffman)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The image in a baseline JPEG file, pixel for pixel that of libjpeg-turbo.

    Parameters
    ----------
    data : bytes
        Baseline or extended sequential JPEG with 8 bits per sample, Huffman-coded, grey, YCbCr or
        RGB, sampling factors 1 : 1 or 1 : 2; any order of markers, restart intervals, several
        scans. What follows the end of the image is ignored, and a missing EOI is forgiven.
    max_pixels : int
        Larger images are refused before any memory is taken.

    Returns
    -------
    ndarray of uint8
        (H, W, 3) RGB or (H, W) grey.

    Raises
    ------
    JPEGError
        If the file is damaged, cut off or not supported; the message says at which byte.
    TypeError, ValueError
        If an argument has the wrong type or range.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data must be bytes, got {type(data).__name__}")
    limit = check_pixels(max_pixels)
    content = bytes(data)
    reader = Reader(content)
    found: dict[int, tuple[Blocks, NDArray[np.int32]]] = {}
    while (scan := _next_scan(reader, found)) is not None:
        frame = reader.frame
        assert frame is not None  # or there were no scan
        if frame.height * frame.width > limit:
            raise JPEGError(
                f"an image of {frame.width} x {frame.height} pixels is larger than max_pixels = "
                f"{limit}",
                scan.start,
            )
        _read_scan(reader, frame, scan, found)
    frame = reader.frame
    if frame is None or len(found) < len(frame.components):
        raise JPEGError("the image ends before all its components came", reader.position)
    parts = [found[index] for index in range(len(frame.components))]
    return reconstruct(frame, [b for b, _ in parts], [t for _, t in parts], rgb=reader.is_rgb())


def _prepared(
    image: Any, quality: Any, qtables: Any, subsampling: Any
) -> tuple[NDArray[np.uint8], Frame, NDArray[np.int32]]:
    image = check_image(image)
    tables = check_tables(quality, qtables)
    factors = check_subsampling(subsampling)
    height, width = image.shape[:2]
    return image, frame_of_size(height, width, factors if image.ndim == 3 else None), tables


def _size(
    image: Any,
    options: tuple[Any, Any, Any],
    optimize: bool,
    huffman: Sequence[HuffmanPair] | None,
) -> int:
    image, frame, tables = _prepared(image, *options)
    stream = stream_of(frame, quantize(image, frame, tables))
    pairs = _pairs(stream, optimize, huffman)
    header = write_header(frame, tables[: stream.pairs], pairs)
    return len(header) + coded_size(stream, pairs) + len(_END)


def _pairs(
    stream: BlockStream, optimize: bool, huffman: Sequence[HuffmanPair] | None
) -> Sequence[HuffmanPair]:
    """Tables for the file, one pair for grey and two for colour."""
    if huffman is None:
        if optimize:
            return SymbolCounts.of(stream).optimal_tables()
        return STANDARD_PAIRS[: stream.pairs]
    if optimize:
        raise ValueError("give optimize or huffman, not both")
    if len(huffman) < stream.pairs:
        raise ValueError(f"huffman must hold {stream.pairs} pairs of tables, got {len(huffman)}")
    return huffman[: stream.pairs]


def _next_scan(reader: Reader, found: Mapping[int, object]) -> Scan | None:
    """The next scan; None where the image ends.

    That is after the scan of all components, or at the EOI, or with the file once there are all.
    """
    complete = reader.frame is not None and len(found) == len(reader.frame.components)
    if complete and (reader.scans == 1 or reader.position >= len(reader.data)):
        return None
    return reader.next_scan()


def _read_scan(
    reader: Reader, frame: Frame, scan: Scan, found: dict[int, tuple[Blocks, NDArray[np.int32]]]
) -> None:
    """Decode a scan's coefficients into `found`, and move the reader past its data."""
    chosen = [frame.components[index] for index in scan.components]
    sizes = [frame.own_blocks(component) for component in chosen]
    # A single component is not interleaved: its units are its own blocks (T.81, A.2.2).
    single = len(chosen) == 1
    factors = ((1, 1),) if single else tuple((c.vertical, c.horizontal) for c in chosen)
    units = sizes[0] if single else frame.units
    per_unit = sum(v * h for v, h in factors)
    count = units[0] * units[1] * per_unit
    # A block takes two bits or more: memory is taken only for what may be there.
    if 2 * count > 8 * (len(reader.data) - scan.start):
        raise JPEGError(
            f"{len(reader.data) - scan.start} bytes are too few for {count} blocks", scan.start
        )
    for index in scan.components:
        if index in found:
            raise JPEGError("a component comes in two scans", scan.start)
        if frame.components[index].table not in reader.qtables:
            raise JPEGError(
                f"quantization table {frame.components[index].table} is not there", scan.start
            )
    try:
        blocks, position = read_blocks(
            np.frombuffer(reader.data, np.uint8),
            scan.start,
            block_order(factors, units)[0],
            scan.tables,
            restart=scan.restart * per_unit,
        )
    except EntropyError as error:
        raise JPEGError(error.what, error.position) from None
    reader.skip_data(position)
    for index, own in zip(
        scan.components, deinterleave(blocks, sizes, factors, units), strict=True
    ):
        found[index] = own, reader.qtables[frame.components[index].table].astype(np.int32)
