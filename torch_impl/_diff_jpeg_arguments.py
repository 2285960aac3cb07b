"""Arguments of differentiable JPEG, checked in one place; each message names the argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from torch_impl._codec_arguments import check_images, tables_of
from torch_impl._validation import FLOAT_DTYPES

_DEFAULT_QUALITY = 75.0  # libjpeg's
_INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_rgb(images: Any) -> None:
    """Refuse what is no batch of RGB images in floating point."""
    if isinstance(images, Tensor) and images.dtype not in FLOAT_DTYPES:
        raise TypeError(
            f"images must be floating point with values in [0, 255], got {images.dtype}; convert "
            "them with .float(), and keep the range"
        )
    check_images(images)
    if images.shape[1] != 3:
        raise ValueError(
            f"images must be RGB of shape (N, 3, H, W), got {tuple(images.shape)}; "
            "repeat a grey channel with .expand(-1, 3, -1, -1)"
        )


def quality_and_tables(
    images: Tensor, quality: Any, qtables: Any
) -> tuple[Tensor | None, Tensor | None]:
    """Quality (1 or N,) or tables (1 or N, 2, 8, 8) as tensors beside the images; one is None."""
    if qtables is not None:
        if quality is not None:
            raise ValueError("give quality or qtables, not both: a quality stands for its tables")
        tables = _as_tables(images, qtables)
        _check_range("qtables", tables, 1, 255)
        return None, tables
    number = _as_quality(images, _DEFAULT_QUALITY if quality is None else quality)
    _check_range("quality", number, 1, 100)
    return number, None


def _as_quality(images: Tensor, quality: Any) -> Tensor:
    if isinstance(quality, Tensor):
        if quality.dtype not in (*_INTEGER_DTYPES, *FLOAT_DTYPES):
            raise TypeError(f"quality must hold real numbers, got {quality.dtype}")
        if quality.dim() and tuple(quality.shape) != (len(images),):
            raise ValueError(
                f"quality must be one number or one for each image, shape ({len(images)},); got "
                f"shape {tuple(quality.shape)}"
            )
        return quality.reshape(-1).to(images.device)
    if isinstance(quality, bool) or not isinstance(quality, Real):
        raise TypeError(
            "quality must be a number in [1, 100] or a tensor of such numbers, got "
            f"{quality!r} of type {type(quality).__name__}"
        )
    number = float(quality)
    if not 1 <= number <= 100:  # NaN is in no range
        raise ValueError(f"quality must lie in [1, 100], got {quality!r}")
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    return torch.full((1,), number, dtype=dtype, device=images.device)


def _as_tables(images: Tensor, qtables: Any) -> Tensor:
    """Shape and dtype as the integer codec has them, with the gradient kept."""
    checked = tables_of(images, None, qtables)
    if isinstance(qtables, Tensor):
        return qtables.reshape(checked.shape).to(images.device)
    return checked


def _check_range(name: str, values: Tensor, low: int, high: int) -> None:
    # Reading values breaks the graph of a compiler and is impossible in a transform.
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return
    good = (values >= low) & (values <= high)  # NaN is in no range
    if not bool(good.all()):
        index = tuple(int(i) for i in torch.nonzero(~good)[0])
        raise ValueError(
            f"{name} must lie in [{low}, {high}], got {values[index].item()!r} at index {index}; "
            "clamp it"
        )
