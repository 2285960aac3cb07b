"""A torch quantizer without alpha as a function under test; partials by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from oracles.adapters.torch_tools import (
    check_torch_arguments,
    compiled,
    fresh_memory_is_nan,
    to_numpy,
    to_tensor,
)

if TYPE_CHECKING:
    from oracles.baselines.subject import BaselineFunction

__all__ = ["torch_quantizer_baseline"]


def torch_quantizer_baseline(
    function: Callable[..., Any],
    kind: str,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
    gradient_scale: float = 1.0,
) -> BaselineFunction:
    """Adapt a torch quantizer of JPEG-DL's Table 6; its partials come from autograd.

    As :func:`oracles.torch_soft_quantizer`, for functions without alpha.

    Parameters
    ----------
    function : callable
        ``function(z, q, *, max_level) -> Tensor``, as ``torch_impl.cubic_quantize``. With
        uniform noise it gets ``noise``, with a gradient scale other than 1 ``gradient_scale`` as
        keywords too, as ``torch_impl.uniform_noise_quantize`` and
        ``torch_impl.straight_through_quantize``.
    kind : {"uniform_noise", "cubic", "straight_through", "hard"}
        Which quantizer it is.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors that ``function`` gets.
    device : str
        Device of the tensors.
    compile : bool or str
        Judge ``torch.compile(function)`` instead, with the default backend (True) or the one
        that is named.
    gradient_scale : float
        Factor on the gradient of q, for ``"straight_through"`` alone; the judge has to be told
        the same.

    Returns
    -------
    callable
        For :func:`oracles.verify_quantizer_baseline`. An input that the output does not depend
        on has partial 0.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or an option has the wrong type.
    ValueError
        If ``kind`` or ``dtype`` is none of those named, or the scale is not for that kind.

    Examples
    --------
    >>> from oracles import torch_quantizer_baseline, verify_quantizer_baseline
    >>> from torch_impl import cubic_quantize
    >>> fn = torch_quantizer_baseline(cubic_quantize, "cubic")
    >>> verify_quantizer_baseline(fn, "cubic", exact=True).passed
    True
    """
    from oracles.baselines.judge import check_kind

    check_torch_arguments(function, "function(z, q, *, max_level)", dtype, compile)
    check_kind(kind, gradient_scale)
    called = compiled(function, compile)

    def fn(z: Any, q: Any, *rest: Any) -> Any:
        import torch

        *noise, max_level = rest
        arrays: tuple[Any, ...] = (z, q, *noise)

        def call(tensors: list[Any]) -> Any:
            options: dict[str, Any] = {"noise": tensors[2]} if kind == "uniform_noise" else {}
            if gradient_scale != 1:
                options["gradient_scale"] = gradient_scale
            return called(*tensors[:2], max_level=max_level, **options)

        with fresh_memory_is_nan():
            value = None
            if len({array.shape for array in arrays}) > 1:
                tensors = [to_tensor(array, dtype=dtype, device=device) for array in arrays]
                with torch.no_grad():
                    value = call(tensors)
                arrays = tuple(np.ascontiguousarray(a) for a in np.broadcast_arrays(*arrays))
            tensors = [to_tensor(array, dtype=dtype, device=device) for array in arrays]
            leaves = [tensor.requires_grad_() for tensor in tensors[:2]]
            result = call(tensors)
            gradients = torch.autograd.grad(
                result.sum(), leaves, allow_unused=True, materialize_grads=True
            )
            value = result if value is None else value
            return tuple(to_numpy(tensor) for tensor in (value, *gradients))

    return fn
