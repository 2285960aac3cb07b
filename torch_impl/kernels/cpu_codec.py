"""The integer codec on CPU tensors: strips of images on the threads of PyTorch.

Strips are done in two stages, since interpolated chroma reads across their borders. All is in
integers, so the results depend neither on the strips nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_impl.kernels.cpu_codec_dct import LANES
from torch_impl.kernels.cpu_codec_planes import round_pixels
from torch_impl.kernels.cpu_codec_strips import code_strips, decode_strips, fill_strips
from torch_impl.kernels.threads import run_tasks

# Pixels of a task: enough to make the cost of the call vanish, few enough to share the work out.
_PIXELS = 1 << 15
# Numbers of a task that rounds them.
_VALUES = 1 << 18


class _Call:
    """One call: its shapes, its planes and how the work is cut."""

    def __init__(self, images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> None:
        n, channels, height, width = images.shape
        self.images: NDArray[np.uint8] = images.contiguous().numpy()
        self.tables: NDArray[np.int32] = tables.contiguous().view(-1, 2, 64).numpy()
        self.factors = vertical, horizontal
        down, across = -(-height // (8 * vertical)), -(-width // (8 * horizontal))
        self.own = n, -(-height // 8), -(-width // 8)
        self.reduced = (2 * n if channels == 3 else 0), down, across
        self.luma, self.chroma = (
            np.empty((planes, 8 * rows, 8 * columns), np.uint8)
            for planes, rows, columns in (self.own, self.reduced)
        )
        self.width = 8 * across * horizontal
        row = 8 * vertical * width
        self.strip = min(down, max(1, _PIXELS // row))
        self.strips = n * -(-down // self.strip)
        self.step = max(1, _PIXELS // (row * self.strip))

    def run(self, kernel: Callable[[int, int], None]) -> None:
        """Call ``kernel(first, last)`` for all strips."""

        def task(i: int) -> None:
            kernel(i * self.step, min((i + 1) * self.step, self.strips))

        run_tasks(task, -(-self.strips // self.step))

    def encode(self, keep: bool) -> list[NDArray[np.int16]]:
        """Coefficients of luma and chroma, or decoded planes and no coefficients."""
        parts = []
        for shape, plane, factor in (
            (self.own, self.luma, self.factors[0]),
            (self.reduced, self.chroma, 1),
        ):
            planes, rows, columns = shape
            blocks = np.empty((planes, rows * columns if keep else 0, 64), np.int16)
            if planes:
                split = plane.reshape(planes, rows, 8, columns, 8)
                parts.append((split, factor * self.strip, blocks))

        def kernel(first: int, last: int) -> None:
            work = np.empty((2, self.width), np.int32)
            fill_strips(
                *(self.images, *self.factors, self.strip, first, last),
                *(self.luma, self.chroma, work),
            )
            s, t = np.empty((2, 64 * LANES), np.int32)
            for kind, (planes, strip, blocks) in enumerate(parts):
                code_strips(planes, self.tables, kind, strip, first, last, s, t, keep, blocks)

        self.run(kernel)
        return [blocks for _, _, blocks in parts]

    def decode(self) -> NDArray[np.uint8]:
        """Pixels from the decoded planes."""
        out = np.empty_like(self.images)

        def kernel(first: int, last: int) -> None:
            work = np.empty((2, self.width), np.uint8)
            sums = np.empty(self.width + 2, np.int32)
            decode_strips(
                *(self.luma, self.chroma, *self.factors, self.strip, first, last),
                *(work, sums, out),
            )

        self.run(kernel)
        return out


def roundtrip(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> Tensor:
    """Coded pixels of a batch.

    Parameters
    ----------
    images : Tensor
        uint8, (N, 3 or 1, H, W).
    tables : Tensor
        int32, (N or 1, 2, 8, 8), whole numbers in 1..255.
    vertical, horizontal : int
        Chroma subsampling, each 1 or 2; both 1 for grey.
    """
    call = _Call(images, tables, vertical, horizontal)
    call.encode(keep=False)
    return torch.from_numpy(call.decode())


def coefficients(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> list[Tensor]:
    """Quantized coefficients of each component, int16 (N, R, C, 8, 8)."""
    call = _Call(images, tables, vertical, horizontal)
    luma, *chroma = call.encode(keep=True)
    (n, rows, columns), (pairs, down, across) = call.own, call.reduced
    found = [torch.from_numpy(luma).view(n, rows, columns, 8, 8)]
    if pairs:
        both = torch.from_numpy(chroma[0]).view(n, 2, down, across, 8, 8)
        found += [both[:, 0].contiguous(), both[:, 1].contiguous()]
    return found


def to_pixels(images: Tensor) -> tuple[Tensor, bool]:
    """Nearest whole numbers of float32, halves up, saturated to 0..255, as uint8.

    Second result: whether all values are finite.
    """
    source = images.contiguous().resolve_neg().numpy().reshape(-1)
    target = np.empty(images.shape, np.uint8)
    flat = target.reshape(-1)
    count = -(-source.size // _VALUES)
    finite = [False] * count

    def task(i: int) -> None:
        part = slice(i * _VALUES, (i + 1) * _VALUES)
        finite[i] = round_pixels(source[part], flat[part])

    run_tasks(task, count)
    return torch.from_numpy(target), all(finite)
