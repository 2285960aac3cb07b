"""A torch function on batches of images as a JPEG codec under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oracles.adapters.torch_tools import (
    check_torch_arguments,
    compiled,
    fresh_memory_is_nan,
    to_numpy,
)

if TYPE_CHECKING:
    from oracles.codec.subject import CodecFunction

__all__ = ["torch_jpeg_codec"]

_DTYPES = ("uint8", "float32", "float64", "float16", "bfloat16")


def torch_jpeg_codec(
    function: Callable[..., Any],
    *,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
    batch: int = 2,
) -> CodecFunction:
    """Adapt a torch function that codes a batch of images.

    Every image is handed over among others, so that one that depends on its neighbours shows.

    Parameters
    ----------
    function : callable
        ``function(images, *, quality, subsampling) -> Tensor`` and ``function(images, *, qtables,
        subsampling)``: images (N, 3, H, W), grey ones (N, 1, H, W), values 0..255; the coded ones
        of that shape out. The quality is an int, the tables are (2, 8, 8) of ``dtype``, as
        integers where that is uint8. So ``torch_impl.jpeg_roundtrip`` is called.
    dtype : {"float32", "uint8", "float64", "float16", "bfloat16"}
        Dtype of the images; 16 bits hold 0..255, but what is computed in them is not exact.
    device : str
        Device of the tensors.
    compile : bool or str
        Judge ``torch.compile(function)`` instead, with the default backend (True) or the one
        that is named.
    batch : int
        N >= 1; the others are mirrored or inverted copies.

    Returns
    -------
    callable
        For :func:`oracles.verify_jpeg_codec`.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or an option has the wrong type.
    ValueError
        If ``dtype`` is none of those named, or ``batch`` less than 1.

    Examples
    --------
    >>> from oracles import torch_jpeg_codec, verify_jpeg_codec
    >>> from torch_impl import jpeg_roundtrip
    >>> verify_jpeg_codec(torch_jpeg_codec(jpeg_roundtrip), qualities=(10, 75)).passed
    True
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, _DTYPES))}, got {dtype!r}")
    signature = "function(images, *, quality, qtables, subsampling)"
    check_torch_arguments(function, signature, "float32", compile)
    if isinstance(batch, bool) or not isinstance(batch, int):
        raise TypeError(f"batch must be a whole number, got {batch!r}")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    called = compiled(function, compile)

    def fn(image: Any, **options: Any) -> Any:
        import torch

        from oracles.contract import ContractError

        kind = getattr(torch, dtype)
        own = torch.from_numpy(image.copy())
        own = own[None] if own.ndim == 2 else own.permute(2, 0, 1)
        others = (own, own.flip(-1), 255 - own, own.flip(-2))
        # The image under test is first, last or in between, by its size.
        place = sum(image.shape[:2]) % batch
        images = torch.stack([others[(i - place) % batch % 4] for i in range(batch)])
        images = images.to(device=device, dtype=kind)
        if "qtables" in options:
            steps = torch.from_numpy(options["qtables"])
            options["qtables"] = (steps if dtype == "uint8" else steps.to(kind)).to(device)
        before = images.clone()
        with fresh_memory_is_nan(), torch.no_grad():
            result = called(images, **options)
        if not torch.equal(images, before):
            raise ContractError("the function changed its input tensor; work on a copy")
        if not isinstance(result, torch.Tensor) or result.shape != images.shape:
            got = tuple(getattr(result, "shape", ())) or type(result).__name__
            raise ContractError(f"the function gave {got}, not images {tuple(images.shape)}")
        coded = to_numpy(result[place])
        return coded[0] if image.ndim == 2 else coded.transpose(1, 2, 0)

    # inspect.signature follows it: the judge sees which keywords the function takes.
    fn.__wrapped__ = function  # type: ignore[attr-defined]
    return fn
