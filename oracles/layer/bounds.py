"""How far a sound JPEG layer and its gradients may be off in a given precision, entry by entry.

Everything but the quantizer is linear, so the errors of a layer are

1. rounding of colour, sampling and DCT on the way to each coefficient: at most e;
2. what the quantizer and its partials do with a coefficient anywhere in [z - e, z + e], by the
   reference, which covers ties and windows that jump in between, plus what a sound quantizer may
   be off by on its own (:mod:`oracles.tolerance`);
3. those errors, passed on by the magnitudes of the weights, and the rounding of what follows.

Worst cases are added up, never averaged: an error that stays inside needs no luck.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.tolerance import tolerances
from reference.blocks import merge_blocks, pad_edges_adjoint
from reference.compiled import soft_quantize_partials
from reference.cpmf import nearest_level
from reference.jpeg_layer import LayerGradients
from reference.layer_steps import analyse, synthesize_adjoint
from reference.sampling import downsample_adjoint, upsample
from reference.standard import DCT_MATRIX, RGB_TO_YCBCR, SUBSAMPLINGS, YCBCR_TO_RGB

__all__ = ["LINEAR", "LayerBounds", "layer_bounds"]

Array = NDArray[np.float64]

#: Rounding of colour, sampling and DCT, forth and back, in units of eps times the largest result
#: (1024 for the coefficients of samples in [-128, 127]). Measured over 200 images of 40 x 40,
#: noise and extremes, float32 and float64: at most 1.5 forth, 0.9 back, and 0.3 for the adjoints
#: in the units used below.
#:
#: What that leaves to whole layers: the eight of oracles/mutants/layer_sound.py, 66 verdicts over
#: both dtypes, all samplings, all levels and windows 3 and 5, no accusation. Worst error in units
#: of the tolerance: output 0.018, grad_image 0.067, grad_q 0.133, grad_alpha 0.101, any other
#: evidence 0.132, a margin of 7 (`python -m tests.oracles.calibrate_layer` measures it again).
LINEAR = 2.0
_LARGEST = 8 * 128.0
# The propagation samples [z - e, z + e] and ignores products of errors.
_SLACK = 1.5
# From a tie of a hard quantizer, where d/dz is steepest, d/dalpha is largest at 0.77 q / h.
_CREST = 0.77


class LayerBounds(NamedTuple):
    """Largest acceptable absolute errors.

    Parameters
    ----------
    output : ndarray, shape (N, 3, H, W)
    gradients : LayerGradients
        Of the shapes of image, q and alpha.
    """

    output: Array
    gradients: LayerGradients


def layer_bounds(
    image: Array,
    q: Array,
    alpha: Array,
    grad_output: Array,
    *,
    max_level: int,
    window: int | None,
    subsampling: str,
    dtype: Any,
) -> LayerBounds:
    """Largest acceptable errors of the output and of the three gradients.

    Parameters
    ----------
    image, grad_output : ndarray of float64, shape (N, 3, H, W)
        RGB in [0, 255], and weights of the output: exactly what the implementation got.
    q, alpha : ndarray of float64, shape (2, 8, 8) or (rounds, 2, 8, 8)
        Positive tables.
    max_level : int
        L.
    window : int or None
        Levels of the masked CPMF; None for the full space.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Chroma subsampling.
    dtype : dtype-like
        float32 or float64: the unit of rounding.

    Returns
    -------
    LayerBounds
        In the units of what they bound, positive but where the gradient is zero by necessity.

    References
    ----------
    JPEG-DL, eq. (5)-(7) and (10), and the chain rule.
    """
    eps = float(np.finfo(dtype).eps)
    factors = SUBSAMPLINGS[subsampling]
    height, width = image.shape[-2:]
    scale = float(np.abs(grad_output).max())
    numbers = tuple(_Numbers(array.tobytes(), array.shape) for array in (image, q, alpha))
    forth = _forth(*numbers, factors, max_level, window, np.dtype(dtype).name)
    grads = synthesize_adjoint(grad_output, factors)

    grad_q, grad_alpha = np.zeros((2, *q.reshape(-1, 2, 8, 8).shape))
    outputs, back = [], []
    for table, (steps, grad) in enumerate(zip(forth, grads, strict=True)):
        outputs.append(merge_blocks(_abs_inverse_dct(steps[-1][1][0])))
        e = np.full(grad.shape, LINEAR * eps * 8 * 3 * scale)
        for step in reversed(range(len(steps))):
            centre, errors = steps[step]
            for total, i in ((grad_q, 2), (grad_alpha, 3)):
                size = np.abs(centre[i])
                terms = np.abs(grad) * errors[i] + e * (size + errors[i])
                # Products, and a sum in any order.
                count = grad[..., 0, 0].size + 2
                terms = terms + count * eps * np.abs(grad) * size
                total[step, table] = terms.sum(axis=(0, 1, 2, 3))
            e = np.abs(grad) * (errors[1] + 2 * eps * centre[1]) + e * (centre[1] + errors[1])
            grad = grad * centre[1]
        back.append(merge_blocks(_abs_inverse_dct(e)))

    rounding = LINEAR * eps * _LARGEST
    ycbcr = np.concatenate([outputs[0], upsample(outputs[1], factors)], axis=1)
    output = _mixed(ycbcr, YCBCR_TO_RGB)[..., :height, :width] + rounding
    ycbcr = np.concatenate([back[0], downsample_adjoint(back[1], factors)], axis=1)
    image_error = pad_edges_adjoint(_mixed(ycbcr, RGB_TO_YCBCR.T), (height, width))
    # The edge pixels gather what was padded: at most a whole MCU of gradients.
    gathered = pad_edges_adjoint(np.ones_like(ycbcr), (height, width))
    image_error = image_error + rounding / 16 * scale * gathered
    gradients = LayerGradients(
        image_error, grad_q.reshape(q.shape), grad_alpha.reshape(alpha.shape)
    )
    return LayerBounds(output, gradients)


class _Numbers(NamedTuple):
    """An array of float64 as something that a cache can look up."""

    content: bytes
    shape: tuple[int, ...]

    def array(self) -> Array:
        return np.frombuffer(self.content).reshape(self.shape)


# Of one round: value and partials, and what they may be off by; both (4, N, C, rows, columns, 8, 8)
_Step = tuple[Array, Array]


@lru_cache(maxsize=8)
def _forth(
    image: _Numbers,
    q: _Numbers,
    alpha: _Numbers,
    factors: tuple[int, int],
    max_level: int,
    window: int | None,
    dtype: str,
) -> list[list[_Step]]:
    """Results and errors of the quantizer, for luma and chroma, round by round.

    They do not depend on the weights of the output: many calls with other weights cost little.
    """
    eps = float(np.finfo(dtype).eps)
    support: dict[str, Any] = {"max_level": max_level, "window": window}
    tables = [numbers.array().reshape(-1, 2, 8, 8) for numbers in (q, alpha)]
    found = []
    for table, start in enumerate(analyse(image.array(), factors)):
        z, e = start, np.full(start.shape, LINEAR * eps * _LARGEST)
        steps: list[_Step] = []
        for q_step, alpha_step in zip(*(rounds[:, table] for rounds in tables), strict=True):
            centre = np.array(soft_quantize_partials(z, q_step, alpha_step, **support))
            moved = _movement(z, e, q_step, alpha_step, centre, support)
            own = tolerances(z, q_step, alpha_step, **support, dtype=dtype)
            errors = _SLACK * moved + np.array(own)
            steps.append((centre, errors))
            z, e = centre[0], errors[0]
        found.append(steps)
    return found


def _movement(
    z: Array, e: Array, q: Array, alpha: Array, centre: Array, support: dict[str, Any]
) -> Array:
    """How far value and partials may move while the coefficient moves by up to e, (4, ...)."""
    level, distance = nearest_level(z, q, support["max_level"])
    tie = z - distance + np.where(distance < 0, -0.5, 0.5) * q
    crest = _CREST / (alpha * q)
    moved = np.zeros_like(centre)
    # The ends, half-way, and, where they are within reach, the level, the tie and its flanks:
    # a hard quantizer may peak between the ends.
    for place in (z - e, z - e / 2, z + e / 2, z + e, level * q, tie, tie - crest, tie + crest):
        there = np.clip(place, z - e, z + e)
        found = np.array(soft_quantize_partials(there, q, alpha, **support))
        np.maximum(moved, np.abs(found - centre), out=moved)
    return moved


def _abs_inverse_dct(blocks: Array) -> Array:
    matrix = np.abs(DCT_MATRIX)
    return np.asarray(matrix.T @ blocks @ matrix)


def _mixed(planes: Array, matrix: Array) -> Array:
    return np.asarray(np.einsum("ij,njhw->nihw", np.abs(matrix), planes))
