"""Hypothesis strategies that the rooms' tests share: points where soft quantizers break."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Points(NamedTuple):
    """A batch of inputs and the support: all arrays of one length, exact in the asked dtype."""

    z: Array
    q: Array
    alpha: Array
    max_level: int
    window: int | None

    @property
    def support(self) -> dict[str, int | None]:
        return {"max_level": self.max_level, "window": self.window}


seeds = st.integers(0, 2**32 - 1)
max_levels = st.sampled_from([1, 2, 3, 7, 127, 1023])
log_uniform_h = st.floats(-6, 6).map(lambda x: 10.0**x)
# The paper's settings, the crossover of the constant-cost form, and where float32 reaches 30.
notable_h = st.sampled_from([0.05, 0.7, 1.0, math.pi, np.nextafter(math.pi, 4), 5.0])
hardnesses = st.one_of(log_uniform_h, notable_h)
steps = st.one_of(
    st.floats(-5, 2.4).map(lambda x: 10.0**x),
    st.integers(-16, 7).map(lambda x: 2.0**x),
    st.just(1.0),
)


@st.composite
def windows(draw: st.DrawFn, max_level: int) -> int | None:
    """Full space, the windows of practice, and all 2L+1 levels."""
    widths = [w for w in (3, 5, 7) if w <= 2 * max_level + 1]
    everything = [2 * max_level + 1] if max_level <= 127 else []
    return draw(st.sampled_from([None, *sorted({*widths, *everything})]))


@st.composite
def ratios(draw: st.DrawFn, max_level: int) -> float:
    """c = z/q: inside, on ties, on levels, at the ends, and up to a million times outside."""
    sign = draw(st.sampled_from([1.0, -1.0]))
    kind = draw(st.sampled_from(["inside", "tie", "level", "end", "saturated", "origin"]))
    if kind == "origin":
        return sign * draw(st.sampled_from([0.0, 1e-300, 1e-8, 1e-3]))
    if kind == "end":
        return sign * (max_level + draw(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, -0.3, 0.2])))
    if kind == "saturated":
        return sign * max_level * 10.0 ** draw(st.floats(0, 6))
    level = float(draw(st.integers(0, max_level)))
    if kind == "inside":
        level += draw(st.floats(-0.5, 0.5))
    elif kind == "tie":
        level += 0.5
    return sign * level


@st.composite
def points(
    draw: st.DrawFn,
    *,
    levels: st.SearchStrategy[int] = max_levels,
    dtype: str = "float64",
    max_size: int = 8,
) -> Points:
    """Batches over q in [1e-5, 255], h in [1e-6, 1e6] and every kind of ratio."""
    max_level = draw(levels)
    window = draw(windows(max_level))
    point = st.tuples(ratios(max_level), steps, hardnesses)
    c, q, h = np.array(draw(st.lists(point, min_size=1, max_size=max_size))).T
    z, q, alpha = (a.astype(dtype).astype(np.float64) for a in (c * q, q, h / q**2))
    return Points(z, q, alpha, max_level, window)
