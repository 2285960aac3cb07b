"""How the Numba twins are compiled: on first use, with an on-disk cache that cannot be stale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_Function = Callable[..., Any]


def _digest() -> str:
    """Of this package. Numba's cache looks at the file of the function it compiles alone."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_SOURCES = _digest()


def jit(function: _Function) -> _Function:
    """Compile `function` when it is first called; a change in any file here makes it anew."""
    function.__qualname__ += f"-{_SOURCES}"  # names the entry of the cache
    compiled: _Function = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled
