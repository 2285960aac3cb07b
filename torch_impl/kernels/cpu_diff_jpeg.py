"""The steps of differentiable JPEG on CPU tensors in float32: rows on the threads of PyTorch.

How the work is cut depends on shapes alone, and sums are taken in the order of the cuts: the
results are the same to the last bit for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_impl.kernels.cpu_diff_jpeg_blocks import FORWARD, INVERSE, TILE, Array, transform_rows
from torch_impl.kernels.cpu_diff_jpeg_decode import (
    CLIP,
    PLAIN,
    WEIGH,
    decode_rows,
    decode_rows_adjoint,
)
from torch_impl.kernels.cpu_diff_jpeg_encode import encode_rows, encode_rows_adjoint
from torch_impl.kernels.cpu_diff_jpeg_rounding import round_rows, round_rows_adjoint
from torch_impl.kernels.threads import run_tasks

# Samples of a task: enough to make the cost of the call vanish, few enough to share the work out
# and to stay in the second-level cache.
_SAMPLES = 1 << 16


def encode(
    images: Tensor, vertical: int, horizontal: int, shift: float, whole: bool
) -> tuple[Tensor, Tensor]:
    """Coefficients of luma (N, 1, R, 8, C, 8) and chroma (N, 2, R', 8, C', 8).

    Parameters
    ----------
    images : Tensor
        RGB (N, 3, H, W).
    vertical, horizontal : int
        Factors by which chroma is reduced, 1 or 2.
    shift : float
        Subtracted from RGB.
    whole : bool
        Whether RGB is rounded to whole numbers and saturated before.
    """
    cut = _Cut(len(images), images.shape[2], images.shape[3], vertical, horizontal)
    luma, chroma = images.new_empty(cut.luma), images.new_empty(cut.chroma)
    source, coded = _array(images), [_rows(luma), _rows(chroma)]

    def kernel(first: int, last: int) -> None:
        samples = cut.samples()
        encode_rows(
            *(source, vertical, horizontal, np.float32(shift), whole),
            *(cut.down, first, last, cut.work(), *samples),
        )
        for kind in range(2):
            cut.transform(kind, samples[kind], coded[kind], (True, False), FORWARD, first, last)

    cut.run(kernel)
    return luma, chroma


def encode_adjoint(
    luma: Tensor, chroma: Tensor, vertical: int, horizontal: int, height: int, width: int
) -> Tensor:
    """Gradient of the images, from those of the coefficients."""
    cut = _Cut(len(luma), height, width, vertical, horizontal)
    images = luma.new_empty(cut.images)
    target, coded = images.numpy(), [_rows(luma), _rows(chroma)]

    def kernel(first: int, last: int) -> None:
        samples = cut.samples()
        for kind in range(2):
            cut.transform(kind, coded[kind], samples[kind], (False, True), INVERSE, first, last)
        encode_rows_adjoint(
            *(*samples, vertical, horizontal, cut.down, first, last, cut.work(), target)
        )

    cut.run(kernel)
    return images


def decode(
    luma: Tensor,
    chroma: Tensor,
    inside: Tensor | None,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
    shift: float,
    slope: float,
    true: bool,
) -> tuple[Tensor, Tensor]:
    """Pixels (N, 3, H, W), and which of them lay in [0, 255].

    Parameters
    ----------
    luma, chroma : Tensor
        As of :func:`encode`.
    inside : Tensor or None
        None: clip to [0, 255] with `slope` outside. Else what a clipping noted: values that lay
        outside are multiplied by `slope`.
    vertical, horizontal : int
        Factors by which chroma is reduced, 1 or 2.
    height, width : int
        Of the images.
    shift : float
        Added to RGB.
    slope : float
        In [0, 1]; with 1 nothing is clipped, and nothing noted: the second result is empty.
    true : bool
        Whether values that lie outside are clipped hard.
    """
    cut = _Cut(len(luma), height, width, vertical, horizontal)
    mode = PLAIN
    if slope != 1:
        mode = CLIP if inside is None else WEIGH
    if mode == PLAIN or inside is None:
        inside = luma.new_empty(cut.images if mode == CLIP else (0, 0, 0, 0), dtype=torch.uint8)
    images, planes = luma.new_empty(cut.images), torch.empty(cut.chroma)
    coded, target, noted, reduced = _rows(luma), images.numpy(), _array(inside), _rows(planes)
    coded_chroma = _rows(chroma)
    steepness = np.float32(0 if mode == CLIP and true else slope)
    lines = reduced.reshape(2 * len(luma), 8 * cut.down, -1)

    def kernel_of_chroma(first: int, last: int) -> None:
        cut.transform(1, coded_chroma, reduced, (False, False), INVERSE, first, last)

    def kernel(first: int, last: int) -> None:
        samples = cut.samples()[0]
        cut.transform(0, coded, samples, (False, True), INVERSE, first, last)
        decode_rows(
            *(samples, lines, vertical, horizontal, np.float32(shift), mode, steepness),
            *(cut.down, first, last, cut.work(), target, noted),
        )

    cut.run(kernel_of_chroma)
    cut.run(kernel)
    return images, inside


def decode_adjoint(
    grad: Tensor, inside: Tensor, vertical: int, horizontal: int, slope: float
) -> tuple[Tensor, Tensor]:
    """Gradients of the coefficients, from that of the pixels; arguments as of :func:`decode`."""
    cut = _Cut(len(grad), grad.shape[2], grad.shape[3], vertical, horizontal)
    luma, chroma = grad.new_empty(cut.luma), grad.new_empty(cut.chroma)
    given, noted, coded = _array(grad), _array(inside), [_rows(luma), _rows(chroma)]

    def kernel(first: int, last: int) -> None:
        samples = cut.samples()
        decode_rows_adjoint(
            *(given, noted, vertical, horizontal, np.float32(slope)),
            *(cut.down, first, last, cut.work(), *samples),
        )
        for kind in range(2):
            cut.transform(kind, samples[kind], coded[kind], (True, False), FORWARD, first, last)

    cut.run(kernel)
    return luma, chroma


def round_coefficients(z: Tensor, tables: Tensor, kind: int, true: bool) -> Tensor:
    """Quantized coefficients t R(z / t).

    Parameters
    ----------
    z : Tensor
        (N, C, R, 8, C, 8).
    tables : Tensor
        Steps, (N or 1, 8, 8).
    kind : int
        0: straight-through, 1: linear, 2: cubic.
    true : bool
        Whether the value is that of true rounding.
    """
    out = torch.empty(z.shape)
    each, source, target, steps = _flat(z, out, tables)

    step = max(1, _SAMPLES // source[0].size)

    def task(i: int) -> None:
        first, last = i * step, min((i + 1) * step, len(source))
        round_rows(source, steps, each, kind, true, first, last, target)

    run_tasks(task, -(-len(source) // step))
    return out


def round_coefficients_adjoint(
    grad: Tensor, z: Tensor, tables: Tensor, kind: int, true: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of z and of the tables, from that of the quantized coefficients."""
    out = torch.empty(z.shape)
    each, source, target, steps = _flat(z, out, tables)
    given = _array(grad).reshape(source.shape)
    # Rows of one image alone, and about as many as a task should have.
    step = min(each, max(1, _SAMPLES // source[0].size))
    tasks = -(-each // step)
    sums = np.zeros((len(z), tasks, *source.shape[1:]), np.float32)

    def task(i: int) -> None:
        n, start = i // tasks, i % tasks * step
        first, last = n * each + start, n * each + min(start + step, each)
        round_rows_adjoint(
            *(given, source, steps, each, kind, true, first, last, target, sums[n, i % tasks])
        )

    run_tasks(task, len(z) * tasks)
    by_image = sums.reshape(len(z), tasks, 8, -1, 8).sum(axis=(1, 3), dtype=np.float64)
    total = by_image if len(tables) == len(z) else by_image.sum(axis=0, keepdims=True)
    return out, torch.from_numpy(total.astype(np.float32))


class _Cut:
    """Shapes of a batch, and how it is cut into tasks: rows of MCUs."""

    def __init__(self, n: int, height: int, width: int, vertical: int, horizontal: int) -> None:
        self.factors = vertical, horizontal
        self.down = -(-height // (8 * vertical))
        self.images = n, 3, height, width
        self.luma = n, 1, -(-height // 8), 8, -(-width // 8), 8
        self.chroma = n, 2, self.down, 8, -(-width // (8 * horizontal)), 8
        self.count = n * self.down
        self.step = max(1, _SAMPLES // (24 * vertical * width))

    def samples(self) -> tuple[Array, Array]:
        """Memory for the samples of a task: luma and chroma."""
        luma = np.empty((self.step * self.factors[0], 8, 8 * self.luma[4]), np.float32)
        return luma, np.empty((self.step * 2, 8, 8 * self.chroma[4]), np.float32)

    def work(self) -> Array:
        """Scratch memory for lines of full chroma and a few columns more."""
        return np.empty((5, 8 * self.chroma[4] * self.factors[1] + 3), np.float32)

    def transform(
        self,
        kind: int,
        source: Array,
        target: Array,
        local: tuple[bool, bool],
        matrices: tuple[Array, Array],
        first: int,
        last: int,
    ) -> None:
        """DCT or its inverse of luma (kind 0) or chroma (1) of a task."""
        factor, rows = (1, self.down) if kind else (self.factors[0], self.luma[2])
        s, t = np.empty((2, 8 * TILE), np.float32)
        transform_rows(
            *(source, target, *local, kind + 1, factor, rows, self.down, first, last),
            *(*matrices, s, t),
        )

    def run(self, kernel: Callable[[int, int], None]) -> None:
        """Call ``kernel(first, last)`` for all rows of MCUs."""

        def task(i: int) -> None:
            kernel(i * self.step, min((i + 1) * self.step, self.count))

        run_tasks(task, -(-self.count // self.step))


def _flat(
    z: Tensor, out: Tensor, tables: Tensor
) -> tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows of an image; z and out by rows of blocks; the steps of such a row."""
    steps = np.tile(_array(tables), (1, 1, z.shape[4]))
    return z.shape[1] * z.shape[2], _rows(z), _rows(out), steps


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().contiguous().resolve_neg().numpy()
    return array


def _rows(coefficients: Tensor) -> NDArray[Any]:
    """(N, C, R, 8, C', 8) as rows of blocks, (N C R, 8, 8 C')."""
    return _array(coefficients).reshape(-1, 8, 8 * coefficients.shape[4])
