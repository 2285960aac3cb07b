"""diff_jpeg against a plain implementation of the same pipeline: time, and peak memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.measure import Opponent, Work
from benchmarks.memory import peak_bytes
from benchmarks.plain_diff_jpeg import plain_diff_jpeg
from benchmarks.plugin import THREADS, Runner
from benchmarks.ratios import Kind
from benchmarks.workloads import Shape, images, name_of
from reference.diff_jpeg import diff_jpeg as twin
from reference.diff_jpeg import diff_jpeg_vjp
from torch_impl import diff_jpeg, jpeg_roundtrip

MAIN: Shape = (16, 3, 224, 224)
SHORT = {"forward": "fwd", "forward+backward": "fwd+bwd"}

Codec = Callable[[Tensor, Tensor], Tensor]


def _ours(subsampling: str = "4:2:0", *, straight_through: bool = False) -> Codec:
    return lambda batch, quality: diff_jpeg(
        batch, quality=quality, subsampling=subsampling, straight_through=straight_through
    )


def _plain(subsampling: str = "4:2:0") -> Codec:
    return lambda batch, quality: plain_diff_jpeg(batch, quality, subsampling=subsampling)


def _plain_straight_through(batch: Tensor, quality: Tensor) -> Tensor:
    """The pixels of real JPEG with the gradient of the plain implementation."""
    soft = plain_diff_jpeg(batch, quality)
    # Whole qualities here: the same tables.
    return soft + (jpeg_roundtrip(batch, quality=quality.detach().long()) - soft.detach())


def _qualities(count: int) -> Tensor:
    return torch.linspace(5, 95, count).round()


def _one_call(direction: str, codec: Codec, shape: Shape) -> Work:
    """One pass; backwards to the images and to the quality of each."""
    batch, quality = images(shape), _qualities(shape[0])
    if direction == "forward":

        def forward() -> Tensor:
            with torch.no_grad():
                return codec(batch, quality)

        return forward
    leaves = batch.requires_grad_(), quality.requires_grad_()
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return lambda: torch.autograd.grad(codec(*leaves), leaves, grad)


def _check(subsampling: str) -> None:
    """What is raced computes what the reference does, value and gradients.

    At a tie of a coefficient the surrogate jumps, by rounding; such a block is off by up to
    3/4 of a step. A wrong step would show in most of the pixels, not in one of a hundred.
    """
    batch, quality = images((2, 3, 96, 96)), torch.tensor([31.0, 77.0])
    leaves = batch.requires_grad_(), quality.requires_grad_()
    coded = diff_jpeg(leaves[0], quality=leaves[1], subsampling=subsampling)
    found = torch.autograd.grad(coded, leaves, torch.ones_like(coded))
    given = batch.detach().double().numpy()
    options: dict[str, Any] = {
        "quality": quality.detach().double().numpy(),
        "subsampling": subsampling,
    }
    expected = diff_jpeg_vjp(given, np.ones(given.shape), **options)
    for got, want in ((coded, twin(given, **options)), (found[0], expected.images)):
        assert np.mean(np.abs(got.detach().numpy() - want) > 1e-2) < 0.01
    assert expected.quality is not None
    size = np.abs(expected.quality).max()
    np.testing.assert_allclose(found[1].numpy(), expected.quality, rtol=0, atol=0.01 * size)


@pytest.mark.parametrize("threads_used", [1, THREADS])
@pytest.mark.parametrize("direction", SHORT)
def test_diff_jpeg(race: Runner, direction: str, threads_used: int) -> None:
    _check("4:2:0")
    torch.set_num_threads(threads_used)  # put back by the fixture of the race
    plain = _one_call(direction, _plain(), MAIN)
    goal = 3.0 if direction == "forward+backward" else None
    name = f"diff_jpeg 4:2:0 {SHORT[direction]} {name_of(MAIN)}, threads: {threads_used}"
    race(
        name,
        _one_call(direction, _ours(), MAIN),
        [Opponent("plain diff_jpeg", plain, goal=goal)],
        seconds=2.0,
    )


@pytest.mark.parametrize("subsampling", ["4:2:2", "4:4:4"])
def test_subsampling(race: Runner, subsampling: str) -> None:
    _check(subsampling)
    direction = "forward+backward"
    plain = _one_call(direction, _plain(subsampling), MAIN)
    name = f"diff_jpeg {subsampling} {SHORT[direction]} {name_of(MAIN)}"
    run = _one_call(direction, _ours(subsampling), MAIN)
    race(name, run, [Opponent("plain diff_jpeg", plain)])


@pytest.mark.parametrize("shape", [(64, 3, 32, 32), (1, 3, 1024, 2048)], ids=name_of)
def test_other_sizes(race: Runner, shape: Shape) -> None:
    direction = "forward+backward"
    name = f"diff_jpeg 4:2:0 {SHORT[direction]} {name_of(shape)}"
    plain = _one_call(direction, _plain(), shape)
    race(name, _one_call(direction, _ours(), shape), [Opponent("plain diff_jpeg", plain)])


@pytest.mark.parametrize("threads_used", [1, THREADS])
def test_straight_through(race: Runner, threads_used: int) -> None:
    torch.set_num_threads(threads_used)
    direction = "forward+backward"
    ours = _one_call(direction, _ours(straight_through=True), MAIN)
    plain = _one_call(direction, _plain_straight_through, MAIN)
    name = f"diff_jpeg straight-through {SHORT[direction]} {name_of(MAIN)}, threads: {threads_used}"
    opponent = Opponent("plain diff_jpeg + jpeg_roundtrip", plain, goal=3.0)
    race(name, ours, [opponent], seconds=2.0)


@pytest.mark.parametrize("straight_through", [False, True])
def test_memory(race: Runner, straight_through: bool) -> None:
    direction = "forward+backward"
    ours = _one_call(direction, _ours(straight_through=straight_through), MAIN)
    codec = _plain_straight_through if straight_through else _plain()
    plain = _one_call(direction, codec, MAIN)
    form = "straight-through " if straight_through else ""
    race(
        f"diff_jpeg {form}peak memory {SHORT[direction]} {name_of(MAIN)}",
        ours,
        [Opponent("plain diff_jpeg", plain, Kind.MEMORY, goal=0.5)],
        clock=peak_bytes,
    )
