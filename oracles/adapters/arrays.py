"""Functions of other array libraries: whatever speaks the array API or DLPack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["array_function"]


def array_function(function: Callable[..., Any], *, namespace: Any) -> Callable[..., Any]:
    """Adapt a function of another array library; serves the contracts of all judges.

    Inputs become arrays of that library through its ``asarray``, or its ``from_dlpack`` where
    it has no ``asarray`` or that one takes no NumPy arrays. Results come back through DLPack, or
    ``numpy.asarray``; from another device they are copied.

    Parameters
    ----------
    function : callable
        ``function(*arrays, max_level) -> tuple of arrays``, with arrays of the library. For the
        soft quantizer ``function(z, q, alpha, max_level) -> (value, dz, dq, dalpha)``.
    namespace : module or object
        The library: has ``asarray`` or ``from_dlpack``, as ``array_api_strict``, ``torch``,
        ``jax.numpy`` and ``cupy`` have.

    Returns
    -------
    callable
        The same function of NumPy arrays, for a ``verify_*`` function.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or ``namespace`` has neither function.

    References
    ----------
    The Python array API standard, 2023.12: creation functions and data interchange.
    """
    if not callable(function):
        raise TypeError(
            "function must be callable as function(*arrays, max_level), "
            f"got {type(function).__name__}"
        )
    makers = [getattr(namespace, name, None) for name in ("asarray", "from_dlpack")]
    makers = [maker for maker in makers if callable(maker)]
    if not makers:
        raise TypeError(
            "namespace must have asarray or from_dlpack, as an array library has; "
            f"got {getattr(namespace, '__name__', namespace)!r}"
        )

    def fn(*arguments: Any) -> Any:
        *arrays, max_level = arguments
        result = function(*(_entered(array, makers) for array in arrays), max_level)
        if isinstance(result, tuple | list):
            return tuple(_left(array) for array in result)
        return result

    return fn


def _entered(array: Any, makers: list[Any]) -> Any:
    """Return the array as one of the library."""
    for maker in makers[:-1]:
        try:
            return maker(array)
        except (TypeError, ValueError, BufferError, RuntimeError):
            continue
    return makers[-1](array)


def _left(array: Any) -> Any:
    """Return an array of the library as one of NumPy; anything else as it is."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "__dlpack__"):
        # The second asks for a copy on the CPU, which not every library can make.
        options: tuple[dict[str, Any], ...] = ({}, {"device": "cpu"})
        for keywords in options:
            try:
                return np.from_dlpack(array, **keywords)
            except (TypeError, ValueError, BufferError, RuntimeError):
                continue
    return np.asarray(array) if hasattr(array, "__array__") else array
