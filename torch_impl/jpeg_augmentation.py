"""JPEG compression at a random quality as data augmentation: a baseline of JPEG-DL's Table 8.

A module for the place of the JPEG layer: in front of a network, before the normalization by mean
and standard deviation. Images are RGB in [0, 255], (N, 3, H, W).
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn

from reference.standard import SUBSAMPLINGS
from torch_impl._validation import as_int
from torch_impl.composed_layer import encode_decode_with
from torch_impl.jpeg_layer import check_image
from torch_impl.quantizer_baselines import straight_through_quantize
from torch_impl.table_init import standard_tables

# No coefficient of an image in [0, 255] saturates: an orthonormal 8x8 DCT of samples within 128
# of their middle stays within 8 * 128 = 1024, and the finest step is 1.
_MAX_LEVEL = 2047


class JPEGAugmentation(nn.Module):
    """Pass each image through JPEG at a quality of its own, drawn at random; in training only.

    In training mode every image of the batch gets a quality drawn uniformly from the integers
    `low` to `high`. In eval mode the layer is the identity: the paper draws a quality "for each
    image within the mini-batch" and calls it data augmentation, so validation is on images as
    they are.

    Parameters
    ----------
    low, high : int
        Range of the quality, both ends included, 1 <= low <= high <= 100: libjpeg's scale of the
        Annex K tables. Table 8 has 1 to 50, 50 to 100 and 1 to 100.
    differentiable : bool
        False: JPEG files, written and read again by Pillow. Pixels are rounded half-up and
        clipped to integers in [0, 255] before, and come out as such integers. The gradient ends
        here: nothing before the layer is trained through it. Images on a GPU travel through the
        CPU.
        True: the JPEG layer of this library with the Annex K tables of each image's quality and
        straight-through rounding (:func:`torch_impl.straight_through_quantize`), which passes a
        gradient to the image. Its output is neither rounded nor clipped to [0, 255], as that of
        :class:`torch_impl.JPEGLayer`.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Chroma subsampling. The paper does not say which; "4:4:4" is that of its JPEG layer.
        Pillow's own default is "4:2:0".

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.
    ImportError
        If ``differentiable=False`` and Pillow is missing.

    Notes
    -----
    The qualities come from torch's global generator on the CPU, wherever the images are:
    ``torch.manual_seed`` governs them, one number for each image.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.8 and Table 8 ("Rand. QF").

    Examples
    --------
    >>> import torch
    >>> from torch_impl import JPEGAugmentation
    >>> layer = JPEGAugmentation(1, 50, differentiable=True)
    >>> image = torch.rand(4, 3, 32, 32) * 255
    >>> layer(image).shape, torch.equal(layer.eval()(image), image)
    (torch.Size([4, 3, 32, 32]), True)
    """

    def __init__(
        self,
        low: int = 1,
        high: int = 100,
        *,
        differentiable: bool = False,
        subsampling: str = "4:4:4",
    ) -> None:
        super().__init__()
        self.low, self.high = as_int("low", low, 1), as_int("high", high, 1)
        if self.high > 100:
            raise ValueError(f"high must be a JPEG quality of at most 100, got {self.high}")
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got low={self.low}, high={self.high}")
        if not isinstance(differentiable, bool):
            raise TypeError(f"differentiable must be True or False, got {differentiable!r}")
        if subsampling not in SUBSAMPLINGS:
            raise ValueError(
                f"subsampling must be one of {', '.join(SUBSAMPLINGS)}, got {subsampling!r}"
            )
        if not differentiable:
            _pillow()  # better now than in the first batch
        self.differentiable = differentiable
        self.subsampling = subsampling

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return (
            f"low={self.low}, high={self.high}, differentiable={self.differentiable}, "
            f"subsampling={self.subsampling!r}"
        )

    def forward(self, image: Tensor) -> Tensor:
        """Compress and decompress a batch of images; in eval mode leave it alone.

        Parameters
        ----------
        image : Tensor
            RGB in [0, 255], floating point, (N, 3, H, W). With ``differentiable=False`` a NaN is
            an error (a file has none) and infinity is clipped; with ``True`` both make their own
            block NaN (their MCU, with subsampling).

        Returns
        -------
        Tensor
            Same shape, dtype and device. float16 and bfloat16 images, and autocast regions,
            compute in float32 inside.
        """
        check_image(image)
        if not self.training:
            return image
        qualities: list[int] = torch.randint(self.low, self.high + 1, (len(image),)).tolist()
        if self.differentiable:
            return self._composed(image, qualities)
        return self._files(image.detach(), qualities)

    def _composed(self, image: Tensor, qualities: list[int]) -> Tensor:
        """Images of equal quality share their tables, so they go together."""
        order = sorted(range(len(qualities)), key=qualities.__getitem__)
        parts = []
        for quality in sorted(set(qualities)):
            chosen = [i for i in order if qualities[i] == quality]
            tables = standard_tables(quality).to(image.device)[None]
            factors = SUBSAMPLINGS[self.subsampling]
            parts.append(encode_decode_with(_quantize, image[chosen], tables, factors=factors))
        back = torch.empty(len(order), dtype=torch.int64)
        back[order] = torch.arange(len(order))
        return torch.cat(parts)[back.to(image.device)]

    def _files(self, image: Tensor, qualities: list[int]) -> Tensor:
        if bool(torch.isnan(image).any()):
            raise ValueError(
                "image holds NaN, which no JPEG file can: find where it comes from, or use "
                "differentiable=True, which keeps it to its block"
            )
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        # Half-up. Adding 1/2 rounds no number that matters: 0.49999997 + 0.5 is 1 in float32, a
        # twenty-millionth of a grey level below the tie.
        pixels = torch.floor(wide + 0.5).clamp(0, 255).to(torch.uint8)
        rows = pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()
        decoded = [
            torch.from_numpy(self._file(row, quality))
            for row, quality in zip(rows, qualities, strict=True)
        ]
        result = torch.stack(decoded).permute(0, 3, 1, 2)
        return result.to(device=image.device, dtype=image.dtype).contiguous()

    def _file(self, pixels: Any, quality: int) -> Any:
        """One image (H, W, 3) uint8 as a JPEG file and back."""
        import numpy as np

        module = _pillow()
        file = io.BytesIO()
        picture = module.fromarray(pixels)
        picture.save(file, "JPEG", quality=quality, subsampling=self.subsampling)
        with module.open(file) as found:
            return np.array(found)


def _quantize(z: Tensor, q: Tensor, count: int) -> Tensor:
    return straight_through_quantize(z, q, max_level=_MAX_LEVEL)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "JPEGAugmentation writes real JPEG files with Pillow, which is not installed: "
            "pip install pillow, or use differentiable=True"
        ) from error
    return Image


__all__ = ["JPEGAugmentation"]
