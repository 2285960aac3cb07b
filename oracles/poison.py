"""Fill memory that the function under test is about to allocate, so that what it leaves shows."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

__all__ = ["poisoned_memory"]

# NumPy keeps up to seven freed blocks of each size below 1 KiB, and so does the C library up to
# a little more: both have to be emptied and filled again. Some more for what the function
# allocates before its outputs.
_SMALL, _SMALL_BLOCKS, _LARGE_BLOCKS = 2048, 24, 4
# glibc: mallopt(M_PERTURB, b) fills fresh blocks with the complement of the byte b. Blocks of up
# to 1 KiB that it keeps per thread are left out, which is what the blocks above are for.
_M_PERTURB = -6
# Fresh bytes 0x7f: 3.4e38 in float32, 1.4e306 in float64. 0xff, a NaN, cannot be asked for.
_PERTURB_HUGE = 0x80
# Fresh bytes 0x45: 3.2e3 in float32, 5.1e25 in float64. Something else, that is all.
_PERTURB_OTHER = 0xBA


@contextmanager
def poisoned_memory(sizes: Sequence[int], poison: float) -> Iterator[None]:
    """Make fresh memory hold a value that no output should hold, while the block runs.

    Freed blocks of the sizes given are filled with the value itself; with the GNU C library,
    larger ones with a byte of their own for NaN and for other values, whoever allocates them.
    Blocks that the function itself frees and allocates again hold what it left in them if they
    are smaller than 1 KiB.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of the arrays that the function will return.
    poison : float
        The value, as float32; one NaN and one finite value have different large blocks.

    Yields
    ------
    None
    """
    blocks = []
    for nbytes in set(sizes):
        # A function that works in float64 allocates twice the bytes of float32 outputs.
        for wide in (1, 2):
            items = max(wide * nbytes // 4, 1)
            count = _SMALL_BLOCKS if 4 * items <= _SMALL else _LARGE_BLOCKS
            blocks += [np.full(items, poison, dtype=np.float32) for _ in range(count)]
    del blocks
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    mallopt(_M_PERTURB, _PERTURB_HUGE if math.isnan(poison) else _PERTURB_OTHER)
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


@lru_cache(maxsize=1)
def _mallopt() -> Callable[[int, int], int] | None:
    """The C library's mallopt, where it is the GNU one."""
    try:
        function: Callable[[int, int], int] = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return None
    return function
