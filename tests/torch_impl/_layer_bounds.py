"""How far the layer and its gradient may be off in a given precision, pixel by pixel.

First-order propagation from the reference: a coefficient that is off by e moves the quantizer
and its partial derivatives by what the reference says at z - e and z + e (which covers a window
that jumps in between), plus the tolerance of the quantizer itself. All else is linear, and its
errors are passed on by the magnitudes of the weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.tolerance import tolerances
from reference.blocks import merge_blocks, pad_edges_adjoint
from reference.compiled import soft_quantize_partials
from reference.jpeg_layer import LayerGradients, _analyse, _synthesize_adjoint
from reference.sampling import downsample_adjoint, upsample
from reference.standard import DCT_MATRIX, RGB_TO_YCBCR, SUBSAMPLINGS, YCBCR_TO_RGB

Array = NDArray[np.float64]

# Rounding of colour, sampling and DCT, forth and back, in units of eps times the largest result
# (1024 for the coefficients of samples in [-128, 127]). Measured over 200 images of 40 x 40,
# noise and extremes, float32 and float64: at most 1.5 forth, 0.9 back, and 0.3 for the adjoints
# in the units used below.
LINEAR = 2.0
_LARGEST = 8 * 128.0
# The propagation is first order.
_SLACK = 1.5


class LayerBounds(NamedTuple):
    output: Array
    gradients: LayerGradients


def _abs_inverse_dct(blocks: Array) -> Array:
    matrix = np.abs(DCT_MATRIX)
    return matrix.T @ blocks @ matrix


def _mixed(planes: Array, matrix: Array) -> Array:
    return np.einsum("ij,njhw->nihw", np.abs(matrix), planes)


def layer_bounds(
    image: Array,
    q: Array,
    alpha: Array,
    grad_output: Array,
    *,
    max_level: int,
    window: int | None,
    subsampling: str,
    dtype: str,
) -> LayerBounds:
    """Largest acceptable errors of the output and of the three gradients."""
    eps = float(np.finfo(dtype).eps)
    factors = SUBSAMPLINGS[subsampling]
    support = {"max_level": max_level, "window": window}
    tables_q, tables_alpha = q.reshape(-1, 2, 8, 8), alpha.reshape(-1, 2, 8, 8)
    size = image.shape[-2:]
    scale = float(np.abs(grad_output).max())
    start = _analyse(image, factors)
    grads = _synthesize_adjoint(grad_output, factors)

    grad_q, grad_alpha = np.zeros((2, *tables_q.shape))
    outputs, back = [], []
    for table, (z, grad) in enumerate(zip(start, grads, strict=True)):
        e = np.full(z.shape, LINEAR * eps * _LARGEST)
        steps = []
        for q_step, alpha_step in zip(tables_q[:, table], tables_alpha[:, table], strict=True):
            centre, low, high = (
                np.array(soft_quantize_partials(x, q_step, alpha_step, **support))
                for x in (z, z - e, z + e)
            )
            moved = np.maximum(np.abs(low - centre), np.abs(high - centre))
            own = tolerances(z, q_step, alpha_step, **support, dtype=dtype)
            errors = _SLACK * moved + np.array(own)
            steps.append((centre, errors))
            z, e = centre[0], errors[0]
        outputs.append(merge_blocks(_abs_inverse_dct(e)))

        e = np.full(z.shape, LINEAR * eps * 8 * 3 * scale)
        for step in reversed(range(len(steps))):
            centre, errors = steps[step]
            for total, i in ((grad_q, 2), (grad_alpha, 3)):
                size_i = np.abs(centre[i])
                terms = np.abs(grad) * errors[i] + e * (size_i + errors[i])
                # Products, and a sum in any order.
                count = grad[..., 0, 0].size + 2
                terms = terms + count * eps * np.abs(grad) * size_i
                total[step, table] = terms.sum(axis=(0, 1, 2, 3))
            e = np.abs(grad) * (errors[1] + 2 * eps * centre[1]) + e * (centre[1] + errors[1])
            grad = grad * centre[1]
        back.append(merge_blocks(_abs_inverse_dct(e)))

    rounding = LINEAR * eps * _LARGEST
    ycbcr = np.concatenate([outputs[0], upsample(outputs[1], factors)], axis=1)
    output = _mixed(ycbcr, YCBCR_TO_RGB)[..., : size[0], : size[1]] + rounding
    ycbcr = np.concatenate([back[0], downsample_adjoint(back[1], factors)], axis=1)
    image_error = pad_edges_adjoint(_mixed(ycbcr, RGB_TO_YCBCR.T), size)
    # The edge pixels gather what was padded: at most a whole MCU of gradients.
    gathered = pad_edges_adjoint(np.ones_like(ycbcr), size)
    image_error = image_error + rounding / 16 * scale * gathered
    gradients = LayerGradients(
        image_error, grad_q.reshape(q.shape), grad_alpha.reshape(alpha.shape)
    )
    return LayerBounds(output, gradients)
