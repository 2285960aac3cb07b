"""A layer by its definition: eq. (5) summed over the levels themselves, without the reference.

Slow and plain, for small images of whole MCUs: the second opinion on support, index set and
partials of the quantizer within a layer.
"""

from __future__ import annotations

import numpy as np

from oracles.layer.by_hand import Planes, decode, decode_adjoint, encode, encode_adjoint
from oracles.layer.cases import draw_grad_output, draw_image
from oracles.layer.subject import (
    Array,
    LayerCase,
    LayerFindings,
    LayerInputs,
    LayerResult,
    LayerSubject,
)

__all__ = ["check_definition"]

# L, range of q, range of h: inside the index set, at its ends, and soft enough for the window.
_REGIMES = {
    "inside": (31, (20.0, 80.0), (0.3, 3.0)),
    "ends": (2, (3.0, 100.0), (0.5, 5.0)),
    "hard": (15, (10.0, 90.0), (3.0, 60.0)),
}


def check_definition(subject: LayerSubject, out: LayerFindings, rng: np.random.Generator) -> None:
    """Compare with the definition, written out in float64.

    Parameters
    ----------
    subject : LayerSubject
        The layer under test.
    out : LayerFindings
        Gets the checks, evidence ``"definition"``.
    rng : numpy.random.Generator
        Of the inputs.

    References
    ----------
    JPEG-DL, eq. (5)-(7); partials by differentiating them under the sum.
    """
    vertical, horizontal = subject.factors
    for name, (level, steps, hardness) in _REGIMES.items():
        image = draw_image(rng, (1, 3, 8 * vertical, 16 * horizontal))
        q = subject.round(rng.uniform(*steps, (2, 8, 8)))
        h = np.exp(rng.uniform(np.log(hardness[0]), np.log(hardness[1]), (2, 8, 8)))
        inputs = LayerInputs(image, q, subject.round(h / q**2), draw_grad_output(rng, image))
        max_level = level if subject.window is None else max(level, subject.window // 2)
        case = LayerCase(name, inputs, max_level)
        out.compare(
            "definition",
            case,
            got=subject(case),
            expected=_layer(case, subject),
            tolerance=subject.tolerance(case),
        )


def _layer(case: LayerCase, subject: LayerSubject) -> LayerResult:
    image, q, alpha, g = case.inputs
    weights = decode_adjoint(g, subject.factors)
    values, slopes, grad_q, grad_alpha = [], [], [], []
    for table, (z, gz) in enumerate(zip(encode(image, subject.factors), weights, strict=True)):
        value, dz, dq, dalpha = _quantizer(
            z, q[table], alpha[table], case.max_level, subject.window
        )
        values.append(value)
        slopes.append(gz * dz)
        grad_q.append((gz * dq).sum(axis=(0, 1, 2, 3)))
        grad_alpha.append((gz * dalpha).sum(axis=(0, 1, 2, 3)))
    return LayerResult(
        decode(Planes(*values), subject.factors),
        encode_adjoint(Planes(*slopes), subject.factors),
        np.array(grad_q),
        np.array(grad_alpha),
    )


def _quantizer(
    z: Array, q: Array, alpha: Array, max_level: int, window: int | None
) -> tuple[Array, Array, Array, Array]:
    """Expectation of the levels under eq. (5) and its partial derivatives.

    With V = iq and U = -alpha (z - V)^2, d E[V] is the covariance of V with dU, plus E[dV].
    """
    if window is None:
        levels = np.arange(-max_level, max_level + 1.0) + np.zeros((*z.shape, 1))
    else:
        nearest = np.clip(np.floor(z / q + 0.5), -max_level, max_level)
        first = np.clip(nearest - window // 2, -max_level, max_level - window + 1)
        levels = first[..., None] + np.arange(float(window))
    v = levels * q[..., None]
    gap = z[..., None] - v
    exponent = -alpha[..., None] * gap**2
    p = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    value = (p * v).sum(axis=-1)
    spread = p * (v - value[..., None])
    dz = (spread * -2 * alpha[..., None] * gap).sum(axis=-1)
    dq = (spread * 2 * alpha[..., None] * gap * levels).sum(axis=-1) + (p * levels).sum(axis=-1)
    dalpha = (spread * -(gap**2)).sum(axis=-1)
    return value, dz, dq, dalpha
