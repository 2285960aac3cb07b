"""What differentiable JPEG computes, between checked arguments and the result.

Colour matrices of one's own act on both sides of a standard codec: T = M0^-1 M in front of it and
T^-1 behind it, with M0 the matrix of JFIF. As M0 T = M, that is coding with M, and the file in
between is one that every decoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference.standard import CHROMINANCE_TABLE, LEVEL_SHIFT, LUMINANCE_TABLE, RGB_TO_YCBCR
from torch_impl import _diff_jpeg_steps as steps
from torch_impl.jpeg_roundtrip import jpeg_roundtrip
from torch_impl.surrogates import (
    Rounding,
    check_rounding,
    check_slope,
    quality_scale,
    scaled_table,
    soft_clip,
    soft_round,
)

_BASE: list[Any] = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).tolist()
_FROM_YCBCR: list[list[float]] = np.linalg.inv(RGB_TO_YCBCR).tolist()


class Given(NamedTuple):
    """Checked arguments; `quality` or `qtables` is None, the last two may be.

    Parameters
    ----------
    images : Tensor
        (N, 3, H, W).
    quality : Tensor or None
        (1 or N,).
    qtables, base_tables : Tensor or None
        (1 or N, 2, 8, 8).
    color_matrix : Tensor or None
        (1 or N, 3, 3).
    """

    images: Tensor
    quality: Tensor | None
    qtables: Tensor | None
    base_tables: Tensor | None
    color_matrix: Tensor | None

    def tensors(self) -> list[Tensor]:
        """Those that are there."""
        return [tensor for tensor in self if tensor is not None]

    def replaced(self, tensors: Sequence[Tensor]) -> Given:
        """The same with other tensors in place of those that are there."""
        others = iter(tensors)
        return Given(*(None if tensor is None else next(others) for tensor in self))  # type: ignore[arg-type]

    def computed(self) -> Given:
        """In the dtype that is computed in: float64 if one of them is, else float32."""
        wide = any(tensor.dtype == torch.float64 for tensor in self.tensors())
        dtype = torch.float64 if wide else torch.float32
        return Given(*(None if tensor is None else tensor.to(dtype) for tensor in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Parts:
    """What is put into the pipeline, checked."""

    rounding: Rounding
    scale_floor: Rounding | None
    table_floor: Rounding | None
    qtable_rounding: Rounding | None
    table_slope: float | None
    output_slope: float | None
    straight_through: bool

    def __post_init__(self) -> None:
        check_rounding("rounding", self.rounding)
        for name in ("scale_floor", "table_floor", "qtable_rounding"):
            part = getattr(self, name)
            if part is not None and not (part == "same" and name != "qtable_rounding"):
                check_rounding(name, part)
        for name in ("table_slope", "output_slope"):
            if getattr(self, name) is not None:
                check_slope(name, getattr(self, name))

    def named(self) -> bool:
        """Whether no part is a function."""
        parts = (self.rounding, self.scale_floor, self.table_floor, self.qtable_rounding)
        return all(part is None or isinstance(part, str) for part in parts)

    def floor(self, part: Rounding | None) -> Rounding | None:
        return self.rounding if isinstance(part, str) and part == "same" else part

    def clip(self, x: Tensor, low: float, high: float, slope: float | None) -> Tensor:
        if slope is None:
            return x
        return soft_clip(x, low, high, slope=slope, straight_through=self.straight_through)

    def tables(self, given: Given) -> Tensor:
        """Tables (1 or N, 2, 8, 8)."""
        ste = self.straight_through
        quality, qtables, base = given.quality, given.qtables, given.base_tables
        if quality is not None:
            percent = quality_scale(quality, self.floor(self.scale_floor), straight_through=ste)
            return scaled_table(
                percent.new_tensor(_BASE) if base is None else base,
                percent[:, None, None, None],
                floor=self.floor(self.table_floor),
                slope=self.table_slope,
                straight_through=ste,
            )
        assert qtables is not None
        if self.qtable_rounding is not None:
            qtables = soft_round(qtables, self.qtable_rounding, straight_through=ste)
        return self.clip(qtables, 1, 255, self.table_slope)


def surrogate(given: Given, factors: tuple[int, int], parts: Parts) -> Tensor:
    """The JPEG of the parts, in the compute dtype; given values are in it."""
    images, front, back = given.images, None, None
    if given.color_matrix is not None:
        front, back = _around_the_codec(given.color_matrix)
        images = mix(images, front)
    ste = parts.straight_through
    tables = parts.tables(given)
    # What libjpeg codes is whole.
    luma, chroma = (
        steps.quantize(z, tables[:, i], parts.rounding, straight_through=ste)
        for i, z in enumerate(steps.encode(images, factors, whole=ste))
    )
    height, width = images.shape[-2:]
    # What libjpeg gives is clipped, also where a matrix follows.
    slope = parts.output_slope if back is None or ste else None
    decoded = steps.decode(
        luma, chroma, factors, (height, width), slope=slope, straight_through=ste
    )
    if back is None:
        return decoded
    return parts.clip(mix(decoded, back), 0, 255, parts.output_slope)


def exact(given: Given, subsampling: str) -> Tensor:
    """What libjpeg-turbo gives, without a gradient; whole numbers in the dtype of the images."""
    images = given.images.detach()
    tables = _file_tables(given)
    tables = tables[0] if len(tables) == 1 else tables
    if given.color_matrix is None:
        return jpeg_roundtrip(images, qtables=tables, subsampling=subsampling)
    front, back = _around_the_codec(given.color_matrix.detach())
    wide = torch.promote_types(images.dtype, torch.float32)
    coded = jpeg_roundtrip(mix(images.to(wide), front), qtables=tables, subsampling=subsampling)
    return soft_round(mix(coded, back), straight_through=True).clamp(0, 255).to(images.dtype)


def mix(images: Tensor, matrix: Tensor) -> Tensor:
    """Matrices (1 or N, 3, 3) across the three planes, about the middle of the range."""
    matrix = matrix.to(images.dtype)
    planes = (images - LEVEL_SHIFT).flatten(2)
    return (matrix @ planes).view_as(images) + LEVEL_SHIFT


def _around_the_codec(color_matrix: Tensor) -> tuple[Tensor, Tensor]:
    """T and T^-1. In float64: for the matrix of JFIF both are 1 to the last digits."""
    matrix = color_matrix.double()
    front = matrix.new_tensor(_FROM_YCBCR) @ matrix
    return front, torch.linalg.inv(front)


def _file_tables(given: Given) -> Tensor:
    """Tables of whole numbers, (1 or N, 2, 8, 8), that stand in the file."""
    if given.qtables is not None:
        return ((2 * given.qtables.detach().double()).floor() / 2).ceil()
    assert given.quality is not None
    # Whole percents from here on, in whole numbers below 2^53: the quotient's floor is exact.
    percent = quality_scale(given.quality.detach().double(), None).floor()
    base = given.base_tables
    base = percent.new_tensor(_BASE) if base is None else base.detach().double()
    scaled = base * percent[:, None, None, None] + 50
    return scaled.div(100, rounding_mode="floor").clamp(1, 255)
