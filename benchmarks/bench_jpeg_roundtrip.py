"""jpeg_roundtrip against a loop over Pillow: encode and decode, image by image, on one core."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.measure import Opponent, Work
from benchmarks.plugin import THREADS, Runner
from benchmarks.ratios import Kind
from benchmarks.workloads import Shape, images, name_of
from torch_impl import jpeg_roundtrip

MAIN: Shape = (16, 3, 224, 224)
QUALITY = 75


def _pixels(shape: Shape) -> Tensor:
    return images(shape).round().to(torch.uint8)


def _pillow(batch: Tensor, quality: int, subsampling: str) -> Work:
    """The loop, from arrays of pixels to arrays of pixels; files stay in memory."""
    image_module = pytest.importorskip("PIL.Image")
    pictures = [np.ascontiguousarray(image) for image in batch.permute(0, 2, 3, 1).numpy()]

    def loop() -> list[np.ndarray]:
        coded = []
        for picture in pictures:
            file = io.BytesIO()
            image_module.fromarray(picture).save(
                file, "JPEG", quality=quality, subsampling=subsampling
            )
            coded.append(np.asarray(image_module.open(file)))
        return coded

    return loop


def _checked(
    batch: Tensor, loop: Work, quality: int, subsampling: str, *, floats: bool = False
) -> Work:
    """The candidate, once its pixels are those of libjpeg."""
    given = batch.float() if floats else batch
    expected = torch.from_numpy(np.stack(loop())).permute(0, 3, 1, 2)
    found = jpeg_roundtrip(given, quality=quality, subsampling=subsampling)
    assert torch.equal(found, expected.to(given.dtype))
    return lambda: jpeg_roundtrip(given, quality=quality, subsampling=subsampling)


@pytest.mark.parametrize("threads_used", [1, THREADS])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_against_pillow(race: Runner, subsampling: str, threads_used: int) -> None:
    batch = _pixels(MAIN)
    loop = _pillow(batch, QUALITY, subsampling)
    run = _checked(batch, loop, QUALITY, subsampling)
    torch.set_num_threads(threads_used)  # put back by the fixture of the race
    goal = 1.0 if subsampling == "4:2:0" else None
    opponents = [Opponent("loop over Pillow", loop, goal=goal)]
    if threads_used == 1:
        target = torch.empty_like(batch)
        opponents.append(Opponent("tensor copy", lambda: target.copy_(batch), Kind.MULTIPLE))
    name = f"jpeg_roundtrip {subsampling} {name_of(MAIN)}, threads: {threads_used}"
    race(name, run, opponents)


@pytest.mark.parametrize("shape", [(256, 3, 32, 32), (1, 3, 1024, 2048)], ids=name_of)
def test_other_sizes(race: Runner, shape: Shape) -> None:
    batch = _pixels(shape)
    loop = _pillow(batch, QUALITY, "4:2:0")
    run = _checked(batch, loop, QUALITY, "4:2:0")
    race(f"jpeg_roundtrip 4:2:0 {name_of(shape)}", run, [Opponent("loop over Pillow", loop)])


@pytest.mark.parametrize("quality", [10, 95])
def test_other_qualities(race: Runner, quality: int) -> None:
    """Pillow codes more symbols at a higher quality; without an entropy coder it makes no odds."""
    batch = _pixels(MAIN)
    loop = _pillow(batch, quality, "4:2:0")
    run = _checked(batch, loop, quality, "4:2:0")
    name = f"jpeg_roundtrip 4:2:0 quality {quality} {name_of(MAIN)}"
    race(name, run, [Opponent("loop over Pillow", loop)])


def test_floating_point(race: Runner) -> None:
    batch = _pixels(MAIN)
    loop = _pillow(batch, QUALITY, "4:2:0")
    run = _checked(batch, loop, QUALITY, "4:2:0", floats=True)
    name = f"jpeg_roundtrip 4:2:0 float32 {name_of(MAIN)}"
    race(name, run, [Opponent("loop over Pillow", loop)])
