"""Images for the JPEG codec, and the same options given to it and to libjpeg through Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, features

from reference.jpeg_codec import decode, encode, file_size, roundtrip

Pixels = NDArray[np.uint8]
# What Pillow can write; OpenCV knows 4:4:0 too.
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def libjpeg_version() -> str | None:
    """Of the libjpeg-turbo in Pillow; None where that is another libjpeg."""
    return features.version("libjpeg_turbo") if features.check("libjpeg_turbo") else None


def libjpeg_or_skip(request: pytest.FixtureRequest) -> None:
    """Say it where Pillow brings another libjpeg than the one the codec is to equal."""
    version = libjpeg_version()
    if version is None:
        pytest.skip(
            f"Pillow has libjpeg {features.version('jpg')}, not libjpeg-turbo: not compared"
        )
    if version.split(".")[0] != "3":
        reason = f"Pillow has libjpeg-turbo {version}; the codec is known to equal 3.x"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=False))


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    return rng.integers(0, 256, shape, np.uint8)


def _saturated(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    return np.where(rng.random(shape) < 0.5, 0, 255).astype(np.uint8)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    walk = rng.normal(0, 6, shape).cumsum(0).cumsum(1)
    return np.clip(walk + 128, 0, 255).astype(np.uint8)


def _constant(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    return np.broadcast_to(rng.integers(0, 256, shape[2:], np.uint8), shape).copy()


def _checkerboard(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    y, x = np.indices(shape[:2]) // int(rng.integers(1, 5))
    two = rng.integers(0, 256, (2, *shape[2:]), np.uint8)
    return two[(y + x) % 2]


def _edges(rng: np.random.Generator, shape: tuple[int, ...]) -> Pixels:
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * int(rng.integers(1, 60))
    steps = np.where(ramp // 256 % 2, 255, ramp % 256).astype(np.uint8)
    return steps if len(shape) == 2 else np.stack([steps, 255 - steps, steps[::-1]], axis=-1)


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Pixels]] = {
    "noise": _noise,
    "saturated": _saturated,
    "smooth": _smooth,
    "constant": _constant,
    "checkerboard": _checkerboard,
    "edges": _edges,
}


def image_of(kind: str, seed: int, height: int, width: int, *, grey: bool = False) -> Pixels:
    shape = (height, width) if grey else (height, width, 3)
    return KINDS[kind](np.random.default_rng(seed), shape)


def random_tables(rng: np.random.Generator) -> NDArray[np.int64]:
    """Steps in a random range, now and then with the extremes 1 and 255 side by side."""
    low, high = sorted(rng.integers(1, 256, 2).tolist())
    tables = rng.integers(low, high + 1, (2, 8, 8))
    if rng.random() < 0.3:
        tables = rng.choice([1, 255], (2, 8, 8))
    return tables


@dataclass(frozen=True)
class Case:
    """An image with the options of `encode`."""

    image: Pixels
    quality: int | None = 75
    qtables: Any = None
    subsampling: str = "4:2:0"
    optimize: bool = False

    @property
    def options(self) -> dict[str, Any]:
        return {
            "quality": self.quality,
            "qtables": self.qtables,
            "subsampling": self.subsampling,
        }

    def __str__(self) -> str:
        tables = "" if self.qtables is None else f" qtables={self.qtables.tolist()}"
        return (
            f"{self.image.shape} quality={self.quality} {self.subsampling} "
            f"optimize={self.optimize}{tables}"
        )


def random_cases(count: int, seed: int, largest: int) -> Iterator[Case]:
    """Every kind, sampling, grey, all qualities or tables of one's own, optimized or not."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(1, largest + 1, 2).tolist()
        kind = list(KINDS)[number % len(KINDS)]
        image = image_of(kind, seed + number, height, width, grey=bool(rng.random() < 0.2))
        own = rng.random() < 0.3
        yield Case(
            image,
            None if own else int(rng.integers(1, 101)),
            random_tables(rng) if own else None,
            SUBSAMPLINGS[number // len(KINDS) % 3],
            bool(rng.random() < 0.4),
        )


def pillow_file(case: Case) -> bytes:
    """What libjpeg writes."""
    options: dict[str, Any] = {"optimize": case.optimize}
    if case.image.ndim == 3:
        options["subsampling"] = case.subsampling
    if case.qtables is None:
        options["quality"] = case.quality
    else:
        kinds = 2 if case.image.ndim == 3 else 1
        options["qtables"] = [table.ravel().tolist() for table in case.qtables[:kinds]]
    file = io.BytesIO()
    before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, 2**24  # or optimize fails on noise
    try:
        Image.fromarray(case.image).save(file, "JPEG", **options)
    finally:
        ImageFile.MAXBLOCK = before
    return file.getvalue()


def pillow_pixels(data: bytes) -> Pixels:
    """What libjpeg reads."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def differences(case: Case) -> list[str]:
    """In what the codec is not libjpeg."""
    expected = pillow_file(case)
    pixels = pillow_pixels(expected)
    size = file_size(case.image, **case.options, optimize=case.optimize)
    equal = {
        "bytes": encode(case.image, **case.options, optimize=case.optimize) == expected,
        "decoded pixels": np.array_equal(decode(expected), pixels),
        "round trip": np.array_equal(roundtrip(case.image, **case.options), pixels),
        "size": size == len(expected),
    }
    return [name for name, same in equal.items() if not same]


def natural_images() -> dict[str, Pixels]:
    """The pictures that scikit-image carries with it."""
    data = pytest.importorskip("skimage.data")
    return {
        name: np.ascontiguousarray(getattr(data, name)())
        for name in ("astronaut", "chelsea", "coffee", "rocket")
    }
