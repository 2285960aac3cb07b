"""Faults planted in the sampling of chroma; they show with 4:2:0 or 4:2:2."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.layer_steps import FaultyLayer
from reference import sampling


class NearestUpsampling(FaultyLayer):
    """Repeats chroma samples."""

    def up(self, x: Any) -> Any:
        return x.repeat(self.factors[0], axis=-2).repeat(self.factors[1], axis=-1)

    def up_adjoint(self, g: Any) -> Any:
        v, h = self.factors
        return sampling.downsample(g, self.factors) * (v * h)


class Decimation(FaultyLayer):
    """Takes the first chroma sample of each cell."""

    def down(self, x: Any) -> Any:
        return x[..., :: self.factors[0], :: self.factors[1]]

    def down_adjoint(self, g: Any) -> Any:
        v, h = self.factors
        result = np.zeros((*g.shape[:-2], v * g.shape[-2], h * g.shape[-1]))
        result[..., ::v, ::h] = g
        return result


class _MatrixUpsampling(FaultyLayer):
    """Interpolates between other places than the centres of the cells."""

    def where(self, coarse: int, factor: int) -> Any:
        raise NotImplementedError

    def _matrices(self, coarse: Any) -> list[Any]:
        found = []
        for side, factor in zip(coarse, self.factors, strict=True):
            grid = np.arange(side)
            places = self.where(side, factor) if factor > 1 else grid
            found.append(np.array([np.interp(places, grid, row) for row in np.eye(side)]).T)
        return found

    def up(self, x: Any) -> Any:
        vertical, horizontal = self._matrices(x.shape[-2:])
        return vertical @ x @ horizontal.T

    def up_adjoint(self, g: Any) -> Any:
        coarse = [side // f for side, f in zip(g.shape[-2:], self.factors, strict=True)]
        vertical, horizontal = self._matrices(coarse)
        return vertical.T @ g @ horizontal


class CositedUpsampling(_MatrixUpsampling):
    """Chroma samples sit on every second pixel."""

    def where(self, coarse: int, factor: int) -> Any:
        return np.arange(factor * coarse) / factor


class AlignedCorners(_MatrixUpsampling):
    """The outermost samples of both grids coincide (align_corners)."""

    def where(self, coarse: int, factor: int) -> Any:
        return np.linspace(0, coarse - 1, factor * coarse)


class SwappedFactors(FaultyLayer):
    """Vertical and horizontal subsampling swapped."""

    def __init__(self, window: int | None, subsampling: str) -> None:
        super().__init__(window, subsampling)
        self.factors = self.factors[::-1]


class FullChroma(FaultyLayer):
    """Does not subsample."""

    def __init__(self, window: int | None, subsampling: str) -> None:
        super().__init__(window, "4:4:4")


class DownForAdjoint(FaultyLayer):
    """The gradient is averaged where the transpose of the interpolation belongs."""

    def up_adjoint(self, g: Any) -> Any:
        return self.down(g)


class UpForAdjoint(FaultyLayer):
    """The gradient is interpolated where the transpose of the mean belongs."""

    def down_adjoint(self, g: Any) -> Any:
        return self.up(g)


class SumForMean(FaultyLayer):
    """The gradient of the mean lacks its factor 1/4."""

    def down_adjoint(self, g: Any) -> Any:
        return super().down_adjoint(g) * self.factors[0] * self.factors[1]
