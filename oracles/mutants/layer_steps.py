"""Faults planted in one step of a layer: each class overrides one of :class:`FaultyLayer`."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference import sampling
from reference.blocks import merge_blocks, pad_edges, pad_edges_adjoint, split_blocks
from reference.compiled import soft_quantize_partials
from reference.standard import DCT_MATRIX, RGB_TO_YCBCR, SUBSAMPLINGS, YCBCR_TO_RGB, ZIGZAG


class FaultyLayer:
    """A correct float64 layer in overridable steps, rounded at the end."""

    forth: Any = RGB_TO_YCBCR
    back: Any = YCBCR_TO_RGB
    dct_matrix: Any = DCT_MATRIX
    shift_in = 128.0
    shift_out = 128.0

    def __init__(self, window: int | None, subsampling: str) -> None:
        self.window = window
        self.factors = SUBSAMPLINGS[subsampling]

    def __call__(self, image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        kind = image.dtype
        image, q, alpha, g = (self.enter(a) for a in (image, q, alpha, grad_output))
        shape = image.shape[-2:]
        values, slopes, tables = [], [], []
        back_g = self.colour_back_adjoint(self.crop_adjoint(g, shape))
        for c, plane in enumerate(self.split(self.colour(self.pad(image) - self.shift_in))):
            gz = self.dct(self.up_adjoint(back_g[:, c : c + 1]) if c else back_g[:, :1])
            q_c, alpha_c = self.tables(c, q, alpha)
            value, dz, dq, dalpha = self.quantize(self.dct(plane), q_c, alpha_c, max_level)
            values.append(self.idct(value))
            slopes.append(self.idct(gz * dz))
            tables.append([self.reduce(gz * part) for part in (dq, dalpha)])
        decoded = [self.up(plane) if c else plane for c, plane in enumerate(values)]
        output = self.colour_back(np.concatenate(decoded, axis=1)) + self.shift_out
        spread = [self.down_adjoint(plane) if c else plane for c, plane in enumerate(slopes)]
        gradient = self.colour_adjoint(np.concatenate(spread, axis=1))
        result = (
            self.crop(output, shape),
            self.pad_adjoint(gradient, shape),
            *(np.array([y, self.join(cb, cr)]) for y, cb, cr in zip(*tables, strict=True)),
        )
        return tuple(np.asarray(part).astype(kind) for part in self.leave(*result))

    def enter(self, a: Any) -> Any:
        return a.astype(np.float64)

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, grad_image, grad_q, grad_alpha

    def mcu(self) -> tuple[int, int]:
        return 8 * self.factors[0], 8 * self.factors[1]

    def pad(self, x: Any) -> Any:
        return pad_edges(x, self.mcu())

    def pad_adjoint(self, g: Any, shape: Any) -> Any:
        return pad_edges_adjoint(g, shape)

    def crop(self, x: Any, shape: Any) -> Any:
        return x[..., : shape[0], : shape[1]]

    def crop_adjoint(self, g: Any, shape: Any) -> Any:
        down, across = (-side % unit for side, unit in zip(shape, self.mcu(), strict=True))
        return np.pad(g, ((0, 0), (0, 0), (0, down), (0, across)))

    def colour(self, x: Any) -> Any:
        return np.einsum("ij,njhw->nihw", self.forth, x)

    def colour_adjoint(self, g: Any) -> Any:
        return np.einsum("ij,nihw->njhw", self.forth, g)

    def colour_back(self, x: Any) -> Any:
        return np.einsum("ij,njhw->nihw", self.back, x)

    def colour_back_adjoint(self, g: Any) -> Any:
        return np.einsum("ij,nihw->njhw", self.back, g)

    def split(self, ycbcr: Any) -> list[Any]:
        return [ycbcr[:, :1], self.down(ycbcr[:, 1:2]), self.down(ycbcr[:, 2:])]

    def down(self, x: Any) -> Any:
        return sampling.downsample(x, self.factors)

    def down_adjoint(self, g: Any) -> Any:
        return sampling.downsample_adjoint(g, self.factors)

    def up(self, x: Any) -> Any:
        return sampling.upsample(x, self.factors)

    def up_adjoint(self, g: Any) -> Any:
        return sampling.upsample_adjoint(g, self.factors)

    def dct(self, plane: Any) -> Any:
        return self.dct_matrix @ split_blocks(plane) @ self.dct_matrix.T

    def idct(self, blocks: Any) -> Any:
        return merge_blocks(self.dct_matrix.T @ blocks @ self.dct_matrix)

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        table = min(component, 1)
        return q[table], alpha[table]

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return soft_quantize_partials(z, q, alpha, max_level=max_level, window=self.window)

    def reduce(self, terms: Any) -> Any:
        return terms.sum(axis=(0, 1, 2, 3))

    def join(self, cb: Any, cr: Any) -> Any:
        return cb + cr


class ZeroPadding(FaultyLayer):
    """Pads with zeros."""

    def pad(self, x: Any) -> Any:
        return self.crop_adjoint(x, x.shape[-2:])

    def pad_adjoint(self, g: Any, shape: Any) -> Any:
        return self.crop(g, shape)


class GreyPadding(ZeroPadding):
    """Pads with grey: zeros after the level shift."""

    def pad(self, x: Any) -> Any:
        return self.crop_adjoint(x - 128.0, x.shape[-2:]) + 128.0


class MirrorPadding(FaultyLayer):
    """Mirrors the image at its edge."""

    def _source(self, shape: Any) -> Any:
        sides = zip(shape, self.mcu(), strict=True)
        grids = [np.arange(side + -side % unit) for side, unit in sides]
        mirrored = [i % (2 * side) for i, side in zip(grids, shape, strict=True)]
        rows, columns = (
            np.where(i < side, i, 2 * side - 1 - i) for i, side in zip(mirrored, shape, strict=True)
        )
        return rows[:, None], columns

    def pad(self, x: Any) -> Any:
        return x[(..., *self._source(x.shape[-2:]))]

    def pad_adjoint(self, g: Any, shape: Any) -> Any:
        result = np.zeros((*g.shape[:2], *shape))
        np.add.at(result, (slice(None), slice(None), *self._source(shape)), g)
        return result


class CentredPadding(FaultyLayer):
    """Puts half of the padding before the image, half behind it."""

    def pad(self, x: Any) -> Any:
        shape = x.shape[-2:]
        shift = [-side % unit // 2 for side, unit in zip(shape, self.mcu(), strict=True)]
        rows, columns = (
            np.clip(np.arange(side + -side % unit) - s, 0, side - 1)
            for side, unit, s in zip(shape, self.mcu(), shift, strict=True)
        )
        return x[..., rows[:, None], columns]


class LateCrop(FaultyLayer):
    """Crops one row late."""

    def crop(self, x: Any, shape: Any) -> Any:
        return super().crop(np.roll(x, -1, axis=-2), shape)


class LostPadding(FaultyLayer):
    """Crops the gradient: what the repeated edges received is lost."""

    def pad_adjoint(self, g: Any, shape: Any) -> Any:
        return self.crop(g, shape)


class NoShift(FaultyLayer):
    """No level shift at all."""

    shift_in = shift_out = 0.0


class HalfShift(FaultyLayer):
    """Level shift of 127.5."""

    shift_in = shift_out = 127.5


class NoShiftIn(FaultyLayer):
    """Level shift on the way back only."""

    shift_in = 0.0


class NoShiftOut(FaultyLayer):
    """Level shift on the way forth only."""

    shift_out = 0.0


class StudioRange(FaultyLayer):
    """Colour matrices of BT.601 in studio range: luma by 219/255, chroma by 224/255."""

    forth = RGB_TO_YCBCR * (np.array([[219.0], [224.0], [224.0]]) / 255)
    back = YCBCR_TO_RGB / (np.array([219.0, 224.0, 224.0]) / 255)


def _colours(red: float, blue: float) -> Any:
    green = 1 - red - blue
    luma = np.array([red, green, blue])
    return np.array(
        [
            luma,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)),
            (np.array([1, 0, 0]) - luma) / (2 * (1 - red)),
        ]
    )


class Bt709(FaultyLayer):
    """Colour matrices of BT.709."""

    forth = _colours(0.2126, 0.0722)
    back = np.linalg.inv(forth)


class PrintedColours(FaultyLayer):
    """Colour coefficients as printed, with four decimals."""

    forth = np.round(RGB_TO_YCBCR, 4)
    back = np.round(YCBCR_TO_RGB, 3)


class TransposedColours(FaultyLayer):
    """Inverse colour matrix transposed."""

    back = YCBCR_TO_RGB.T


class SwappedChroma(FaultyLayer):
    """Cb and Cr swapped on the way back."""

    back = YCBCR_TO_RGB[:, [0, 2, 1]]


class ReversedChannels(FaultyLayer):
    """Reads B, G, R."""

    forth = RGB_TO_YCBCR[:, ::-1]
    back = YCBCR_TO_RGB[::-1]


class InverseForAdjoint(FaultyLayer):
    """The gradient passes the inverse colour matrix where the transposed one belongs."""

    def colour_adjoint(self, g: Any) -> Any:
        return np.einsum("ij,njhw->nihw", self.back, g)


class ForwardForAdjoint(FaultyLayer):
    """The gradient passes the forward colour matrix where the transposed inverse belongs."""

    def colour_back_adjoint(self, g: Any) -> Any:
        return np.einsum("ij,njhw->nihw", self.forth, g)


class LumaTableForAll(FaultyLayer):
    """Chroma is quantized with the luma tables."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return q[0], alpha[0]


class LumaTableForCr(FaultyLayer):
    """Cr is quantized with the luma tables."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return super().tables(component % 2, q, alpha)


class SwappedTables(FaultyLayer):
    """Luma and chroma tables swapped, and their gradients accordingly."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return super().tables(1 - min(component, 1), q, alpha)

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, grad_image, grad_q[::-1], grad_alpha[::-1]


class LumaAlpha(FaultyLayer):
    """Chroma uses the alpha of luma."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return super().tables(component, q, alpha)[0], alpha[0]


class TransposedTables(FaultyLayer):
    """Tables read column by column, and their gradients written so."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return super().tables(component, q.swapaxes(1, 2), alpha.swapaxes(1, 2))

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, grad_image, grad_q.swapaxes(1, 2), grad_alpha.swapaxes(1, 2)


class ZigzagTables(FaultyLayer):
    """Tables taken as if they were in zigzag order, gradients left in natural order."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        found = super().tables(component, q, alpha)
        q_, alpha_ = (t.ravel()[np.argsort(ZIGZAG)].reshape(8, 8) for t in found)
        return q_, alpha_


class UnquantizedDc(FaultyLayer):
    """DC is not quantized."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        value[..., 0, 0] = z[..., 0, 0]
        dz[..., 0, 0] = 1.0
        dq[..., 0, 0] = dalpha[..., 0, 0] = 0.0
        return value, dz, dq, dalpha


class UnnormalizedDc(FaultyLayer):
    """The first row of the DCT lacks 1 / sqrt(2); inverted properly."""

    def dct(self, plane: Any) -> Any:
        matrix = DCT_MATRIX * np.where(np.arange(8) == 0, np.sqrt(2), 1)[:, None]
        return matrix @ split_blocks(plane) @ matrix.T

    def idct(self, blocks: Any) -> Any:
        matrix = DCT_MATRIX / np.where(np.arange(8) == 0, np.sqrt(2), 1)[:, None]
        return merge_blocks(matrix.T @ blocks @ matrix)


class DoubledDct(FaultyLayer):
    """Coefficients twice as large, halved again by the inverse."""

    def dct(self, plane: Any) -> Any:
        return 2 * super().dct(plane)

    def idct(self, blocks: Any) -> Any:
        return super().idct(blocks) / 2


class TransposedDct(FaultyLayer):
    """Both DCT transposed within the block: only the tables notice."""

    def dct(self, plane: Any) -> Any:
        return super().dct(plane).swapaxes(-1, -2)

    def idct(self, blocks: Any) -> Any:
        return super().idct(blocks.swapaxes(-1, -2))


class HalfTransposedDct(FaultyLayer):
    """Transposed within the block on the way back only."""

    def idct(self, blocks: Any) -> Any:
        return super().idct(blocks.swapaxes(-1, -2))


class FixedPointDct(FaultyLayer):
    """DCT coefficients with 10 bits."""

    dct_matrix = np.round(DCT_MATRIX * 1024) / 1024
