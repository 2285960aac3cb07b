"""What the torch adapters share. Imports torch only when a function here is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

__all__ = ["check_torch_arguments", "compiled", "fresh_memory_is_nan", "to_numpy", "to_tensor"]

_DTYPES = ("float32", "float64", "float16", "bfloat16")
# Lengths 0 and 1, strides and level counts may have to be compiled anew.
_RECOMPILATIONS = 512


def check_torch_arguments(function: Any, signature: str, dtype: Any, compile: Any) -> None:  # noqa: A002
    """Check the arguments that the torch adapters share.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or ``compile`` neither a bool nor a string.
    ValueError
        If ``dtype`` is none of those that are known.
    """
    if not callable(function):
        raise TypeError(f"function must be callable as {signature}, got {type(function).__name__}")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, _DTYPES))}, got {dtype!r}")
    if not isinstance(compile, bool | str):
        raise TypeError(
            f"compile must be True, False or the name of a torch.compile backend, got {compile!r}"
        )


def compiled(
    function: Callable[..., Any],
    compile: bool | str,  # noqa: A002
) -> Callable[..., Any]:
    """Return the function as ``torch.compile`` makes it: one compilation for all calls.

    Parameters
    ----------
    function : callable
        A torch function.
    compile : bool or str
        False leaves it alone; True is torch's default backend; or the name of another one.

    Returns
    -------
    callable
        Raises where torch would go back to the uncompiled function unsaid.
    """
    if compile is False:
        return function
    made: list[Callable[..., Any]] = []

    def call(*arguments: Any, **keywords: Any) -> Any:
        import torch
        import torch._dynamo

        if not made:
            backend = "inductor" if compile is True else compile
            # Lengths and level counts change from call to call.
            made.append(torch.compile(function, backend=backend, dynamic=True))
        with torch._dynamo.config.patch(
            recompile_limit=_RECOMPILATIONS,
            accumulated_recompile_limit=_RECOMPILATIONS,
            fail_on_recompile_limit_hit=True,
        ):
            return made[0](*arguments, **keywords)

    return call


def to_tensor(array: NDArray[Any], *, dtype: str, device: str) -> Any:
    """Copy an array into a tensor of the same strides, with NaN between its elements.

    Parameters
    ----------
    array : ndarray
        Any strides >= 0.
    dtype, device : str
        Of the tensor.

    Returns
    -------
    torch.Tensor
        Not a leaf of any graph yet.
    """
    import torch

    # An axis of stride 0 has one element in memory.
    index = tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)
    single = torch.from_numpy(array)[index]
    span = 1 + sum((n - 1) * step for n, step in zip(single.shape, single.stride(), strict=True))
    kind = getattr(torch, dtype)
    memory = torch.full((max(span, 1),), float("nan"), dtype=kind, device=device)
    moved = memory.as_strided(single.shape, single.stride())
    moved.copy_(single)
    return moved.expand(array.shape)


def to_numpy(tensor: Any) -> Any:
    """Return a floating tensor as an array, float32 unless it is float64; others as they are.

    bfloat16 has no NumPy dtype, and widening is exact.
    """
    import torch

    if not isinstance(tensor, torch.Tensor):
        return tensor
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype != torch.float64:
        tensor = tensor.to(torch.float32)
    return tensor.numpy()


@contextmanager
def fresh_memory_is_nan() -> Iterator[None]:
    """Make ``torch.empty`` give NaN while the block runs, so that an unwritten element shows."""
    import torch

    deterministic: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = before[2]
