"""Blocks in the order of a scan: minimum coded units, and the blocks that fill the last ones up.

References
----------
ITU-T T.81, A.2 (interleaving); libjpeg, jccoefct.c (``compress_data``: filling blocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Blocks = NDArray[np.int16]
Factors = tuple[tuple[int, int], ...]


@lru_cache(maxsize=4)
def block_order(
    factors: Factors, units: tuple[int, int]
) -> tuple[NDArray[np.uint8], tuple[NDArray[np.int64], ...]]:
    """Which block comes when.

    Parameters
    ----------
    factors
        (vertical, horizontal) blocks of each component in a unit; (1, 1) for a single component.
    units
        Rows and columns of minimum coded units.

    Returns
    -------
    component : ndarray of uint8, shape (N,)
        Component of each block of the scan.
    places : tuple of ndarray of int64
        For each component (rows, columns) of its blocks, filling ones included: where the block
        stands in the scan.
    """
    per_unit = sum(v * h for v, h in factors)
    unit = np.arange(units[0] * units[1]).reshape(units)[:, None, :, None]
    places = []
    owner: list[int] = []
    for index, (v, h) in enumerate(factors):
        within = len(owner) + np.arange(v * h).reshape(v, h)[None, :, None, :]
        places.append((unit * per_unit + within).reshape(v * units[0], h * units[1]))
        owner += [index] * (v * h)
    return np.tile(np.array(owner, np.uint8), units[0] * units[1]), tuple(places)


def interleave(
    components: Sequence[Blocks], factors: Factors, units: tuple[int, int]
) -> tuple[Blocks, NDArray[np.uint8]]:
    """Blocks (R, C, 8, 8) of each component to (N, 64) in scan order.

    Blocks missing at the right have the DC of the block to their left and no AC; those missing at
    the bottom the DC of the last block of the row above in their own unit: they cost few bits.

    Parameters
    ----------
    components
        Quantized coefficients, natural order.
    factors, units
        As in :func:`block_order`.

    Returns
    -------
    blocks, component
        (N, 64), and (N,) index of the component that each belongs to.
    """
    owner, places = block_order(factors, units)
    ordered = np.empty((owner.size, 64), np.int16)
    for blocks, place, (_, h) in zip(components, places, factors, strict=True):
        rows, columns = blocks.shape[:2]
        full = blocks.reshape(rows, columns, 64)
        if place.shape != (rows, columns):
            full = np.zeros((*place.shape, 64), np.int16)
            full[:rows, :columns] = blocks.reshape(rows, columns, 64)
            full[:rows, columns:, 0] = full[:rows, columns - 1 : columns, 0]
            for row in range(rows, place.shape[0]):
                full[row, :, 0] = np.repeat(full[row - 1, h - 1 :: h, 0], h)
        ordered[place] = full
    return ordered, owner


def deinterleave(
    ordered: Blocks,
    sizes: Sequence[tuple[int, int]],
    factors: Factors,
    units: tuple[int, int],
) -> list[Blocks]:
    """Inverse of `interleave`: (N, 64) to (R, C, 8, 8) of each component; filling blocks go."""
    _, places = block_order(factors, units)
    return [
        ordered[place[:rows, :columns]].reshape(rows, columns, 8, 8)
        for place, (rows, columns) in zip(places, sizes, strict=True)
    ]
