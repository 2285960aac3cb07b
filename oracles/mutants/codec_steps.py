"""Faults planted in tables, colours and pixels: each class overrides a step of a codec."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.codec_sound import PlainCodec
from reference.standard import ZIGZAG, annex_k_tables


class TransposedTables(PlainCodec):
    """Tables transposed."""

    def stored(self, tables: Any) -> Any:
        return tables.swapaxes(-1, -2)


class ZigzagTables(PlainCodec):
    """Tables in zigzag order."""

    def stored(self, tables: Any) -> Any:
        return tables.reshape(2, 64)[:, ZIGZAG].reshape(2, 8, 8)


class LumaTableForAll(PlainCodec):
    """Luma table for chroma."""

    def stored(self, tables: Any) -> Any:
        return tables[[0, 0]]


class SwappedTables(PlainCodec):
    """Luma and chroma tables swapped."""

    def stored(self, tables: Any) -> Any:
        return tables[::-1]


class TransposedOwnTables(PlainCodec):
    """Own tables transposed."""

    def own(self, tables: Any) -> Any:
        return tables.swapaxes(-1, -2)


class OwnTablesIgnored(PlainCodec):
    """Own tables ignored."""

    def own(self, tables: Any) -> Any:
        return annex_k_tables(75)


class OwnTablesInAByte(PlainCodec):
    """Signed: steps of 128 and more become negative."""

    def own(self, tables: Any) -> Any:
        return np.maximum(tables.astype(np.int8), 1).astype(np.int64)


class WrongEntry(PlainCodec):
    """A wrong entry for luma."""

    bases = PlainCodec.bases - 9 * (np.arange(128).reshape(2, 8, 8) == 29)


class WrongChromaEntry(PlainCodec):
    """A wrong entry for chroma."""

    bases = PlainCodec.bases + 19 * (np.arange(128).reshape(2, 8, 8) == 64 + 24)


class RealScale(PlainCodec):
    """5000 / quality, not rounded down."""

    def percent(self, quality: int) -> Any:
        return 5000 / quality if quality < 50 else 200 - 2 * quality


class OneBranch(PlainCodec):
    """Scale of high qualities for all."""

    def percent(self, quality: int) -> Any:
        return 200 - 2 * quality


class OtherBranch(PlainCodec):
    """Scale of low qualities for all."""

    def percent(self, quality: int) -> Any:
        return 5000 // quality


class FloorOfTables(PlainCodec):
    """Scaled tables rounded down."""

    def scaled(self, quality: int) -> Any:
        return self.limited(self.bases * self.percent(quality) // 100)


class CeilingOfTables(PlainCodec):
    """Scaled tables rounded up."""

    def scaled(self, quality: int) -> Any:
        return self.limited(-(-self.bases * self.percent(quality) // 100))


class NoUpperLimit(PlainCodec):
    """Steps beyond 255."""

    def limited(self, tables: Any) -> Any:
        return np.maximum(tables, 1)


class SignedLimit(PlainCodec):
    """Steps up to 127."""

    def limited(self, tables: Any) -> Any:
        return np.clip(tables, 1, 127)


class LowerLimitTwo(PlainCodec):
    """Steps of 2 and more."""

    def limited(self, tables: Any) -> Any:
        return np.clip(tables, 2, 255)


class StepsOfZero(PlainCodec):
    """Steps of 0 drop the coefficient."""

    def limited(self, tables: Any) -> Any:
        return np.where(tables == 0, 2**14, np.minimum(tables, 255))


class Quality100As99(PlainCodec):
    """Quality 100 as 99."""

    def percent(self, quality: int) -> Any:
        return super().percent(min(quality, 99))


class Quality37As38(PlainCodec):
    """Quality 37 as 38."""

    def percent(self, quality: int) -> Any:
        return super().percent(38 if quality == 37 else quality)


class Bt709(PlainCodec):
    """BT.709 colours."""

    forth = np.array([[13933, 46871, 4732], [-7509, -25259, 32768], [32768, -29763, -3005]])


class CoarseColours(PlainCodec):
    """Constants of 8 bits."""

    forth = np.round(PlainCodec.forth / 256) * 256


class CoarseColoursBack(PlainCodec):
    """Colours back in 6 bits."""

    back = np.round(PlainCodec.back / 1024) * 1024


class TruncatedLuma(PlainCodec):
    """Luma truncated."""

    forth_half = np.array([0, 32767, 32767])


class TruncatedChroma(PlainCodec):
    """Chroma truncated."""

    forth_half = np.array([32768, 0, 0])


class WrappedChroma(PlainCodec):
    """Halves go up, and 256 wraps."""

    forth_half = np.array([32768, 32768, 32768])

    def samples(self, planes: Any) -> Any:
        return planes % 256


class SwappedChroma(PlainCodec):
    """Cb and Cr swapped on the way back."""

    back = PlainCodec.back[:, ::-1]


class ReversedChannels(PlainCodec):
    """Channels in the order B, G, R."""

    forth = PlainCodec.forth[:, ::-1]


class TruncatedColours(PlainCodec):
    """Colours back truncated."""

    back_half = 0


class WrongSignInGreen(PlainCodec):
    """Wrong sign in green."""

    back = PlainCodec.back * np.array([[1, 1], [-1, 1], [1, 1]])


class Shift127(PlainCodec):
    """Before the transform; 128 after it."""

    def forward(self, blocks: Any) -> Any:
        return super().forward(blocks + 1)


class NoShift(PlainCodec):
    """Coefficients of 0..255."""

    def forward(self, blocks: Any) -> Any:
        return super().forward(blocks + 128)

    def inverse(self, z: Any) -> Any:
        return super().inverse(z) - 128


class WrappedPixels(PlainCodec):
    """Pixels wrap."""

    def whole(self, pixels: Any) -> Any:
        return (pixels % 256).astype(np.uint8)


class UnclippedPixels(PlainCodec):
    """Pixels not cut off."""

    def whole(self, pixels: Any) -> Any:
        return pixels.astype(np.float64)


class NarrowRange(PlainCodec):
    """Pixels in 16..235."""

    def whole(self, pixels: Any) -> Any:
        return np.clip(pixels, 16, 235).astype(np.uint8)


class SignedSamples(PlainCodec):
    """Samples are not saturated before colour conversion."""

    def saturate(self, samples: Any) -> Any:
        return samples


class WrappedSamples(PlainCodec):
    """Samples wrap."""

    def saturate(self, samples: Any) -> Any:
        return samples % 256
