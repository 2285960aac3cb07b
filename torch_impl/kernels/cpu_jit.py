"""How the CPU kernels are compiled: Numba, on first use, with an on-disk cache.

Nothing here runs in parallel by itself: threads come from :mod:`torch_impl.kernels.threads`, so
that the kernels are safe after a fork and bit-equal for every thread count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_Function = Callable[..., Any]


_OPTIONS: dict[str, Any] = {
    "_nrt": False,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
}


def _digest() -> str:
    """Of all CPU kernels. Numba's cache looks at the file of the function it compiles alone."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("cpu_*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_SOURCES = _digest()


def jit(function: _Function) -> _Function:
    """Compile `function` when it is first called; fused multiply-adds allowed, nothing else.

    The machine code is kept beside the source, or in the user's cache folder where the package
    is read-only, or in memory alone where neither can be written. A change in any of the
    kernels' files makes a new entry.
    """
    function.__qualname__ += f"-{_SOURCES}"  # names the entry
    try:
        compiled: _Function = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # Numba found no place for a cache
        compiled = numba.njit(**_OPTIONS)(function)
    return compiled


def jit_part(function: _Function) -> _Function:
    """Compile a function that only compiled functions call: no way in from Python, no cache."""
    options = _OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: _Function = numba.njit(**options)(function)
    return compiled


def jit_inline(function: _Function) -> _Function:
    """Compile a function as lines of its caller: compiles faster if called only once."""
    compiled: _Function = numba.njit(inline="always", **_OPTIONS)(function)
    return compiled
