"""The full comparison with libjpeg: more than 10,000 images, when JPEGDL_CODEC=full asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from reference.jpeg_codec import decode, encode
from tests.reference._codec_cases import (
    KINDS,
    SUBSAMPLINGS,
    Case,
    differences,
    image_of,
    libjpeg_or_skip,
    natural_images,
    random_cases,
    random_tables,
)

libjpeg = pytest.fixture(libjpeg_or_skip)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("libjpeg"),
    pytest.mark.skipif(
        os.environ.get("JPEGDL_CODEC") != "full", reason="JPEGDL_CODEC=full asks for the sweep"
    ),
]


def _compare(name: str, cases: Iterable[Case], at_least: int) -> None:
    count = 0
    for case in cases:
        count += 1
        found = differences(case)
        assert not found, f"{case}: {found}"
    print(f"\n{name}: {count} of {count} equal in bytes, decoded pixels, round trip and size")
    assert count >= at_least


def _every_size() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(np.ndindex(40, 40)):
        for which, subsampling in enumerate((*SUBSAMPLINGS, "grey")):
            kind = list(KINDS)[(number + which) % len(KINDS)]
            grey = subsampling == "grey"
            yield Case(
                image_of(kind, number, height + 1, width + 1, grey=grey),
                number % 100 + 1,
                None,
                "4:2:0" if grey else subsampling,
                bool(rng.random() < 0.5),
            )


def _every_quality() -> Iterator[Case]:
    for number, (name, picture) in enumerate(natural_images().items()):
        for quality in range(1, 101):
            for subsampling in SUBSAMPLINGS:
                cut = picture[: 97 + 31 * number, : 120 + quality]
                yield Case(cut, quality, None, subsampling, (quality + len(name)) % 2 == 0)
            yield Case(picture[:99, :101, number % 3].copy(), quality, None)


def _own_tables() -> Iterator[Case]:
    rng = np.random.default_rng(1)
    pictures = list(natural_images().values())
    for number in range(1200):
        kind = [*KINDS, "natural", "natural"][number % (len(KINDS) + 2)]
        height, width = rng.integers(1, 70, 2).tolist()
        if kind == "natural":
            y, x = rng.integers(0, 200, 2)
            image = pictures[number % 4][y : y + height, x : x + width]
        else:
            image = image_of(kind, number, height, width, grey=number % 5 == 0)
        tables = random_tables(rng)
        if number < 8:
            tables = np.full((2, 8, 8), 1 if number % 2 else 255)
        yield Case(image, None, tables, SUBSAMPLINGS[number % 3], bool(rng.random() < 0.5))


def _whole_pictures() -> Iterator[Case]:
    for picture in natural_images().values():
        for quality in (5, 50, 75, 90, 100):
            for subsampling in SUBSAMPLINGS:
                yield Case(picture, quality, None, subsampling, quality == 90)


def test_every_size() -> None:
    _compare("sizes 1x1 to 40x40, three samplings and grey", _every_size(), 6400)


def test_every_quality_of_natural_pictures() -> None:
    _compare("qualities 1 to 100 of natural pictures", _every_quality(), 1600)


def test_tables_of_ones_own() -> None:
    _compare("tables", _own_tables(), 1200)


def test_whole_pictures() -> None:
    _compare("whole pictures", _whole_pictures(), 60)


def test_random_images() -> None:
    _compare("random images up to 130 x 130", random_cases(2000, seed=10_000, largest=130), 2000)


def test_opencv() -> None:
    """Bytes and pixels of OpenCV, 4:4:0 with the rest."""
    cv2 = pytest.importorskip("cv2")
    count = 0
    for case in random_cases(1600, seed=50_000, largest=90):
        if case.quality is None:
            continue
        grey = case.image.ndim == 2
        subsampling = ("4:4:4", "4:2:2", "4:2:0", "4:4:0")[count % 4]
        factor = getattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR_" + subsampling.replace(":", ""))
        options = [cv2.IMWRITE_JPEG_QUALITY, case.quality]
        options += [cv2.IMWRITE_JPEG_OPTIMIZE, int(case.optimize)]
        if not grey:
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
        image = case.image if grey else case.image[..., ::-1]
        _, file = cv2.imencode(".jpg", image, options)
        own = encode(
            case.image, quality=case.quality, subsampling=subsampling, optimize=case.optimize
        )
        assert own == file.tobytes(), str(case)
        read = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        assert np.array_equal(decode(own), read if grey else read[..., ::-1]), str(case)
        count += 1
    print(f"\nOpenCV: {count} of {count} equal in bytes and pixels")
    assert count > 1000
