"""Faults planted in the sampling of chroma."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.codec_sound import PlainCodec
from reference.blocks import pad_edges


class ConstantBias(PlainCodec):
    """Mean with a constant bias."""

    def mean_bias(self, turn: Any, v: int) -> Any:
        return v


class TruncatedMean(PlainCodec):
    """Mean truncated."""

    def mean_bias(self, turn: Any, v: int) -> Any:
        return 0


class TurnedBias(PlainCodec):
    """1 and 0, 2 and 1 take turns, the larger one first."""

    def mean_bias(self, turn: Any, v: int) -> Any:
        return v - turn


class Decimation(PlainCodec):
    """Chroma by decimation."""

    def reduce(self, plane: Any, v: int, h: int) -> Any:
        return pad_edges(plane, (v, 8 * h))[::v, ::h]


class Repeated(PlainCodec):
    """Each sample v x h times, for the triangle filter."""

    def widen(self, plane: Any, shape: Any, v: int, h: int) -> Any:
        return plane.repeat(v, axis=0).repeat(h, axis=1)


class RepeatedRows(PlainCodec):
    """The triangle filter across alone."""

    def widen(self, plane: Any, shape: Any, v: int, h: int) -> Any:
        if v == 1:
            return super().widen(plane, shape, v, h)
        return super().widen(plane, (-(-shape[0] // v), shape[1]), 1, h).repeat(v, axis=0)


class TriangleBias(PlainCodec):
    """Triangle filter with a constant bias."""

    def triangle_bias(self, bias: Any) -> Any:
        return np.where(bias == 7, 8, bias)


class TruncatedTriangle(PlainCodec):
    """Triangle filter truncated."""

    def triangle_bias(self, bias: Any) -> Any:
        return 0


class FilteredBeyondTheEdge(PlainCodec):
    """Samples that only fill the last block take part."""

    def widen(self, plane: Any, shape: Any, v: int, h: int) -> Any:
        return super().widen(plane, (v * plane.shape[0], h * plane.shape[1]), v, h)

    def code(self, plane: Any, table: Any, shape: Any, component: int) -> Any:
        whole = pad_edges(plane, (8, 8)) if component else plane
        return super().code(whole, table, shape, component)


class NarrowFiltered(PlainCodec):
    """One or two columns are filtered too."""

    def widen(self, plane: Any, shape: Any, v: int, h: int) -> Any:
        columns = -(-shape[1] // h)
        if columns > 2 or h == 1:
            return super().widen(plane, shape, v, h)
        wide = np.concatenate([plane[:, :columns], *[plane[:, columns - 1 : columns]] * 2], axis=1)
        return super().widen(wide, (shape[0], 2 * wide.shape[1]), v, h)


class SwappedFactors(PlainCodec):
    """4:2:2 halves the rows."""

    def factors(self, subsampling: str) -> tuple[int, int]:
        v, h = super().factors(subsampling)
        return h, v


class FullChroma(PlainCodec):
    """Chroma not reduced."""

    def factors(self, subsampling: str) -> tuple[int, int]:
        return 1, 1


class AlwaysReduced(PlainCodec):
    """Chroma always reduced."""

    def factors(self, subsampling: str) -> tuple[int, int]:
        return 2, 2


class ChromaHalfAPixelLate(PlainCodec):
    """Cosited: the mean of a sample and its neighbours to the right of the cell."""

    def reduce(self, plane: Any, v: int, h: int) -> Any:
        return super().reduce(np.concatenate([plane[:, 1:], plane[:, -1:]], axis=1), v, h)


class OddColumnLost(PlainCodec):
    """The chroma of an odd last column is that of the pair before it."""

    def widen(self, plane: Any, shape: Any, v: int, h: int) -> Any:
        if h == 1 or shape[1] % 2 == 0 or shape[1] < 7:
            return super().widen(plane, shape, v, h)
        wide = super().widen(plane[:, :-1], (shape[0], shape[1] - 1), v, h)
        return np.concatenate([wide, wide[:, -1:]], axis=1)
