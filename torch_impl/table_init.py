"""Initial quantization tables: from sensitivity, from mean coefficients, ones, Annex K.

Every function leads to a (2, 8, 8) float32 tensor for ``JPEGLayer(q=...)``, within [1e-5, 255].
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT, annex_k_tables
from torch_impl import transforms
from torch_impl._image_pass import ImagePass, Progress
from torch_impl._sensitivity import GradientPass, wide
from torch_impl._tables import Q_MAX, Q_MIN
from torch_impl._validation import as_int, check_positive_number

PAPER_IMAGES = 10_000
"""Images over which the paper's authors measured sensitivity."""

_NAMES = ("Y", "Cb", "Cr")
_FREQUENCIES = BLOCK_SIZE**2
# Squared gradients this far below the largest are the rounding of a float32 network; steps that
# far apart would not fit into [1e-5, 255] either.
_SENSITIVITY_NOISE = 1e-12
# A coefficient of an 8-bit image in float64 is rounded by some 1e-12.
_COEFFICIENT_NOISE = 1e-9


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Mean squared gradient of the loss with respect to the coefficients of each frequency.

    Parameters
    ----------
    S_Y, S_Cb, S_Cr : Tensor
        (8, 8), non-negative, natural order; squares are summed over the blocks of an image and
        averaged over images. Kept as float64 on the CPU.
    images : int
        How many images the mean was taken over.
    """

    S_Y: Tensor
    S_Cb: Tensor
    S_Cr: Tensor
    images: int = 0

    def __post_init__(self) -> None:
        for name in ("S_Y", "S_Cb", "S_Cr"):
            object.__setattr__(self, name, _measured(name, getattr(self, name)))

    def tables(self, q_max: float = 10.0) -> Tensor:
        """Q_Y = c / S_Y and Q_C = 2 c / (S_Cb + S_Cr), c so that the largest luma step is `q_max`.

        Parameters
        ----------
        q_max : float
            Largest luma step, in (0, 255]. The paper's authors use 10.

        Returns
        -------
        Tensor
            (2, 8, 8) float32, clamped to [1e-5, 255] as every forward pass of theirs does.

        Raises
        ------
        ValueError
            If a frequency has sensitivity 0 or less than 1e-12 of the largest (rounding; its step
            would be infinite), or `q_max` is out of
            range.

        References
        ----------
        JPEG-DL, section 4 and appendix A.10.
        """
        check_positive_number("q_max", q_max)
        if q_max > Q_MAX:
            raise ValueError(f"q_max must not exceed {Q_MAX:g}, the largest step, got {q_max}")
        chroma = self.S_Cb + self.S_Cr
        noise = _SENSITIVITY_NOISE * float(max(self.S_Y.max(), chroma.max()))
        for name, table in (("S_Y", self.S_Y), ("S_Cb + S_Cr", chroma)):
            _refuse_zero(
                name,
                table,
                noise,
                "no table follows from it. Does the network see the whole image, in colour? More "
                "images may help",
            )
        luma, chroma = 1 / self.S_Y, 2 / chroma
        # Multiplied last, so that the largest luma step is q_max to the last bit.
        return _in_range(torch.stack([luma, chroma]) / luma.max() * q_max)


@dataclass(frozen=True, eq=False)
class CoefficientMeans:
    """Mean absolute value of the DCT coefficients of each frequency.

    Parameters
    ----------
    Y, Cb, Cr : Tensor
        (8, 8), mean of abs(z) over all blocks of all images, natural order. Kept as float64 on
        the CPU.
    images : int
        How many images the mean was taken over.
    """

    Y: Tensor
    Cb: Tensor
    Cr: Tensor
    images: int = 0

    def __post_init__(self) -> None:
        for name in _NAMES:
            object.__setattr__(self, name, _measured(name, getattr(self, name)))

    def tables(self, bits: int = 11) -> Tensor:
        """Q_Y = 2 Y / sqrt(2^(b-1)) and Q_C = (Cb + Cr) / sqrt(2^(b-1)).

        Parameters
        ----------
        bits : int
            b >= 2; the paper's 11 on ImageNet.

        Returns
        -------
        Tensor
            (2, 8, 8) float32, clamped to [1e-5, 255].

        Raises
        ------
        TypeError, ValueError
            If a mean is 0 or below 1e-9 (rounding; its step would be 0), or `bits` is no
            integer >= 2.

        References
        ----------
        JPEG-DL, section 4, after LSQ (Esser et al., 2019).
        """
        scale = math.sqrt(2.0 ** (as_int("bits", bits, 2) - 1))
        luma, chroma = 2 * self.Y, self.Cb + self.Cr
        for name, table in (("Y", luma), ("Cb + Cr", chroma)):
            _refuse_zero(
                name,
                table,
                _COEFFICIENT_NOISE,
                "a step of 0 is no quantizer. Are all images grey, or of one colour?",
            )
        return _in_range(torch.stack([luma, chroma]) / scale)


def measure_sensitivity(
    network: nn.Module,
    loader: Iterable[Any],
    *,
    training: bool = True,
    max_images: int | None = PAPER_IMAGES,
    progress: Progress = False,
    distributed: bool = True,
) -> Sensitivity:
    """Measure how sensitive a trained network's loss is to each DCT frequency.

    S is the gradient of each image's cross-entropy with respect to its DCT coefficients, squared,
    summed over blocks, averaged over images. Sums are float64, so that batches may have any size;
    only what a batch does inside the network (batch normalization in training mode) shows.

    Parameters
    ----------
    network : nn.Module
        Takes RGB images (N, 3, H, W) in [0, 255] and gives logits (N, classes): normalization by
        mean and standard deviation is part of it. Its parameters, gradients, buffers and modes
        are afterwards what they were.
    loader : iterable
        Batches (images, labels), such as a DataLoader: images floating point in [0, 255], labels
        (N,) integers. They are moved to the network's device and dtype.
    training : bool
        Mode of the network. The paper's authors left it in training mode: batch normalization
        takes the statistics of the batch, dropout drops.
    max_images : int, optional
        Stop after exactly so many, over all processes; None for all that the loader has.
    progress : bool or callable
        True: a bar on the terminal. A function: called with (images done, images expected or
        None) after each batch.
    distributed : bool
        Where torch.distributed is initialized, add up over its processes, each of which gives
        its own share of the images; all get the same result. With False this process stands
        alone.

    Returns
    -------
    Sensitivity

    Raises
    ------
    TypeError, ValueError
        If the loader is empty, images are out of range or look scaled to [0, 1], labels or
        logits have the wrong shape, or a gradient is not finite.
    RuntimeError
        If another process failed.

    Notes
    -----
    The authors average the loss over a batch, which divides S by the square of the batch size; in
    the tables it cancels.
    A DistributedSampler repeats images to give every process as many; they count twice.

    References
    ----------
    JPEG-DL, section 4 and appendix A.10, Fig. 10.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from torch_impl.table_init import measure_sensitivity
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
    >>> batch = torch.rand(8, 3, 16, 16) * 255, torch.arange(8)
    >>> measure_sensitivity(network, [batch]).tables(q_max=10).shape
    torch.Size([2, 8, 8])
    """
    images = ImagePass(loader, max_images=max_images, progress=progress, distributed=distributed)
    with GradientPass(network, training=training) as gradients:

        def add(batch: tuple[Any, ...]) -> tuple[Tensor, int]:
            z = gradients(batch)
            return z.square().sum(dim=(0, 2, 4)).reshape(-1), len(batch[0])

        sums = images.total(add, 3 * _FREQUENCIES)
    y, cb, cr = _means(sums[:-1], sums[-1])
    return Sensitivity(y, cb, cr, images=int(sums[-1]))


def measure_coefficients(
    loader: Iterable[Any],
    *,
    max_images: int | None = None,
    progress: Progress = False,
    distributed: bool = True,
) -> CoefficientMeans:
    """Measure the mean absolute DCT coefficients of a data set.

    Parameters
    ----------
    loader : iterable
        Batches of images, or (images, ...): RGB (N, 3, H, W), floating point, in [0, 255].
        Images of different sizes count by their blocks.
    max_images, progress, distributed
        As in :func:`measure_sensitivity`; here the default is all images.

    Returns
    -------
    CoefficientMeans

    Raises
    ------
    TypeError, ValueError
        If the loader is empty, or images are out of range or look scaled to [0, 1].
    RuntimeError
        If another process failed.

    References
    ----------
    JPEG-DL, section 4: the initialization on ImageNet.
    """
    images = ImagePass(loader, max_images=max_images, progress=progress, distributed=distributed)

    def add(batch: tuple[Any, ...]) -> tuple[Tensor, int]:
        image = wide(batch[0].detach()) - LEVEL_SHIFT
        padded = transforms.pad_to_multiple(image, BLOCK_SIZE, BLOCK_SIZE)
        z = transforms.dct(transforms.rgb_to_ycbcr(padded))
        blocks = z.new_tensor([float(len(z) * z.shape[2] * z.shape[4])])
        return torch.cat([z.abs().sum(dim=(0, 2, 4)).reshape(-1), blocks]), len(z)

    sums = images.total(add, 3 * _FREQUENCIES + 1)
    y, cb, cr = _means(sums[:-2], sums[-2])
    return CoefficientMeans(y, cb, cr, images=int(sums[-1]))


def unit_tables() -> Tensor:
    """All ones: the paper's tables for transformers.

    Returns
    -------
    Tensor
        (2, 8, 8) float32.

    References
    ----------
    JPEG-DL, appendix A.5.
    """
    return torch.ones(2, BLOCK_SIZE, BLOCK_SIZE)


def standard_tables(quality: int) -> Tensor:
    """Annex K tables at a libjpeg quality.

    Parameters
    ----------
    quality : int
        1 (coarsest) to 100 (all ones); 50 is Annex K itself.

    Returns
    -------
    Tensor
        (2, 8, 8) float32, whole numbers in 1..255.

    Raises
    ------
    TypeError, ValueError
        If quality is no integer in 1..100.

    References
    ----------
    ITU-T T.81, Tables K.1 and K.2; libjpeg, jcparam.c.
    """
    return torch.from_numpy(annex_k_tables(quality)).float()


def _means(sums: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    return (sums.reshape(3, BLOCK_SIZE, BLOCK_SIZE) / count).unbind()


def _measured(name: str, table: Any) -> Tensor:
    """`table` as float64 on the CPU, if it is (8, 8), finite and not negative."""
    if not isinstance(table, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(table).__name__}")
    if tuple(table.shape) != (BLOCK_SIZE, BLOCK_SIZE):
        raise ValueError(f"{name} must have shape (8, 8), got {tuple(table.shape)}")
    if not bool((torch.isfinite(table) & (table >= 0)).all()):
        raise ValueError(f"{name} must be finite and not negative, got {table.tolist()}")
    return table.detach().cpu().double()


def _refuse_zero(name: str, table: Tensor, noise: float, advice: str) -> None:
    zeros = torch.nonzero(table <= noise).tolist()
    if zeros:
        raise ValueError(
            f"{name} is 0, or as good as 0, at {len(zeros)} of 64 frequencies, the first at "
            f"(row, column) {tuple(zeros[0])}: {advice}"
        )


def _in_range(tables: Tensor) -> Tensor:
    return tables.clamp(Q_MIN, Q_MAX).float()


__all__ = [
    "PAPER_IMAGES",
    "CoefficientMeans",
    "Sensitivity",
    "measure_coefficients",
    "measure_sensitivity",
    "standard_tables",
    "unit_tables",
]
