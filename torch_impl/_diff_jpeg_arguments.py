"""Arguments of differentiable JPEG, checked in one place; each message names the argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from torch_impl._codec_arguments import as_tables, check_images
from torch_impl._diff_jpeg_pipeline import Given
from torch_impl._validation import FLOAT_DTYPES

_DEFAULT_QUALITY = 75.0  # libjpeg's
_WORST_CONDITION = 1e4
_INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def given_of(images: Any, quality: Any, qtables: Any, base_tables: Any, color_matrix: Any) -> Given:
    """All arguments that carry gradients, checked, as tensors beside the images."""
    check_rgb(images)
    if qtables is not None:
        for name, other in (("quality", quality), ("base_tables", base_tables)):
            if other is not None:
                raise ValueError(
                    f"give {name} or qtables, not both: qtables are the steps themselves, where a "
                    "quality scales its tables"
                )
    matrix = None if color_matrix is None else _as_matrices(images, color_matrix)
    if qtables is not None:
        return Given(images, None, _as_tables("qtables", images, qtables), None, matrix)
    number = _as_quality(images, _DEFAULT_QUALITY if quality is None else quality)
    _check_range("quality", number, 1, 100)
    base = None if base_tables is None else _as_tables("base_tables", images, base_tables)
    return Given(images, number, None, base, matrix)


def as_bool(name: str, value: Any) -> bool:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


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


def _as_tables(name: str, images: Tensor, given: Any) -> Tensor:
    """Shape and dtype as the integer codec has them, with the gradient kept."""
    checked = as_tables(name, given, len(images))
    tables = given.reshape(checked.shape) if isinstance(given, Tensor) else checked
    tables = tables.to(images.device)
    _check_range(name, tables, 1, 255)
    return tables


def _as_matrices(images: Tensor, given: Any) -> Tensor:
    """Invertible matrices (1 or N, 3, 3)."""
    try:
        matrix = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"color_matrix must be a tensor or an array of numbers, got {type(given).__name__}"
        ) from error
    if matrix.dtype not in (*_INTEGER_DTYPES, *FLOAT_DTYPES):
        raise TypeError(f"color_matrix must hold real numbers, got {matrix.dtype}")
    if tuple(matrix.shape) not in ((3, 3), (len(images), 3, 3)):
        raise ValueError(
            "color_matrix must have shape (3, 3), from RGB to YCbCr for all images, or "
            f"({len(images)}, 3, 3), one for each; got {tuple(matrix.shape)}"
        )
    matrix = matrix.reshape(-1, 3, 3).to(images.device)
    if _values_are_hidden():
        return matrix
    if not bool(matrix.isfinite().all()):
        raise ValueError(f"color_matrix must be finite, got {matrix.tolist()}")
    worst = float(torch.linalg.cond(matrix.detach().double()).max())
    if not worst < _WORST_CONDITION:
        raise ValueError(
            f"color_matrix must be invertible, for decoding: the condition number is {worst:.3g}, "
            f"and {_WORST_CONDITION:g} is the most that leaves digits in float32"
        )
    return matrix


def _values_are_hidden() -> bool:
    """Reading values breaks the graph of a compiler and is impossible in a transform."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _check_range(name: str, values: Tensor, low: int, high: int) -> None:
    if _values_are_hidden():
        return
    good = (values >= low) & (values <= high)  # NaN is in no range
    if not bool(good.all()):
        index = tuple(int(i) for i in torch.nonzero(~good)[0])
        raise ValueError(
            f"{name} must lie in [{low}, {high}], got {values[index].item()!r} at index {index}; "
            "clamp it"
        )
