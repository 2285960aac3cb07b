"""How an operator is registered with PyTorch, as ``torch.ops.jpegdl.<name>``.

``torch.library.custom_op`` would do the same, but its first call imports the whole compiler, a
pause of a second that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LIBRARY = torch.library.Library("jpegdl", "FRAGMENT")


def operator(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Turn a function of tensors, which serves every device, into an operator."""

    def register(function: Callable[..., Any]) -> Any:
        schema = torch.library.infer_schema(function, mutates_args=())
        _LIBRARY.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        return getattr(torch.ops.jpegdl, name).default

    return register


def fake(name: str) -> Callable[[_Function], _Function]:
    """Register what an operator's results look like: empty tensors for the compiler."""

    def register(function: _Function) -> _Function:
        torch.library.register_fake(f"jpegdl::{name}", function, lib=_LIBRARY)
        return function

    return register


def register_autograd(
    name: str, backward: Callable[..., Any], setup_context: Callable[..., Any]
) -> None:
    """Give an operator its gradient, for those who call it by its name."""
    torch.library.register_autograd(
        f"jpegdl::{name}", backward, setup_context=setup_context, lib=_LIBRARY
    )
