"""JPEG at a random quality as data augmentation, with gradients for the images.

A module for the front of a training pipeline, before the normalization by mean and standard
deviation. Images are RGB in [0, 255], (N, 3, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from torch_impl._diff_jpeg_arguments import check_rgb
from torch_impl._validation import as_int
from torch_impl.diff_jpeg import DiffJPEG
from torch_impl.surrogates import Rounding


class RandomJPEG(nn.Module):
    """Pass each image through JPEG at a quality of its own, drawn at random; in training only.

    In training mode every image of the batch gets a quality drawn uniformly from the whole numbers
    of a range. In eval mode the layer is the identity: JPEG-DL draws a quality "for each image
    within the mini-batch" and calls it data augmentation, so validation is on images as they are.

    Parameters
    ----------
    quality : (int, int)
        Range of the quality, both ends included, 1 <= low <= high <= 100: libjpeg's scale of the
        Annex K tables. Table 8 of JPEG-DL has (1, 50), (50, 100) and (1, 100).
    p : float
        Probability with which an image is coded, in [0, 1]; the others stay as they are.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma. JPEG-DL does not say which; its recipes here take "4:4:4", as its layer does.
    straight_through : bool
        True: what libjpeg-turbo makes of an image, to the last bit, as if it had been saved and
        loaded again; images are rounded to whole numbers and saturated before, and NaN and
        infinity are errors. False: the smooth substitute, neither whole nor quite within [0, 255].
        Both pass gradients to the images (:func:`torch_impl.diff_jpeg`), and compute none where
        nobody asks for them.
    rounding : str or callable
        As in :func:`torch_impl.diff_jpeg`; with `straight_through` for the gradient alone.

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.

    Notes
    -----
    Qualities come from torch's global generator on the CPU, wherever the images are:
    ``torch.manual_seed`` governs them, one number for each image, and one more for each if p < 1.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.8 and Table 8 ("Rand. QF").

    Examples
    --------
    >>> import torch
    >>> from torch_impl import RandomJPEG
    >>> layer = RandomJPEG(quality=(10, 90))
    >>> images = torch.rand(4, 3, 32, 32) * 255
    >>> layer(images).shape, torch.equal(layer.eval()(images), images)
    (torch.Size([4, 3, 32, 32]), True)
    """

    def __init__(
        self,
        quality: tuple[int, int] = (1, 100),
        *,
        p: float = 1.0,
        subsampling: str = "4:2:0",
        straight_through: bool = True,
        rounding: Rounding = "cubic",
    ) -> None:
        super().__init__()
        self.quality = _as_range(quality)
        self.p = _as_probability(p)
        self.codec = DiffJPEG(
            subsampling=subsampling, straight_through=straight_through, rounding=rounding
        )

    def extra_repr(self) -> str:
        """Options of its own, for ``print(layer)``."""
        return f"quality={self.quality}, p={self.p:g}"

    def forward(self, images: Tensor) -> Tensor:
        """Code a batch of images; in eval mode leave it alone.

        Parameters
        ----------
        images : Tensor
            RGB in [0, 255], floating point, (N, 3, H, W).

        Returns
        -------
        Tensor
            Same shape, dtype and device. float16 and bfloat16 images, and autocast regions,
            compute in float32 inside.
        """
        check_rgb(images)
        if not self.training:
            return images
        low, high = self.quality
        qualities = torch.randint(low, high + 1, (len(images),))
        coded: Tensor = self.codec(images, quality=qualities)
        if self.p == 1:
            return coded
        chosen = torch.rand(len(images)) < self.p
        return torch.where(chosen.to(images.device)[:, None, None, None], coded, images)


def _as_range(quality: Any) -> tuple[int, int]:
    if isinstance(quality, str) or not isinstance(quality, Sequence) or len(quality) != 2:
        raise TypeError(f"quality must be a pair (low, high) of JPEG qualities, got {quality!r}")
    low, high = (as_int("quality", end, 1) for end in quality)
    if high > 100:
        raise ValueError(f"quality must end at 100 or below, got {quality!r}")
    if low > high:
        raise ValueError(f"quality must be (low, high) with low <= high, got {quality!r}")
    return low, high


def _as_probability(p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, Real):
        raise TypeError(f"p must be a number in [0, 1], got {p!r} of type {type(p).__name__}")
    if not 0 <= float(p) <= 1:  # NaN is in no range
        raise ValueError(f"p must be a probability in [0, 1], got {p!r}")
    return float(p)


__all__ = ["RandomJPEG"]
