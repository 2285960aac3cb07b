"""Faulty layers: the quantizer within, precision, reductions, results."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.layer_steps import FaultyLayer
from reference.blocks import split_blocks
from reference.compiled import soft_quantize_partials
from reference.cpmf import hard_quantize
from reference.standard import DCT_MATRIX


class StraightThrough(FaultyLayer):
    """The gradient passes the quantizer as if it were not there."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        return value, np.ones_like(dz), dq, dalpha


class HardGradients(FaultyLayer):
    """Gradients of the hard quantizer: nothing but the level, for q."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, _, dalpha = super().quantize(z, q, alpha, max_level)
        level = hard_quantize(z, q, max_level=max_level) / q
        return value, np.zeros_like(dz), level, np.zeros_like(dalpha)


class HardQuantizer(HardGradients):
    """Rounds, in both directions."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        _, dz, level, dalpha = super().quantize(z, q, alpha, max_level)
        return level * q, dz, level, dalpha


class WrongSignOfAlpha(FaultyLayer):
    """Gradient of alpha with the wrong sign."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        return value, dz, dq, -dalpha


class NoReconstructionInDq(FaultyLayer):
    """d/dq through the probabilities only: the reconstruction i q is held fixed."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        return value, dz, dq - value / q, dalpha


class AlphaTimesQ(FaultyLayer):
    """Exponent with alpha q instead of alpha q^2."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return super().quantize(z, q, alpha / q, max_level)


class WindowIgnored(FaultyLayer):
    """All levels, whatever the window."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return soft_quantize_partials(z, q, alpha, max_level=max_level)


class WindowForAll(FaultyLayer):
    """A window of three levels instead of what was asked for."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return soft_quantize_partials(z, q, alpha, max_level=max_level, window=3)


class LateWindow(FaultyLayer):
    """The window is centred on the level below (floor instead of round)."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        assert self.window is not None
        half = self.window // 2
        centre = np.clip(np.floor(z / q), half - max_level, max_level - half)
        inner = soft_quantize_partials(z - centre * q, q, alpha, max_level=half)
        dq = centre + inner.dq - centre * inner.dz
        return centre * q + inner.value, inner.dz, dq, inner.dalpha


class NoSaturation(FaultyLayer):
    """The index set has no ends."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return super().quantize(z, q, alpha, 10**6)


class OneLevelMore(FaultyLayer):
    """Levels to 2^(b-1) instead of 2^(b-1) - 1."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return super().quantize(z, q, alpha, max_level + 1)


class ClampedLevels(FaultyLayer):
    """Right value, but no gradient for q where the coefficient saturates."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        return value, dz, np.where(abs(z / q) > max_level, 0.0, dq), dalpha


class MeanOverBlocks(FaultyLayer):
    """Gradients of the tables averaged over blocks and images."""

    def reduce(self, terms: Any) -> Any:
        return terms.mean(axis=(0, 1, 2, 3))


class MeanOverBatch(FaultyLayer):
    """Gradients of the tables averaged over the images."""

    def reduce(self, terms: Any) -> Any:
        return super().reduce(terms) / len(terms)


class LastImageOnly(FaultyLayer):
    """Gradients of the tables overwritten by each image."""

    def reduce(self, terms: Any) -> Any:
        return super().reduce(terms[-1:])


class FirstRowOnly(FaultyLayer):
    """Gradients of the tables from the first row of blocks."""

    def reduce(self, terms: Any) -> Any:
        return super().reduce(terms[:, :, :1])


class LastBlockMissing(FaultyLayer):
    """One block too few in the gradients of the tables."""

    def reduce(self, terms: Any) -> Any:
        last = terms[-1:, :, -1:, -1:]
        return super().reduce(terms) - super().reduce(last)


class NoCr(FaultyLayer):
    """Gradients of the chroma tables without Cr."""

    def join(self, cb: Any, cr: Any) -> Any:
        return cb


class Float16Sums(FaultyLayer):
    """Gradients of the tables added up in float16."""

    def reduce(self, terms: Any) -> Any:
        flat = terms.reshape(-1, 8, 8)
        total = np.zeros((8, 8), np.float16)
        with np.errstate(over="ignore"):
            for block in flat:
                total = (total + block).astype(np.float16)
        return total.astype(np.float64)


class SwappedGradients(FaultyLayer):
    """Gradients of luma and chroma tables swapped."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, grad_image, grad_q[::-1], grad_alpha[::-1]


class TransposedGradients(FaultyLayer):
    """Gradients of the tables column by column."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, grad_image, grad_q.swapaxes(1, 2), grad_alpha.swapaxes(1, 2)


class Clipped(FaultyLayer):
    """Clips the output to [0, 255]."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return np.clip(output, 0, 255), grad_image, grad_q, grad_alpha


class Rounded(FaultyLayer):
    """Rounds the output to whole numbers."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return np.round(output), grad_image, grad_q, grad_alpha


class RoundedInput(FaultyLayer):
    """Rounds the image to eight bits first."""

    def pad(self, x: Any) -> Any:
        return super().pad(np.round(x))


class NormedGradient(FaultyLayer):
    """Limits the gradient of the image to [-1, 1]."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output, np.clip(grad_image, -1, 1), grad_q, grad_alpha


class IgnoredWeights(FaultyLayer):
    """Gradients of the plain sum of the output."""

    def crop_adjoint(self, g: Any, shape: Any) -> Any:
        return super().crop_adjoint(np.ones_like(g), shape)


class WeightsBeyondTheEdge(FaultyLayer):
    """The gradient does not end where the output was cropped: weights are repeated."""

    def crop_adjoint(self, g: Any, shape: Any) -> Any:
        return self.pad(g)


class WrittenInput(FaultyLayer):
    """Shifts the image in place."""

    def __call__(self, image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        result = super().__call__(image, q, alpha, grad_output, max_level)
        image -= image.dtype.type(128)
        return result


class RawPointer(FaultyLayer):
    """Reads arrays as if they were contiguous."""

    def enter(self, a: Any) -> Any:
        steps = np.cumprod([1, *a.shape[:0:-1]])[::-1] * a.itemsize
        return np.lib.stride_tricks.as_strided(a, a.shape, steps).astype(np.float64)


class Remembers(FaultyLayer):
    """Base of layers that keep something from call to call."""

    def __init__(self, window: int | None, subsampling: str) -> None:
        super().__init__(window, subsampling)
        self.kept: dict[Any, Any] = {}


class StaleOutput(Remembers):
    """Hands out the output buffer of the previous call of that size."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        previous = self.kept.get(output.shape, output)
        self.kept[output.shape] = output
        return previous, grad_image, grad_q, grad_alpha


class Accumulates(Remembers):
    """Never clears the gradients of the tables."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        total = self.kept.get("tables", 0.0) + np.array([grad_q, grad_alpha])
        self.kept["tables"] = total
        return output, grad_image, *total


class CachedTables(Remembers):
    """Keeps the tables of the first call."""

    def tables(self, component: int, q: Any, alpha: Any) -> tuple[Any, Any]:
        return super().tables(component, *self.kept.setdefault("tables", (q, alpha)))


class Jitter(Remembers):
    """Another last bit on every call: a race."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        rng = self.kept.setdefault("rng", np.random.default_rng(0))
        noise = rng.choice([0.0, 1e-7], output.shape)
        return output * (1 + noise), grad_image, grad_q, grad_alpha


class _Unwritten(FaultyLayer):
    """Base of layers that leave a part of their output as the memory was."""

    part: Any = None
    row = 0

    def __call__(self, *arguments: Any) -> Any:
        result = list(super().__call__(*arguments))
        fresh = np.empty_like(result[self.row])
        written = np.ones(fresh.shape, dtype=bool)
        written[self.part] = False
        np.copyto(fresh, result[self.row], where=written)
        result[self.row] = fresh
        return tuple(result)


class LastImageUnwritten(_Unwritten):
    """The last image is never written."""

    part = np.s_[-1:]


class LastColumnUnwritten(_Unwritten):
    """The last column of the image gradient is never written."""

    part = np.s_[..., -1]
    row = 1


class LastEntryUnwritten(_Unwritten):
    """The last entry of the chroma gradient is never written."""

    part = np.s_[1, 7, 7]
    row = 2


class FirstImageForAll(FaultyLayer):
    """Every image gets the output of the first."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return np.broadcast_to(output[:1], output.shape), grad_image, grad_q, grad_alpha


class BatchLeak(FaultyLayer):
    """A little of each image goes into the next."""

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return output + 1e-3 * np.roll(output, 1, axis=0), grad_image, grad_q, grad_alpha


class SinglePrecision(FaultyLayer):
    """Claims float64, computes in float32."""

    def enter(self, a: Any) -> Any:
        return a.astype(np.float32)

    def leave(self, output: Any, grad_image: Any, grad_q: Any, grad_alpha: Any) -> Any:
        return tuple(a.astype(np.float32) for a in (output, grad_image, grad_q, grad_alpha))


class NanWhenSaturated(FaultyLayer):
    """0 / 0 where all weights underflow."""

    def quantize(self, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, dq, dalpha = super().quantize(z, q, alpha, max_level)
        lost = alpha * (abs(z) - max_level * q).clip(0) ** 2 > 745
        return np.where(lost, np.nan, value), dz, dq, dalpha


def _coarse(x: Any, bits: int) -> Any:
    """Round to a mantissa of so many bits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


class Float16Dct(FaultyLayer):
    """DCT on float16 samples, with coefficients in float16."""

    bits = 11

    def dct(self, plane: Any) -> Any:
        return _coarse(super().dct(_coarse(plane, self.bits)), self.bits)


class Bfloat16Dct(Float16Dct):
    """DCT on bfloat16 samples."""

    bits = 8


class Tf32Dct(FaultyLayer):
    """Matrix products on operands of 11 bits, as tensor cores have them by default."""

    def dct(self, plane: Any) -> Any:
        matrix = _coarse(DCT_MATRIX, 11)
        half = matrix @ _coarse(split_blocks(plane), 11)
        return _coarse(half, 11) @ matrix.T
