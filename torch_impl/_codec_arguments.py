"""Arguments of the integer codec, checked in one place; each message names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.standard import SUBSAMPLINGS, annex_k_tables
from torch_impl._validation import FLOAT_DTYPES, as_int

FACTORS = SUBSAMPLINGS | {"4:4:0": (2, 1)}
"""Name -> (vertical, horizontal) factor by which chroma is reduced."""
MAX_SIDE = 65535
"""What a frame header can say (T.81, B.2.2)."""

_DEFAULT_QUALITY = 75  # libjpeg's
_HIGHEST_QUALITY = 100
_BY_QUALITY = torch.from_numpy(
    np.stack([annex_k_tables(quality) for quality in range(1, _HIGHEST_QUALITY + 1)])
).to(torch.int32)
_INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_images(images: Any) -> None:
    """Refuse what is no batch of RGB or grey images in uint8 or floating point."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}")
    if images.dtype != torch.uint8 and images.dtype not in FLOAT_DTYPES:
        raise TypeError(
            f"images must be uint8 or floating point with values in [0, 255], got {images.dtype}"
        )
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"images must be RGB (N, 3, H, W) or grey (N, 1, H, W), got shape {shape}")
    if shape[0] == 0:
        raise ValueError(f"images must hold at least one image, got shape {shape}")
    if not all(1 <= side <= MAX_SIDE for side in shape[2:]):
        raise ValueError(f"images must have 1..{MAX_SIDE} rows and columns, got shape {shape}")


def check_subsampling(subsampling: Any) -> tuple[int, int]:
    """(vertical, horizontal) factor of a name."""
    if not isinstance(subsampling, str) or subsampling not in FACTORS:
        raise ValueError(f"subsampling must be one of {', '.join(FACTORS)}, got {subsampling!r}")
    return FACTORS[subsampling]


def tables_of(images: Tensor, quality: Any, qtables: Any) -> Tensor:
    """Quantization tables (1 or N, 2, 8, 8) beside the images; given ones are not yet checked."""
    if quality is not None and qtables is not None:
        raise ValueError("give quality or qtables, not both: a quality stands for its own tables")
    if qtables is not None:
        return as_tables("qtables", qtables, len(images)).to(images.device)
    if isinstance(quality, Tensor):
        return _of_qualities(quality, len(images)).to(images.device)
    number = _DEFAULT_QUALITY if quality is None else as_int("quality", quality, 1)
    if number > _HIGHEST_QUALITY:
        raise ValueError(f"quality must be at most {_HIGHEST_QUALITY}, got {number}")
    return _BY_QUALITY[number - 1 : number].to(images.device)


def as_tables(name: str, given: Any, count: int) -> Tensor:
    """Tables (1 or `count`, 2, 8, 8) without a gradient; values are not yet checked."""
    if isinstance(given, np.ndarray):
        # torch shares no read-only memory without a warning, and computes little in uint16.
        given = given.astype(np.int64 if given.dtype.kind in "iu" else given.dtype)
    try:
        tables = torch.as_tensor(given).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be a tensor or an array of numbers, got {type(given).__name__}"
        ) from error
    if tables.dtype not in (*_INTEGER_DTYPES, *FLOAT_DTYPES):
        raise TypeError(f"{name} must hold whole numbers, got {tables.dtype}")
    shape = tuple(tables.shape)
    if shape == (2, 8, 8):
        return tables[None]
    if shape != (count, 2, 8, 8):
        raise ValueError(
            f"{name} must have shape (2, 8, 8), luma and chroma for all images, or one such pair "
            f"for each, ({count}, 2, 8, 8); got {shape}"
        )
    return tables


def _of_qualities(quality: Tensor, count: int) -> Tensor:
    """Annex K tables for the quality of each image."""
    if quality.dtype not in _INTEGER_DTYPES:
        raise TypeError(f"quality must be an integer or an integer tensor, got {quality.dtype}")
    if quality.dim() and tuple(quality.shape) != (count,):
        raise ValueError(
            f"quality must be one number or one for each image, shape ({count},); got shape "
            f"{tuple(quality.shape)}"
        )
    qualities = quality.reshape(-1).long()
    _check_range("quality", qualities, 1, _HIGHEST_QUALITY)
    return _BY_QUALITY.to(quality.device)[qualities - 1]


def check_tables(tables: Tensor, images: Tensor) -> Tensor:
    """Tables as int32, after a look at their values."""
    if tables.dim() != 4 or tables.shape[1:] != (2, 8, 8) or len(tables) not in (1, len(images)):
        raise ValueError(
            f"tables must have shape (1, 2, 8, 8) or ({len(images)}, 2, 8, 8), got "
            f"{tuple(tables.shape)}"
        )
    if tables.is_floating_point() and bool((tables != tables.floor()).any()):
        index = _first(tables != tables.floor())
        raise ValueError(
            f"qtables must hold whole numbers, got {tables[index].item()!r} at index {index}; "
            "round them first"
        )
    _check_range("qtables", tables, 1, 255)
    return tables.to(torch.int32)


def _check_range(name: str, values: Tensor, low: int, high: int) -> None:
    bad = (values < low) | (values > high)
    if bool(bad.any()):
        index = _first(bad)
        raise ValueError(
            f"{name} must lie in {low}..{high}, got {values[index].item()!r} at index {index}"
        )


def _first(bad: Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.nonzero(bad)[0])
