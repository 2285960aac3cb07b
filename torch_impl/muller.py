"""MULLER, the learnable resizer that JPEG-DL is compared with: a few trainable numbers.

References
----------
Tu, Milanfar, Talebi, "MULLER: Multilayer Laplacian Resizer for Vision", ICCV 2023, and the code
that its authors published with it (google-research, directory muller).
JPEG Inspired Deep Learning, appendix A.8, Table 8 ("Learnable Resize").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from torch_impl._validation import as_int
from torch_impl.jpeg_layer import check_image
from torch_impl.preprocessing import check_filter, gaussian_blur, gaussian_weights

MULLER_RESNET50_WEIGHTS = (1.892, -11.295)
"""Weights that the authors of MULLER published with ResNet-50, first layer first."""

MULLER_RESNET50_BIASES = (-0.014, 0.003)
"""Biases that belong to :data:`MULLER_RESNET50_WEIGHTS`."""


class MullerResizer(nn.Module):
    """Resizing that adds learned multiples of the image's Laplacian subbands.

    With x_0 the image in units of its full range (divided by 255), G the Gaussian filter and R
    bilinear resizing::

        y = R(x_0) + sum over l = 1 .. layers of tanh(w_l R(x_l - x_{l-1}) + b_l),  x_l = G x_{l-1}

    and the output is 255 y. Trainable are the numbers w_l and b_l alone. A positive w_l weakens
    a band, because x_l - x_{l-1} is minus what the filter took away; a negative one boosts it.

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width of the output; one number for both. Default: those of the input, and R
        is then the identity.
    layers : int
        Number of subbands.
    kernel_size : int
        Odd number of samples of the Gaussian filter along each axis.
    sigma : float
        Its standard deviation, in pixels of the input.
    weights, biases : sequence of float, optional
        Initial w and b, one number per layer. Default: zeros, with which the module is plain
        bilinear resizing (the authors' default). :data:`MULLER_RESNET50_WEIGHTS` and
        :data:`MULLER_RESNET50_BIASES` are the trained ones of their demonstration.

    Attributes
    ----------
    weight, bias : nn.Parameter
        (layers,) each.

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.

    Notes
    -----
    Defaults and conventions are those of the authors' code and its demonstration: half-pixel
    centres and no antialiasing in R, zeros beyond the image's edge in G (so edge pixels of a
    bright image have a residual), values in [0, 1] inside, no clipping: each layer may move a
    value by up to 255. Its optional average pooling before the resizing is not provided.
    JPEG-DL does not state the size of its input or the options it used.

    A NaN pixel makes its surroundings NaN, as far as filter and resizing reach.

    References
    ----------
    Tu, Milanfar, Talebi, "MULLER: Multilayer Laplacian Resizer for Vision", ICCV 2023.
    JPEG Inspired Deep Learning, appendix A.8, Table 8.

    Examples
    --------
    >>> import torch
    >>> from torch_impl import MullerResizer
    >>> resizer = MullerResizer(16)
    >>> resizer(torch.rand(2, 3, 32, 24) * 255).shape
    torch.Size([2, 3, 16, 16])
    >>> sum(p.numel() for p in resizer.parameters())
    4
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        layers: int = 2,
        kernel_size: int = 5,
        sigma: float = 1.0,
        weights: Sequence[float] | None = None,
        biases: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.size = None if size is None else _as_size(size)
        self.layers = as_int("layers", layers, 1)
        self.kernel_size, self.sigma = check_filter(kernel_size, sigma)
        self._filter = gaussian_weights(self.kernel_size, self.sigma)
        self.weight = nn.Parameter(self._numbers("weights", weights))
        self.bias = nn.Parameter(self._numbers("biases", biases))

    def _numbers(self, name: str, values: Sequence[float] | None) -> Tensor:
        numbers = [0.0] * self.layers if values is None else [float(v) for v in values]
        if len(numbers) != self.layers:
            raise ValueError(
                f"{name} must hold one number for each of the {self.layers} layers, "
                f"got {len(numbers)}"
            )
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError(f"{name} must be finite, got {numbers}")
        return torch.tensor(numbers)

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return (
            f"size={self.size}, layers={self.layers}, kernel_size={self.kernel_size}, "
            f"sigma={self.sigma}"
        )

    def forward(self, image: Tensor) -> Tensor:
        """Resize a batch of images.

        Parameters
        ----------
        image : Tensor
            RGB in [0, 255], floating point, (N, 3, H, W); H and W >= 1.

        Returns
        -------
        Tensor
            (N, 3, *size), dtype of `image`; not clipped. float16 and bfloat16 images, and
            autocast regions, compute in float32 inside.
        """
        check_image(image)
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        output = self._resize(wide)
        band_above = wide / 255
        for weight, bias in zip(self.weight, self.bias, strict=True):
            blurred = gaussian_blur(band_above, self._filter, "zero")
            residual = self._resize(blurred - band_above)
            output = output + 255 * torch.tanh(weight * residual + bias)
            band_above = blurred
        return output.to(image.dtype)

    def _resize(self, image: Tensor) -> Tensor:
        if self.size is None or self.size == tuple(image.shape[-2:]):
            return image
        return functional.interpolate(image, self.size, mode="bilinear", align_corners=False)


def _as_size(size: Any) -> tuple[int, int]:
    if isinstance(size, (tuple, list)):
        if len(size) != 2:
            raise ValueError(f"size must be one number or (height, width), got {size!r}")
        height, width = size
    else:
        height = width = size
    return as_int("size", height, 1), as_int("size", width, 1)
