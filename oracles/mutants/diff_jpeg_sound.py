"""Sound implementations of differentiable JPEG: none of them may ever be accused.

Every factory takes the keywords of :func:`oracles.verify_diff_jpeg` that name the parts, and
returns ``fn(images, quality, qtables, grad_output)``. :class:`PlainCoding` is written without the
reference's steps: all that is linear is a matrix for each axis, and its adjoint the transpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.diff_jpeg.subject import (
    Claim,
    CodingFunction,
    CodingInputs,
    CodingSubject,
    whole_tables,
)
from oracles.mutants.rounding_sound import plain_rounding
from reference.jpeg_codec import roundtrip
from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE

__all__ = ["DIFF_JPEG_SOUND", "PlainCoding", "plain_coding", "rounded_coding"]

_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2), "4:4:0": (2, 1)}
_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.5],
        [0.5, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


def rounded_coding(**options: Any) -> CodingFunction:
    """The twin in float64, rounded to the dtype of the images at the end."""

    def fn(*arrays: Any) -> Any:
        dtype = arrays[0].dtype
        subject = CodingSubject(rounded_coding, Claim(**options), dtype)
        wide = (None if a is None else a.astype(np.float64) for a in arrays)
        found = subject.expected(CodingInputs._make(wide))
        return tuple(None if part is None else part.astype(dtype) for part in found)

    return fn


class PlainCoding:
    """Forward and backward in the dtype of the images (or in `wide`), in steps to override."""

    wide: Any = None

    def __init__(self, **options: Any) -> None:
        self.claim = Claim(**options)
        self.ste = self.claim.straight_through
        self.made: dict[Any, Any] = {}

    def __call__(self, images: Any, quality: Any, qtables: Any, grad_output: Any) -> Any:
        self.real = self.wide or images.dtype
        x: Any
        given: Any
        x, q, given, g = (
            None if a is None else a.astype(self.real)
            for a in (images, quality, qtables, grad_output)
        )
        tables, slopes = self.of_quality(q) if q is not None else self.of_tables(given)
        value, back = self.coded(self.pixels(x), tables)
        if self.ste:
            value = self.file(images, quality, qtables)
        d_images, d_tables = back(g)
        by_step = d_tables * slopes  # (N, 2, 8, 8)
        d_quality = d_given = None
        if q is not None:
            d_quality = self.of_images(by_step.sum(axis=(1, 2, 3)), q.ndim)
        else:
            d_given = by_step if given.ndim == 4 else by_step.sum(axis=0)
        parts = (value, d_images, d_quality, d_given)
        return tuple(None if p is None else np.asarray(p, dtype=images.dtype) for p in parts)

    def of_images(self, by_image: Any, dimensions: int) -> Any:
        return by_image if dimensions else by_image.sum()

    # Tables

    def round(self, x: Any, kind: str) -> tuple[Any, Any]:
        return plain_rounding(kind, straight_through=self.ste)(x)

    def floor(self, x: Any, kind: str) -> tuple[Any, Any]:
        return plain_rounding(kind, floor=True, straight_through=self.ste)(x)

    def percent(self, q: Any) -> tuple[Any, Any]:
        low = q < 50
        return np.where(low, 5000 / q, 200 - 2 * q), np.where(low, -5000 / (q * q), -2 + 0 * q)

    def base(self) -> Any:
        return np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(self.real)

    def scaled(self, base: Any, scale: Any) -> tuple[Any, Any]:
        kind = self.claim.floor(self.claim.table_floor)
        if kind is None:
            return base * scale / 100, base / 100 + 0 * scale
        steps, slope = self.floor((base * scale + 50) / 100, kind)
        return steps, slope * base / 100

    def of_quality(self, q: Any) -> tuple[Any, Any]:
        scale, slope = self.percent(q.reshape(-1, 1, 1, 1))
        kind = self.claim.floor(self.claim.scale_floor)
        if kind is not None:
            scale, own = self.floor(scale, kind)
            slope = slope * own
        steps, by_scale = self.scaled(self.base(), scale)
        if self.claim.table_slope is None:
            least = self.real.type(1e-3) if hasattr(self.real, "type") else 1e-3
            return np.maximum(steps, least), np.where(steps < least, 0, by_scale * slope)
        steps, clip = self.clip(steps, 1, 255, self.claim.table_slope)
        return steps, clip * by_scale * slope

    def of_tables(self, given: Any) -> tuple[Any, Any]:
        steps, slope = given.reshape(-1, 2, 8, 8), self.real_one()
        if self.claim.qtable_rounding is not None:
            steps, slope = self.round(steps, self.claim.qtable_rounding)
        if self.claim.table_slope is None:
            return steps, slope * np.ones_like(steps)
        steps, clip = self.clip(steps, 1, 255, self.claim.table_slope)
        return steps, clip * slope

    def real_one(self) -> Any:
        return np.ones((), dtype=self.real)

    def clip(self, x: Any, low: float, high: float, slope: float) -> tuple[Any, Any]:
        inside = np.clip(x, low, high)
        beyond = x - inside
        gamma = np.asarray(slope, dtype=x.dtype)
        return (inside if self.ste else inside + gamma * beyond), np.where(beyond == 0, 1, gamma)

    # Pixels

    def pixels(self, x: Any) -> Any:
        if not self.ste:
            return x
        return np.clip(plain_rounding("cubic", straight_through=True)(x)[0], 0, 255)

    def to_ycc(self) -> Any:
        return _YCC

    def to_rgb(self) -> Any:
        return np.linalg.inv(_YCC)

    def reducing(self, n: int, factor: int, padded: int) -> Any:
        """Matrix (n', n): repeat the last sample, average pairs, repeat the last mean."""
        rows = -(-n // padded) * padded
        repeat = np.eye(n)[np.minimum(np.arange(rows), n - 1)]
        means = repeat.reshape(rows // factor, factor, n).mean(axis=1)
        size = -(-len(means) // 8) * 8
        return means[np.minimum(np.arange(size), len(means) - 1)]

    def widening(self, n: int, factor: int, *, repeat: bool) -> Any:
        """Matrix (n, n'): drop what is padded, interpolate pairs with 3/4 and 1/4."""
        kept = -(-n // factor)
        size = -(-kept // 8) * 8
        matrix = np.zeros((kept * factor, size))
        for i in range(kept * factor):
            near = i // factor
            other = near if factor == 1 or repeat else near + (1 if i % 2 else -1)
            matrix[i, near] += 0.75
            matrix[i, min(max(other, 0), kept - 1)] += 0.25
        return matrix[:n]

    def cosines(self, blocks: int) -> Any:
        k, n = np.arange(8)[:, None], np.arange(8)
        matrix = np.cos((2 * n + 1) * k * math.pi / 16) / 2
        matrix[0] /= math.sqrt(2)
        return np.kron(np.eye(blocks), matrix)

    def matrices(self, height: int, width: int, index: int) -> tuple[Any, Any, Any, Any]:
        """Forth and back, rows and columns, of luma (0) or chroma (1)."""
        key = height, width, index, str(self.real)
        if key not in self.made:
            self.made[key] = self.make(height, width, index)
        return self.made[key]

    def make(self, height: int, width: int, index: int) -> Any:
        v, h = _FACTORS[self.claim.subsampling] if index else (1, 1)
        narrow = h == 2 and -(-width // 2) <= 2
        down = self.reducing(height, v, v), self.reducing(width, h, 8 * h)
        up = self.widening(height, v, repeat=narrow), self.widening(width, h, repeat=narrow)
        forth = [self.cosines(len(m) // 8) @ m for m in down]
        back = [m @ self.cosines(m.shape[1] // 8).T for m in up]
        rows, columns, up_rows, up_columns = (m.astype(self.real) for m in (*forth, *back))
        return rows, columns, up_rows, up_columns

    def index_of(self, channel: int) -> int:
        return min(channel, 1)

    def quantized(self, z: Any, t: Any) -> tuple[Any, Any, Any]:
        """Step times level, t R(z / t), and its derivatives in z and in t."""
        x = z / t
        level, slope = self.round(x, self.claim.rounding)
        return t * level, slope, self.by_step(x, level, slope)

    def by_step(self, x: Any, level: Any, slope: Any) -> Any:
        return level - x * slope

    def shifts(self) -> tuple[float, float]:
        return 128, 128

    def coded(self, x: Any, tables: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        height, width = x.shape[-2:]
        forth, back = self.to_ycc().astype(self.real), self.to_rgb().astype(self.real)
        ycc = np.einsum("ij,njhw->nihw", forth, x - self.real_one() * self.shifts()[0])
        planes, kept = [], []
        for channel in range(3):
            matrices = self.matrices(height, width, min(channel, 1))
            rows, columns, up_rows, up_columns = matrices
            z = rows @ ycc[:, channel] @ columns.T
            tiles = z.shape[-2] // 8, z.shape[-1] // 8
            t = np.tile(tables[:, self.index_of(channel)], (1, *tiles))
            value, dz, dt = self.quantized(z, t)
            planes.append(up_rows @ value @ up_columns.T)
            kept.append((matrices, dz, dt, tiles))
        rgb = np.einsum("ij,njhw->nihw", back, np.stack(planes, axis=1)) + self.shifts()[1]
        clip: Any = self.real_one()
        if self.claim.output_slope is not None:
            rgb, clip = self.clip(rgb, 0, 255, self.claim.output_slope)

        def backward(g: Any) -> tuple[Any, Any]:
            return self.backward(self.at_ends(g, clip), kept, forth, back)

        return rgb, backward

    def at_ends(self, g: Any, clip: Any) -> Any:
        return g * clip

    def backward(self, g: Any, kept: Any, forth: Any, back: Any) -> tuple[Any, Any]:
        """Gradients of images and of the steps, (N, 2, 8, 8)."""
        gradient = np.einsum("ij,nihw->njhw", back, g)
        planes, steps = [], np.zeros((len(g), 2, 8, 8), dtype=self.real)
        for channel, (matrices, dz, dt, tiles) in enumerate(kept):
            rows, columns, up_rows, up_columns = self.adjoints(matrices, channel)
            gz = up_rows.T @ gradient[:, channel] @ up_columns
            blocks = (gz * dt).reshape(len(g), tiles[0], 8, tiles[1], 8)
            steps[:, self.index_back(channel)] += blocks.sum(axis=(1, 3))
            planes.append(rows.T @ (gz * dz) @ columns)
        return np.einsum("ij,nihw->njhw", forth, np.stack(planes, axis=1)), steps

    def adjoints(self, matrices: Any, channel: int) -> Any:
        return matrices

    def index_back(self, channel: int) -> int:
        return min(channel, 1)

    def file(self, images: Any, quality: Any, qtables: Any) -> Any:
        given = (images, quality, qtables, images)
        inputs = CodingInputs._make(None if a is None else a.astype(np.float64) for a in given)
        tables = whole_tables(inputs)
        tables = np.broadcast_to(tables, (len(images), 2, 8, 8))
        pixels = np.floor(inputs.images + 0.5).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return np.stack(
            [
                roundtrip(p, qtables=t, subsampling=self.claim.subsampling)
                for p, t in zip(pixels, tables, strict=True)
            ]
        ).transpose(0, 3, 1, 2)


def plain_coding(**options: Any) -> CodingFunction:
    """Everything in the dtype of the images."""
    return PlainCoding(**options)


class _Wide(PlainCoding):
    wide = np.dtype(np.float64)


DIFF_JPEG_SOUND: dict[str, Callable[..., CodingFunction]] = {
    "float64 rounded": rounded_coding,
    "plain": plain_coding,
    "plain in float64": _Wide,
}
