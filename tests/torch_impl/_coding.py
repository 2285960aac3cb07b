"""The two implementations of the integer codec, and what libjpeg makes of the same batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.reference._codec_cases import KINDS, Case, image_of, pillow_file, pillow_pixels
from torch_impl import jpeg_coefficients, jpeg_roundtrip
from torch_impl._codec_arguments import FACTORS, tables_of
from torch_impl.kernels import integer_codec

Pixels = NDArray[np.uint8]


def batch_of(images: Sequence[Pixels]) -> Tensor:
    """(N, 3, H, W), or (N, 1, H, W) for grey."""
    stacked = torch.from_numpy(np.stack(images))
    return stacked[:, None] if stacked.dim() == 3 else stacked.permute(0, 3, 1, 2).contiguous()


def images_of(
    seed: int, height: int, width: int, *, count: int = 3, grey: bool = False
) -> list[Pixels]:
    """Images of `count` kinds in turn: noise, saturated, smooth, constant, checkerboard, edges."""
    kinds = list(KINDS)
    return [
        image_of(kinds[(seed + i) % len(kinds)], seed + i, height, width, grey=grey)
        for i in range(count)
    ]


def through_pillow(
    images: Sequence[Pixels], quality: Any = None, qtables: Any = None, subsampling: str = "4:2:0"
) -> Tensor:
    """Each image with its own quality or tables, or with the one that there is."""
    coded = []
    for i, image in enumerate(images):
        own_quality = quality[i] if isinstance(quality, Sequence) else quality
        own = qtables[i] if qtables is not None and np.ndim(qtables) == 4 else qtables
        case = Case(image, own_quality, own, subsampling)
        coded.append(pillow_pixels(pillow_file(case)))
    return batch_of(coded)


def _arguments(images: Tensor, options: dict[str, Any]) -> tuple[Any, ...]:
    tables = tables_of(images, options.get("quality"), options.get("qtables")).to(torch.int32)
    factors = FACTORS[options.get("subsampling", "4:2:0")]
    return images, tables, *(factors if images.shape[1] == 3 else (1, 1))


def eager_roundtrip(images: Tensor, **options: Any) -> Tensor:
    """As jpeg_roundtrip on other devices, for uint8."""
    return integer_codec.roundtrip(*_arguments(images, options))


def eager_coefficients(images: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """As jpeg_coefficients on other devices, for uint8."""
    return tuple(integer_codec.coefficients(*_arguments(images, options)))


ROUNDTRIPS = {"kernels": jpeg_roundtrip, "tensors": eager_roundtrip}
COEFFICIENTS = {"kernels": jpeg_coefficients, "tensors": eager_coefficients}
