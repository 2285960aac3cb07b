"""Inputs of the layer vectors: small pictures, tables and weights, drawn from integers alone.

No maths library has a part in them, so that they are the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oracles.vectors.tables import Array, LayerVector

__all__ = ["draw_layer"]


class _Case(NamedTuple):
    """Steps q in [q_low, q_high], h = alpha q^2 in [h_low, h_high]."""

    name: str
    height: int
    width: int
    subsampling: str
    max_level: int
    window: int
    q: tuple[float, float]
    h: tuple[float, float]
    picture: str = "noise"


_CASES = (
    _Case("one pixel", 1, 1, "4:4:4", 15, 0, (2, 20), (0.5, 5)),
    _Case("one pixel, chroma interpolated", 1, 1, "4:2:0", 15, 5, (2, 20), (0.5, 5)),
    _Case("one block, soft", 8, 8, "4:4:4", 127, 0, (4, 40), (0.25, 2)),
    _Case("one block, padded to an MCU", 8, 8, "4:2:2", 31, 0, (4, 60), (0.5, 8)),
    _Case("one block, window", 8, 8, "4:2:0", 127, 5, (1, 30), (0.5, 8)),
    _Case("odd sides, window", 9, 17, "4:4:4", 63, 5, (8, 60), (0.5, 8)),
    _Case("odd sides, chroma averaged", 9, 17, "4:2:0", 15, 0, (10, 90), (0.5, 8)),
    _Case("two blocks in a row", 8, 16, "4:2:2", 31, 0, (4, 60), (0.5, 8)),
    _Case("one MCU", 16, 16, "4:2:0", 31, 0, (4, 60), (0.5, 8)),
    _Case("one MCU, hard", 16, 16, "4:2:0", 127, 5, (4, 60), (10, 100)),
    _Case("saturated", 8, 8, "4:4:4", 3, 0, (2, 30), (0.5, 8)),
    _Case("flat: coefficients that are zero", 8, 8, "4:4:4", 63, 0, (2, 40), (0.5, 8), "flat"),
    _Case("trained: h = 0.7", 16, 8, "4:2:2", 127, 5, (1, 20), (0.7, 0.7)),
    _Case("black and white", 8, 8, "4:4:4", 127, 0, (10, 60), (2, 30), "extremes"),
    _Case("seven by fifteen", 7, 15, "4:2:2", 15, 3, (10, 90), (0.5, 8)),
)


def draw_layer(seed: int) -> list[LayerVector]:
    """Draw the inputs of all layer vectors; expectations are missing.

    Parameters
    ----------
    seed : int

    Returns
    -------
    list of LayerVector
        Entries exact in float32: samples whole numbers, weights multiples of 1/64.
    """
    vectors = []
    for number, case in enumerate(_CASES, 1):
        # A stream of its own per case: adding one changes no other.
        rng = np.random.default_rng([seed, number])
        sides = (3, case.height, case.width)
        q, h = (_between(rng, *limits) for limits in (case.q, case.h))
        arrays = {
            "image": _picture(rng, case.picture, sides),
            "q": q,
            "alpha": (h / (q * q)).astype(np.float32).astype(np.float64),
            "grad_output": rng.integers(-128, 129, sides) / 64,
        }
        vectors.append(
            LayerVector(
                id=f"l{number:02d}",
                name=case.name,
                subsampling=case.subsampling,
                max_level=case.max_level,
                window=case.window,
                arrays=arrays,
                tolerances={},
            )
        )
    return vectors


def _between(rng: np.random.Generator, low: float, high: float) -> Array:
    """Table whose entries all differ: a transposed one shows; float32."""
    fractions = rng.integers(0, 4097, (2, 8, 8)) / 4096
    table = low + (high - low) * fractions * fractions
    return np.asarray(table.astype(np.float32).astype(np.float64))


def _picture(rng: np.random.Generator, kind: str, sides: tuple[int, int, int]) -> Array:
    if kind == "flat":
        # 8 (sample - 128) is no tie of any step.
        colour = rng.integers(20, 236, (3, 1, 1))
        return np.array(np.broadcast_to(colour, sides), dtype=np.float64)
    if kind == "extremes":
        return np.asarray(255 * rng.integers(0, 2, sides), dtype=np.float64)
    return np.asarray(rng.integers(0, 256, sides), dtype=np.float64)
