"""Fixed preprocessing that JPEG-DL is compared with: denoising and histogram equalization.

Modules for the place of the JPEG layer: in front of a network, before the normalization by mean
and standard deviation, in training and in validation. Images are RGB in [0, 255], (N, 3, H, W).
The learnable resizer of the same table is in :mod:`torch_impl.muller`.

References
----------
JPEG Inspired Deep Learning, appendix A.8 and Table 8 ("Denoising", "Equalization"). The paper
names the two methods and gives no settings; the defaults here are this library's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from torch_impl._validation import as_int, check_positive_number
from torch_impl.jpeg_layer import check_image
from torch_impl.transforms import rgb_to_ycbcr

EDGES = ("reflect", "replicate", "zero")
"""How a filter continues an image: mirrored about its edge pixels, by these, or by zeros."""

EQUALIZATION_MODES = ("rgb", "luma")
_LEVELS = 256


def gaussian_weights(kernel_size: int, sigma: float) -> list[float]:
    """Samples of a Gaussian at the integers, centred, with sum 1: `kernel_size` numbers."""
    radius = kernel_size // 2
    weights = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    total = math.fsum(weights)
    return [w / total for w in weights]


def gaussian_blur(image: Tensor, weights: list[float], edge: str) -> Tensor:
    """Filter rows, then columns, with `weights`; shape and dtype of `image` (N, C, H, W) stay.

    Sums of shifted copies instead of a convolution: autocast would take that to half precision,
    and the gradient of torch's replicating padding has no deterministic form on a GPU.
    """
    radius = len(weights) // 2
    for dim in (-1, -2):
        size = image.shape[dim]
        padded = _extend(image, dim, radius, edge)
        shifted = (w * padded.narrow(dim, i, size) for i, w in enumerate(weights))
        image = sum(shifted, start=torch.zeros((), dtype=image.dtype, device=image.device))
    return image


def check_filter(kernel_size: Any, sigma: Any) -> tuple[int, float]:
    """Return the two options of a Gaussian filter, or say what is wrong with them."""
    size = as_int("kernel_size", kernel_size, 1)
    if size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that the filter has a centre, got {size}")
    return size, check_positive_number("sigma", sigma)


def _extend(image: Tensor, dim: int, radius: int, edge: str) -> Tensor:
    """`radius` more samples on each side along `dim`."""
    if radius == 0:
        return image
    size = image.shape[dim]
    if edge == "reflect":
        before = image.narrow(dim, 1, radius).flip(dim)
        after = image.narrow(dim, size - 1 - radius, radius).flip(dim)
    else:
        shape = list(image.shape)
        shape[dim] = radius
        before, after = image.narrow(dim, 0, 1), image.narrow(dim, size - 1, 1)
        if edge == "zero":
            before, after = torch.zeros_like(before), torch.zeros_like(after)
        before, after = before.expand(shape), after.expand(shape)
    return torch.cat([before, image, after], dim=dim)


class GaussianDenoise(nn.Module):
    """Denoising with a Gaussian kernel.

    Parameters
    ----------
    kernel_size : int
        Odd number of samples of the filter along each axis. The paper gives none. The default 5
        with `sigma` 1 is the filter of the learnable resizer of the same table
        (:class:`torch_impl.muller.MullerResizer`) and reaches to two standard deviations.
    sigma : float
        Standard deviation, in pixels.
    edge : {"reflect", "replicate", "zero"}
        How the image goes on beyond its edge. "reflect" mirrors about the edge pixel, which is
        not repeated (d c b | a b c d), as image libraries do for this filter, and needs images
        larger than ``kernel_size // 2``; "replicate" repeats the edge pixel; "zero" is black.

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.8, Table 8 ("Denoising").

    Examples
    --------
    >>> import torch
    >>> from torch_impl import GaussianDenoise
    >>> GaussianDenoise()(torch.full((1, 3, 8, 8), 100.0)).std() < 1e-4
    tensor(True)
    """

    def __init__(self, kernel_size: int = 5, sigma: float = 1.0, *, edge: str = "reflect") -> None:
        super().__init__()
        self.kernel_size, self.sigma = check_filter(kernel_size, sigma)
        if edge not in EDGES:
            raise ValueError(f"edge must be one of {', '.join(EDGES)}, got {edge!r}")
        self.edge = edge
        self._weights = gaussian_weights(self.kernel_size, self.sigma)

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}, edge={self.edge!r}"

    def forward(self, image: Tensor) -> Tensor:
        """Blur a batch of images.

        Parameters
        ----------
        image : Tensor
            RGB in [0, 255], floating point, (N, 3, H, W). A NaN makes the pixels under the kernel
            NaN.

        Returns
        -------
        Tensor
            Same shape and dtype; within [0, 255] up to rounding. float16 and bfloat16 images
            compute in float32 inside.
        """
        check_image(image)
        radius = self.kernel_size // 2
        if self.edge == "reflect" and min(image.shape[-2:]) <= radius:
            raise ValueError(
                f"image of {tuple(image.shape[-2:])} pixels is too small to mirror {radius} of "
                "them about its edge: use a smaller kernel_size or edge='replicate'"
            )
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        return gaussian_blur(wide, self._weights, self.edge).to(image.dtype)


class HistogramEqualization(nn.Module):
    """Histogram equalization of each image, with the rule of Pillow's ``ImageOps.equalize``.

    With h the histogram of the n pixels of a channel and m the count of its highest occupied
    level, ``step = (n - m) // 255`` and level v becomes ``(step // 2 + h[0] + ... + h[v-1]) //
    step``, at most 255. torchvision's ``equalize`` gives the same.

    Parameters
    ----------
    mode : {"rgb", "luma"}
        "rgb" equalizes the three channels each on its own, as image libraries do, and so may
        shift colours. "luma" equalizes Y of YCbCr and adds its change to R, G and B (Cb and Cr
        stay), clipped to [0, 255]. The paper does not say which; "rgb" is the default of the
        libraries.

    Raises
    ------
    TypeError, ValueError
        If `mode` or an image has the wrong type, shape or range; the message names it.

    Notes
    -----
    The histogram has 256 bins: a sample counts at the nearest integer (half to even) in
    [0, 255], and in "rgb" mode is replaced by the image of that integer. A channel with one level
    only, or with fewer than 255 samples below its highest level, stays as it is (as in Pillow).
    The integer step is coarse in small images: of 32 x 32 pixels up to a quarter end at 255.
    A NaN or infinite sample becomes NaN ("luma": its pixel does) and counts in no histogram.

    The function is a step function of the image, with derivative zero. Its gradient is
    straight-through, that of the identity, so that attacks on the network's input and the
    sensitivity of it can still be computed; training needs none.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.8, Table 8 ("Equalization").

    Examples
    --------
    >>> import torch
    >>> from torch_impl import HistogramEqualization
    >>> image = torch.arange(100.0, 116.0).expand(1, 3, 255, 16)
    >>> HistogramEqualization()(image)[0, 0, 0, ::5]
    tensor([  0.,  85., 170., 255.])
    """

    def __init__(self, mode: str = "rgb") -> None:
        super().__init__()
        if mode not in EQUALIZATION_MODES:
            raise ValueError(f"mode must be one of {', '.join(EQUALIZATION_MODES)}, got {mode!r}")
        self.mode = mode

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return f"mode={self.mode!r}"

    def forward(self, image: Tensor) -> Tensor:
        """Equalize a batch of images.

        Parameters
        ----------
        image : Tensor
            RGB in [0, 255], floating point, (N, 3, H, W).

        Returns
        -------
        Tensor
            Same shape and dtype, in [0, 255]; integers in "rgb" mode.
        """
        check_image(image)
        with torch.no_grad():
            result = _equalize(image) if self.mode == "rgb" else _equalize_luma(image)
        # The difference is exactly zero, and NaN where a sample is not finite; it carries the
        # gradient of the identity.
        return result + (image - image.detach())


def _equalize(planes: Tensor) -> Tensor:
    """Equalize each (H, W) plane of (N, C, H, W) on its own; see HistogramEqualization.

    Samples that are not finite count nowhere and come out as any level.
    """
    levels, known = _levels_of(planes)
    count = planes.shape[0] * planes.shape[1]
    # One flat table of all planes: in one dimension the sum is deterministic on a GPU as well.
    first = _LEVELS * torch.arange(count, device=planes.device).reshape(*planes.shape[:2], 1, 1)
    index = (first + levels).flatten()
    histogram = torch.zeros(_LEVELS * count, dtype=torch.int64, device=planes.device)
    histogram = histogram.index_add(0, index, known.flatten().long()).reshape(count, _LEVELS)
    table = _equalizing_table(histogram).flatten()
    return table[index].reshape(planes.shape).to(planes.dtype)


def _levels_of(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest level of each sample, int64 in [0, 255], and where the sample is finite."""
    levels = planes.nan_to_num().round().clamp(0, _LEVELS - 1).long()
    return levels, torch.isfinite(planes)


def _equalizing_table(histogram: Tensor) -> Tensor:
    """Where each level goes, (planes, 256) int64."""
    levels = torch.arange(_LEVELS, device=histogram.device)
    highest = torch.where(histogram > 0, levels, 0).amax(dim=1, keepdim=True)
    below = histogram.sum(dim=1, keepdim=True) - histogram.gather(1, highest)
    step = below // (_LEVELS - 1)
    lower = histogram.cumsum(dim=1) - histogram
    table = ((step // 2 + lower) // step.clamp(min=1)).clamp(max=_LEVELS - 1)
    return torch.where(step > 0, table, levels)


def _equalize_luma(image: Tensor) -> Tensor:
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    luma = rgb_to_ycbcr(wide)[:, :1]
    change = _equalize(luma) - _levels_of(luma)[0]
    return (wide + change).clamp(0, _LEVELS - 1).to(image.dtype)
