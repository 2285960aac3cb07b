"""A batch of images through real JPEG: the pixels that libjpeg-turbo decodes, to the last bit.

Integers all the way: colour in 16-bit fixed point, libjpeg's sampling and DCT, quantization. The
entropy coder is left out, since it loses nothing. Rounding has no gradient, so neither have these
functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torch_impl._codec_arguments import check_images, check_subsampling, check_tables, tables_of
from torch_impl._operators import fake, operator
from torch_impl.kernels import integer_codec

_NON_FINITE = (
    "images must be finite, got NaN or infinity: no pixel stands for it; find where it comes from"
)


def jpeg_roundtrip(
    images: Tensor, *, quality: Any = None, qtables: Any = None, subsampling: str = "4:2:0"
) -> Tensor:
    """Encode and decode images as libjpeg-turbo does, bit for bit.

    Parameters
    ----------
    images : Tensor
        RGB (N, 3, H, W) or grey (N, 1, H, W), 1 to 65535 rows and columns, on any device. uint8, or
        floating point in [0, 255]: such values are rounded to the nearest whole number, halves up,
        and saturated to 0..255 before.
    quality : int or Tensor, optional
        1 to 100, libjpeg's scale of the Annex K tables: one for all images, or an integer tensor
        (N,) with one for each. Default 75.
    qtables : Tensor or array_like, optional
        Whole numbers in 1..255, luma and chroma in natural order, instead of a quality: (2, 8, 8)
        for all images, or (N, 2, 8, 8). Grey images use the first of the two.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma; without meaning for grey.

    Returns
    -------
    Tensor
        Shape, dtype and device of `images`; whole numbers in 0..255. It never requires a gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or `images` holds NaN or infinity; the
        message names the argument. On a GPU, looking at the values of floating-point images and
        of tensors of tables and qualities waits for the device.

    Notes
    -----
    On the CPU in parallel on PyTorch's threads, compiled by Numba; on other devices in int32
    tensor operations. The results do not depend on device or threads.

    References
    ----------
    ITU-T T.81 | ISO/IEC 10918-1; libjpeg-turbo with its default settings (accurate integer DCT,
    "fancy" upsampling).

    Examples
    --------
    >>> import torch
    >>> from torch_impl import jpeg_roundtrip
    >>> image = torch.tensor([[250.0, 3.4], [0.0, 128.0]]).expand(1, 3, 2, 2)
    >>> jpeg_roundtrip(image, quality=100, subsampling="4:4:4")[0, 0]
    tensor([[250.,   3.],
            [  0., 128.]])
    """
    factors = check_subsampling(subsampling)
    check_images(images)
    tables = tables_of(images, quality, qtables)
    result: Tensor = _roundtrip_op(images.detach(), tables, *factors)
    return result


def jpeg_coefficients(
    images: Tensor, *, quality: Any = None, qtables: Any = None, subsampling: str = "4:2:0"
) -> tuple[Tensor, ...]:
    """Quantized DCT coefficients, as libjpeg-turbo writes them to a file.

    Parameters and errors as of :func:`jpeg_roundtrip`.

    Returns
    -------
    tuple of Tensor
        Y, Cb and Cr (grey: one), int16 (N, R, C, 8, 8): rows and columns of blocks, then the block
        in natural order. A component has the blocks that its own samples touch; those that only
        fill up the last MCUs of a file are not there.

    Examples
    --------
    >>> import torch
    >>> from torch_impl import jpeg_coefficients
    >>> y, cb, cr = jpeg_coefficients(torch.full((1, 3, 24, 24), 200, dtype=torch.uint8))
    >>> y.shape, cb.shape, int(y[0, 0, 0, 0, 0])
    (torch.Size([1, 3, 3, 8, 8]), torch.Size([1, 2, 2, 8, 8]), 72)
    """
    factors = check_subsampling(subsampling)
    check_images(images)
    tables = tables_of(images, quality, qtables)
    return tuple(_coefficients_op(images.detach(), tables, *factors))


@operator("jpeg_roundtrip")
def _roundtrip_op(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> Tensor:
    arguments = _prepared(images, tables, vertical, horizontal)
    if images.device.type == "cpu":
        from torch_impl.kernels import cpu_codec  # imports Numba

        result = cpu_codec.roundtrip(*arguments)
    else:
        result = integer_codec.roundtrip(*arguments)
    return result.to(images.dtype)


@fake("jpeg_roundtrip")
def _(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> Tensor:
    return images.new_empty(images.shape)


@operator("jpeg_coefficients")
def _coefficients_op(
    images: Tensor, tables: Tensor, vertical: int, horizontal: int
) -> list[Tensor]:
    arguments = _prepared(images, tables, vertical, horizontal)
    if images.device.type == "cpu":
        from torch_impl.kernels import cpu_codec

        return cpu_codec.coefficients(*arguments)
    return integer_codec.coefficients(*arguments)


@fake("jpeg_coefficients")
def _(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> list[Tensor]:
    n, channels, height, width = images.shape
    found = []
    for v, h in ((1, 1), *[(vertical, horizontal)] * (channels - 1)):
        shape = n, -(-height // (8 * v)), -(-width // (8 * h)), 8, 8
        found.append(images.new_empty(shape, dtype=torch.int16))
    return found


def _prepared(
    images: Tensor, tables: Tensor, vertical: int, horizontal: int
) -> tuple[Tensor, Tensor, int, int]:
    """What the implementations take: uint8 pixels, int32 tables, factors."""
    check_images(images)
    steps = check_tables(tables, images)
    pixels = images.detach()
    if pixels.dtype != torch.uint8:
        pixels = _to_pixels(pixels)
    return (pixels, steps, 1, 1) if images.shape[1] == 1 else (pixels, steps, vertical, horizontal)


def _to_pixels(images: Tensor) -> Tensor:
    """Nearest whole numbers, halves up, saturated."""
    wide = images.to(torch.promote_types(images.dtype, torch.float32))
    if wide.device.type == "cpu" and wide.dtype == torch.float32:
        from torch_impl.kernels import cpu_codec

        pixels, finite = cpu_codec.to_pixels(wide)
    else:
        finite = bool(torch.isfinite(wide).all())
        # Exact, unlike the floor of x + 1/2: that sum may round.
        pixels = ((2 * wide).floor() / 2).ceil().clamp(0, 255).to(torch.uint8)
    if not finite:
        raise ValueError(_NON_FINITE)
    return pixels


__all__ = ["jpeg_coefficients", "jpeg_roundtrip"]
