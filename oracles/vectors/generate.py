"""How the conformance set is made: inputs drawn, results computed with mpmath.

No code under test has a part in it: expectations come from :mod:`reference.high_precision` and
:mod:`reference.high_precision_layer`, acceptable errors from :mod:`oracles.tolerance` and
:mod:`oracles.layer.bounds`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from oracles.regimes import make_cases
from oracles.subject import Inputs
from oracles.tolerance import ambiguous_windows, tolerances
from oracles.vectors import tables
from oracles.vectors.tables import Array, LayerVector, QuantizerVectors

__all__ = [
    "DIGITS",
    "LAYER_DIGITS",
    "SEED",
    "VERSION",
    "Progress",
    "draw_quantizer",
    "expected_layer",
    "expected_quantizer",
    "layer_tolerances",
    "nearest_double",
    "quantizer_tolerances",
]

#: Called after each vector with how many are done and how many there are.
Progress = Callable[[int, int], None]

#: Of the set: raised when a file changes.
VERSION = "1.0"
SEED = 20260101
#: Decimal digits of the results, before they are rounded to float64.
DIGITS = 40
LAYER_DIGITS = 30

# Elements per regime: (max_level, window) -> count, odd so that 15 regimes make an odd batch.
# Window 0 is the full space; 3 at L = 1, 7 at L = 3 and 255 at L = 127 just fill it.
_GROUPS: dict[tuple[int, int], int] = {
    (1, 0): 5,
    (3, 0): 9,
    (127, 0): 17,
    (1023, 0): 3,
    (1, 3): 3,
    (3, 3): 5,
    (127, 3): 5,
    (3, 5): 9,
    (127, 5): 11,
    (1023, 5): 3,
    (3, 7): 5,
    (127, 7): 5,
    (127, 255): 3,
}

# Bits of a float64 that a drawn number keeps. Those below may differ between maths libraries and
# are replaced by bits of the generator, so that the draw is the same everywhere.
_LOW_BITS = 22


def draw_quantizer() -> QuantizerVectors:
    """Draw the inputs of all quantizer vectors; expectations and tolerances are NaN.

    Returns
    -------
    QuantizerVectors
        Where rounding of z/q may pick either of two windows there is no vector.
    """
    parts = []
    for dtype in ("float32", "float64"):
        for (max_level, window), per_regime in _GROUPS.items():
            rng = np.random.default_rng([SEED, max_level, window, int(dtype[-2:])])
            cases = make_cases(max_level, per_regime=per_regime, dtype=dtype, rng=rng)
            inputs = np.array([_same_everywhere(a, dtype, rng) for a in cases.inputs])
            regimes = cases.regimes
            if window:
                drawn = Inputs(*inputs)
                either, _, _ = ambiguous_windows(
                    drawn.z, drawn.q, max_level=max_level, window=window, dtype=dtype
                )
                inputs, regimes = inputs[:, ~either], regimes[~either]
            count = regimes.size
            parts.append((regimes, [dtype] * count, [max_level] * count, [window] * count, inputs))
    regimes, dtypes, max_levels, windows = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    arrays = np.concatenate([part[4] for part in parts], axis=1)
    count = arrays.shape[1]
    missing = np.full((4, count), np.nan)
    return QuantizerVectors(
        tuple(f"q{number:04d}" for number in range(1, count + 1)),
        regimes=regimes,
        dtypes=dtypes,
        max_levels=max_levels,
        windows=windows,
        inputs=arrays,
        expected=missing,
        tolerances=missing.copy(),
    )


def _same_everywhere(array: Array, dtype: str, rng: np.random.Generator) -> Array:
    """Replace the lowest bits, except of numbers that do without (ties, powers of two, 0)."""
    if dtype == "float32":
        return array  # rounded to 24 bits already
    bits = array.view(np.uint64)
    unit = np.uint64(1 << _LOW_BITS)
    low = rng.integers(0, 1 << _LOW_BITS, array.size, dtype=np.uint64)
    kept = (bits + unit // np.uint64(2)) // unit * unit
    return np.where(bits % unit == 0, bits, kept + low).view(np.float64)


def nearest_double(number: Any) -> float:
    """Round an mpmath number to the nearest float64, subnormal ones included.

    Parameters
    ----------
    number : mpmath.mpf

    Returns
    -------
    float
    """
    sign, mantissa, exponent, bits = number._mpf_
    if exponent + bits < -1100:
        return 0.0
    return float((-1) ** sign * int(mantissa) * Fraction(2) ** exponent)


def expected_quantizer(vectors: QuantizerVectors, i: int) -> list[float]:
    """Compute value, dz, dq and dalpha of one vector in mpmath.

    Parameters
    ----------
    vectors : QuantizerVectors
    i : int
        Position of the vector.

    Returns
    -------
    list of float
        Each the float64 nearest to the exact result.
    """
    from reference.high_precision import soft_quantize_partials

    exact = soft_quantize_partials(
        *(float(x) for x in vectors.inputs[:, i]),
        max_level=int(vectors.max_levels[i]),
        window=int(vectors.windows[i]) or None,
        digits=DIGITS,
    )
    return [nearest_double(part) for part in exact]


def quantizer_tolerances(vectors: QuantizerVectors) -> Array:
    """Largest acceptable errors, as they are written.

    Parameters
    ----------
    vectors : QuantizerVectors

    Returns
    -------
    ndarray, shape (4, n)
    """
    out = np.empty((4, len(vectors.ids)))
    keys = list(zip(vectors.dtypes, vectors.max_levels, vectors.windows, strict=True))
    for dtype, max_level, window in dict.fromkeys(keys):
        chosen = np.array([key == (dtype, max_level, window) for key in keys])
        found = tolerances(
            *vectors.inputs[:, chosen],
            max_level=int(max_level),
            window=int(window) or None,
            dtype=str(dtype),
        )
        out[:, chosen] = np.array(found)
    return _round_up(out)


def expected_layer(vector: LayerVector) -> dict[str, Array]:
    """Compute output and gradients of a layer vector in mpmath.

    Parameters
    ----------
    vector : LayerVector

    Returns
    -------
    dict of str to ndarray
        Each entry the float64 nearest to the exact result.
    """
    from reference.high_precision_layer import jpeg_layer_vjp

    exact = jpeg_layer_vjp(
        *(vector.arrays[name] for name in tables.ARRAYS[:4]),
        max_level=vector.max_level,
        window=vector.window or None,
        subsampling=vector.subsampling,
        digits=LAYER_DIGITS,
    )
    rounded = np.vectorize(nearest_double, otypes=[np.float64])
    return dict(zip(tables.ARRAYS[4:], (rounded(array) for array in exact), strict=True))


def layer_tolerances(vector: LayerVector) -> dict[str, dict[str, Array]]:
    """Largest acceptable errors of a layer vector, as they are written.

    Parameters
    ----------
    vector : LayerVector

    Returns
    -------
    dict of str to dict of str to ndarray
        By dtype and array.
    """
    from oracles.layer.bounds import layer_bounds

    image, q, alpha, grad_output = (vector.arrays[name] for name in tables.ARRAYS[:4])
    found = {}
    for dtype in ("float32", "float64"):
        bounds = layer_bounds(
            image[None],
            q,
            alpha,
            grad_output[None],
            max_level=vector.max_level,
            window=vector.window or None,
            subsampling=vector.subsampling,
            dtype=np.dtype(dtype),
        )
        parts = (bounds.output[0], bounds.gradients[0][0], *bounds.gradients[1:])
        # Positive also where a gradient is zero by necessity.
        tiny = float(np.finfo(np.float64).tiny)
        limits = (_round_up(np.maximum(part, tiny)) for part in parts)
        found[dtype] = dict(zip(tables.ARRAYS[4:], limits, strict=True))
    return found


def _round_up(limits: Array) -> Array:
    """To 9 bits: short, and free of the last bits, in which maths libraries differ."""
    mantissa, exponent = np.frexp(limits)
    return np.asarray(np.ldexp(np.ceil(mantissa * 512), exponent - 9))
