"""The integer JPEG codec of the reference against libjpeg, as Pillow runs it, on one core."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.measure import Opponent
from benchmarks.plugin import Runner
from benchmarks.ratios import Kind
from benchmarks.verify import WrongResultError
from reference.jpeg_codec import decode, encode, file_size, roundtrip

QUALITY = 75
SUBSAMPLINGS = ["4:4:4", "4:2:0"]


def _picture() -> NDArray[np.uint8]:
    """512 x 512, RGB."""
    return np.asarray(pytest.importorskip("skimage.data").astronaut())


def _written(picture: NDArray[np.uint8], **options: Any) -> io.BytesIO:
    image = pytest.importorskip("PIL.Image").fromarray(picture)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, **options)
    return file


def _read(file: io.BytesIO) -> NDArray[np.uint8]:
    with pytest.importorskip("PIL.Image").open(file) as image:
        return np.asarray(image)


def _check(what: str, equal: bool) -> None:
    if not equal:
        raise WrongResultError(f"{what} of the codec is not libjpeg's")


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_round_trip(race: Runner, subsampling: str) -> None:
    picture = _picture()
    given = {"quality": QUALITY, "subsampling": subsampling}

    def pillow() -> NDArray[np.uint8]:
        return _read(_written(picture, subsampling=subsampling))

    _check("the round trip", np.array_equal(roundtrip(picture, **given), pillow()))
    opponent = Opponent("Pillow, encode and decode", pillow, Kind.MULTIPLE)
    name = f"codec round trip 512x512 {subsampling} quality {QUALITY}"
    race(name, lambda: roundtrip(picture, **given), [opponent])


@pytest.mark.parametrize("optimize", [False, True], ids=["standard", "optimized"])
def test_file_size(race: Runner, optimize: bool) -> None:
    picture = _picture()

    def pillow() -> int:
        return len(_written(picture, subsampling="4:2:0", optimize=optimize).getbuffer())

    def size() -> int:
        return file_size(picture, quality=QUALITY, optimize=optimize)

    _check("the size", size() == pillow())
    tables = "optimized" if optimize else "standard"
    name = f"codec file size 512x512 4:2:0 quality {QUALITY}, {tables} tables"
    race(name, size, [Opponent("Pillow, encode", pillow, Kind.MULTIPLE)])


def test_encode(race: Runner) -> None:
    picture = _picture()

    def pillow() -> bytes:
        return _written(picture, subsampling="4:2:0").getvalue()

    _check("the file", encode(picture, quality=QUALITY) == pillow())
    name = f"codec encode 512x512 4:2:0 quality {QUALITY}"
    opponent = Opponent("Pillow, encode", pillow, Kind.MULTIPLE)
    race(name, lambda: encode(picture, quality=QUALITY), [opponent])


def test_decode(race: Runner) -> None:
    data = _written(_picture(), subsampling="4:2:0").getvalue()

    def pillow() -> NDArray[np.uint8]:
        return _read(io.BytesIO(data))

    _check("the image", np.array_equal(decode(data), pillow()))
    name = f"codec decode 512x512 4:2:0 quality {QUALITY}"
    race(name, lambda: decode(data), [Opponent("Pillow, decode", pillow, Kind.MULTIPLE)])
