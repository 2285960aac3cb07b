"""Faults planted in transforms, levels and padding: each class overrides a step of a codec."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.codec_sound import PlainCodec
from reference.blocks import pad_edges
from reference.standard import DCT_MATRIX


class FloatTransform(PlainCodec):
    """DCT in floating point."""

    def forward(self, blocks: Any) -> Any:
        return np.round(8 * DCT_MATRIX @ blocks @ DCT_MATRIX.T)


class FastTransform(PlainCodec):
    """Constants of 8 bits, as libjpeg's "ifast" has them."""

    matrix = np.round(PlainCodec.matrix / 2**5) * 2**5


class TransposedTransform(PlainCodec):
    """DCT transposed."""

    def forward(self, blocks: Any) -> Any:
        return super().forward(blocks).swapaxes(-1, -2)


class UnnormalizedDc(PlainCodec):
    """DCT without 1/sqrt(2) at DC."""

    def forward(self, blocks: Any) -> Any:
        z = super().forward(blocks)
        z[..., 0, 0] *= np.sqrt(2)
        return z


class HalfUp(PlainCodec):
    """Halves up."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.floor((z + 4 * table) / (8 * table))


class HalfToEven(PlainCodec):
    """Halves to even."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.round(z / (8 * table))


class HalfTowardsZero(PlainCodec):
    """Halves towards zero."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.sign(z) * np.ceil((np.abs(z) - 4 * table) / (8 * table))


class TruncatedLevels(PlainCodec):
    """Levels truncated."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.trunc(z / (8 * table))


class FlooredLevels(PlainCodec):
    """Levels rounded down."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.floor(z / (8 * table))


class DeadZone(PlainCodec):
    """A bin of zero that is a third wider."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.where(np.abs(z) < 8 * table * 2 / 3, 0, super().quantize(z, table))


class NotQuantized(PlainCodec):
    """Not quantized."""

    def quantize(self, z: Any, table: Any) -> Any:
        return z / (8 * table)


class DcNotQuantized(PlainCodec):
    """DC not quantized."""

    def quantize(self, z: Any, table: Any) -> Any:
        levels = super().quantize(z, table)
        levels[..., 0, 0] = z[..., 0, 0] / (8 * table[0, 0])
        return levels


class CutLevels(PlainCodec):
    """Levels of 8 bits."""

    def quantize(self, z: Any, table: Any) -> Any:
        return np.clip(super().quantize(z, table), -128, 127)


class SwappedLevels(PlainCodec):
    """Two neighbours in the zigzag."""

    def order(self, levels: Any, component: int) -> Any:
        levels = levels.copy()
        levels[..., [6, 5], [5, 6]] = levels[..., [5, 6], [6, 5]]
        return levels


class LastLevelLost(PlainCodec):
    """Last level lost."""

    def order(self, levels: Any, component: int) -> Any:
        levels = levels.copy()
        levels[..., 7, 7] = 0
        return levels


class DcOfTheFirstBlock(PlainCodec):
    """Differences of DC that are not added up in Cr."""

    def order(self, levels: Any, component: int) -> Any:
        levels = levels.copy()
        if component == 2:
            levels[1:, ..., 0, 0] -= levels[:-1, ..., 0, 0].copy()
        return levels


class DequantizedTransposed(PlainCodec):
    """Dequantized by the transposed table."""

    def dequantize(self, levels: Any, table: Any) -> Any:
        return levels * table.T


class ReconstructedInside(PlainCodec):
    """A tenth of a step nearer to zero, as some decoders do."""

    def dequantize(self, levels: Any, table: Any) -> Any:
        return (levels - 0.1 * np.sign(levels)) * table


class TruncatedInverse(PlainCodec):
    """Inverse DCT truncated."""

    def inverse(self, z: Any) -> Any:
        columns = np.floor((self.matrix.T @ z) / 2**11)
        return np.floor(columns @ self.matrix / 2**18)


class Smoothed(PlainCodec):
    """A deblocking filter."""

    def saturate(self, samples: Any) -> Any:
        samples = np.clip(samples, 0, 255)
        if samples.shape[1] > 8:
            samples[:, 8] = np.floor((samples[:, 7] + samples[:, 8]) / 2)
        return samples


class ZeroPadding(PlainCodec):
    """Zero padding."""

    def pad(self, plane: Any, rows: int, columns: int) -> Any:
        down, right = -plane.shape[0] % rows, -plane.shape[1] % columns
        return np.pad(plane, ((0, down), (0, right)), constant_values=-128)


class GreyPadding(PlainCodec):
    """Grey padding."""

    def pad(self, plane: Any, rows: int, columns: int) -> Any:
        down, right = -plane.shape[0] % rows, -plane.shape[1] % columns
        return np.pad(plane, ((0, down), (0, right)))


class MirroredPadding(PlainCodec):
    """Mirrored padding."""

    def pad(self, plane: Any, rows: int, columns: int) -> Any:
        down, right = -plane.shape[0] % rows, -plane.shape[1] % columns
        return np.pad(plane, ((0, down), (0, right)), mode="symmetric")


class WholeUnits(PlainCodec):
    """Rows are repeated to whole MCUs before the mean, as no libjpeg does."""

    def reduce(self, plane: Any, v: int, h: int) -> Any:
        return super().reduce(pad_edges(plane, (8 * v, 8 * h)), v, h)


class LateCrop(PlainCodec):
    """Crop from the other end."""

    def crop(self, plane: Any, height: int, width: int) -> Any:
        return plane[-height:, :width]
