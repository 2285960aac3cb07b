"""Pixels in float32 to whole numbers, for the CPU kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels.cpu_jit import jit

_i = np.int32
_u = np.uint8
_f = np.float32
_ZERO, _ONE = _i(0), _i(1)
_LOWEST_VALUE, _HIGHEST_VALUE, _HALF_VALUE = _f(0), _f(255), _f(0.5)
_INFINITY = _f(np.inf)


@jit
def round_pixels(values: NDArray[np.float32], pixels: NDArray[np.uint8]) -> bool:
    """Nearest whole numbers, halves up, saturated to 0..255; False if any value is not finite."""
    bad = _ZERO
    for i in range(values.size):
        x = values[i]
        bad = _i(bad + (_ZERO if abs(x) < _INFINITY else _ONE))  # NaN fails the comparison
        x = x if x > _LOWEST_VALUE else _LOWEST_VALUE
        x = x if x < _HIGHEST_VALUE else _HIGHEST_VALUE
        whole = _i(x)
        pixels[i] = _u(_i(whole + (_ONE if x - _f(whole) >= _HALF_VALUE else _ZERO)))
    return bad == _ZERO
