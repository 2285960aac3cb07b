"""The JPEG layer on CPU tensors in float32: tiles of blocks stay in the cache from end to end.

A tile is read, transformed, quantized in every round and written back. The backward pass
starts again from the image, so nothing is kept in between. Tiles depend on shapes alone, each adds
up its own share of the gradients of the tables, and the shares are summed in their order: the
results are the same to the last bit for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference.standard import DCT_MATRIX, LEVEL_SHIFT, RGB_TO_YCBCR, YCBCR_TO_RGB
from torch_impl.kernels.cpu_blocks import Tile, read, tiles, write
from torch_impl.kernels.cpu_quantizer import repair_gradients, repair_values, scratch
from torch_impl.kernels.cpu_rows import backward_rows, forward_rows
from torch_impl.kernels.threads import run_tasks

_Array = NDArray[np.float32]


def _constant(matrix: NDArray[np.float64]) -> _Array:
    return np.ascontiguousarray(matrix, dtype=np.float32)


_DCT, _INVERSE_DCT = _constant(DCT_MATRIX), _constant(DCT_MATRIX.T)


@dataclass(frozen=True)
class _Way:
    """What happens to samples on the way in and out, and to gradients on the way back."""

    shift: float
    into: _Array | None = None
    out_of: _Array | None = None
    into_adjoint: _Array | None = None
    out_of_adjoint: _Array | None = None


_RGB = _Way(
    shift=LEVEL_SHIFT,
    into=_constant(RGB_TO_YCBCR),
    out_of=_constant(YCBCR_TO_RGB),
    into_adjoint=_constant(RGB_TO_YCBCR.T),
    out_of_adjoint=_constant(YCBCR_TO_RGB.T),
)
_PLANES = _Way(shift=0.0)


class _Call:
    """One call: its arrays and tiles."""

    def __init__(
        self,
        image: Tensor,
        q: Tensor,
        alpha: Tensor,
        components: Sequence[int],
        level: int,
        window: int,
    ) -> None:
        n, self.planes, height, width = image.shape
        self.image = _array(image)
        self.rounds = q.shape[0]
        self.tables = [
            (_array(a).reshape(-1), _array(b).reshape(-1)) for a, b in zip(q, alpha, strict=True)
        ]
        entries = np.arange(64)
        self.offset = np.concatenate([64 * component + entries for component in components])
        self.level, self.window = level, window
        self.tiles: list[Tile] = tiles(n, height, width)

    def arguments(self, z: _Array, index: int) -> tuple[Any, ...]:
        """What the row kernels need to know about one round of one tile."""
        rows, length = z.shape
        return (
            *(z.reshape(-1), *self.tables[index], self.offset, self.offset, 0, 0),
            *(0, rows, length, rows * length, self.level),
        )

    def quantize(self, memory: tuple[Any, ...], z: _Array, index: int) -> _Array:
        """One round of quantization."""
        arguments = self.arguments(z, index)
        out = np.empty_like(z)
        if forward_rows(*memory, *arguments, self.window, out.reshape(-1)):
            repair_values(arguments, out.reshape(-1))
        return out


def _array(tensor: Tensor) -> _Array:
    dense = tensor.detach().to(torch.float32).contiguous().resolve_neg()
    array: _Array = dense.numpy()
    return array


def encode_decode(image: Tensor, q: Tensor, alpha: Tensor, level: int, window: int) -> Tensor:
    """The layer without chroma subsampling: RGB (N, 3, H, W) -> the same, float32.

    q and alpha are (rounds, 2, 8, 8); `window` 0 is the full space.
    """
    return _forward(_Call(image, q, alpha, (0, 1, 1), level, window), _RGB)


def encode_decode_backward(
    grad: Tensor, image: Tensor, q: Tensor, alpha: Tensor, level: int, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of image, q and alpha of :func:`encode_decode`."""
    return _backward(_Call(image, q, alpha, (0, 1, 1), level, window), _RGB, grad)


def quantize_planes(
    planes: Tensor, q: Tensor, alpha: Tensor, components: Sequence[int], level: int, window: int
) -> Tensor:
    """DCT, every round of quantization and inverse DCT of planes (N, C, H, W).

    `components` tells which table, 0 or 1, each of the C planes uses. Edges are
    repeated where H or W is no multiple of 8.
    """
    return _forward(_Call(planes, q, alpha, components, level, window), _PLANES)


def quantize_planes_backward(
    grad: Tensor,
    planes: Tensor,
    q: Tensor,
    alpha: Tensor,
    components: Sequence[int],
    level: int,
    window: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of planes, q and alpha of :func:`quantize_planes`."""
    return _backward(_Call(planes, q, alpha, components, level, window), _PLANES, grad)


def _forward(call: _Call, way: _Way) -> Tensor:
    out = np.empty_like(call.image)

    def task(i: int) -> None:
        tile, memory = call.tiles[i], scratch()
        z = read(call.image, tile, -way.shift, True, way.into, _DCT)
        for index in range(call.rounds):
            z = call.quantize(memory, z, index)
        write(out, tile, way.shift, False, way.out_of, _INVERSE_DCT, z)

    run_tasks(task, len(call.tiles))
    return torch.from_numpy(out)


def _backward(call: _Call, way: _Way, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    grad_array = _array(grad)
    d_image = np.empty_like(call.image)
    shares = np.zeros((len(call.tiles), call.rounds, 2, 128), np.float32)

    def task(i: int) -> None:
        tile, memory = call.tiles[i], scratch()
        z = [read(call.image, tile, -way.shift, True, way.into, _DCT)]
        for index in range(call.rounds - 1):
            z.append(call.quantize(memory, z[index], index))
        g = read(grad_array, tile, 0.0, False, way.out_of_adjoint, _DCT)
        for index in reversed(range(call.rounds)):
            arguments = call.arguments(z.pop(), index)
            g_in, g = g.reshape(-1), np.empty_like(g)
            own = g_in, g.reshape(-1), *shares[i, index]
            if backward_rows(*memory, *arguments, call.window, *own):
                repair_gradients(arguments, *own)
        write(d_image, tile, 0.0, True, way.into_adjoint, _INVERSE_DCT, g)

    run_tasks(task, len(call.tiles))
    d_tables = shares.sum(axis=0, dtype=np.float64).astype(np.float32)
    d_q, d_alpha = (
        torch.from_numpy(d_tables[:, i].copy()).view(call.rounds, 2, 8, 8) for i in (0, 1)
    )
    return torch.from_numpy(d_image), d_q, d_alpha
