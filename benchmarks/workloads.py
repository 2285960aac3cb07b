"""What the benchmarks run on: images, their DCT coefficients and the paper's settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.standard import LEVEL_SHIFT
from torch_impl import transforms

Shape = tuple[int, int, int, int]

SHAPES: tuple[Shape, ...] = ((64, 3, 32, 32), (16, 3, 224, 224), (1, 3, 1024, 2048))

# 2L+1 = 255 levels of this many float32 coefficients are 0.2 GB per temporary, of which the
# naive quantizer holds four, and about eight with gradients.
PART_FOR_FULL = 200_000
# The masked one is timed on the whole up to here, and on a part beyond.
_WHOLE_FOR_MASKED, _PART_FOR_MASKED = 3_000_000, 800_000


@dataclass(frozen=True)
class Setting:
    """Options of the quantizer: step q, scaling factor alpha and largest level L."""

    name: str
    q: float
    alpha: float
    max_level: int

    def tables(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        """Tables q and alpha, (2, 8, 8)."""
        shape = (2, 8, 8)
        return (
            torch.full(shape, self.q, device=device),
            torch.full(shape, self.alpha, device=device),
        )


#: JPEG-DL, section 4 and appendix A.5: b = 8 on CIFAR-100, b = 11 and h = 0.7 on ImageNet.
CIFAR = Setting("h=5", q=1.0, alpha=5.0, max_level=127)
IMAGENET = Setting("h=0.7", q=1.0, alpha=0.7, max_level=1023)


class TrainedSetting(Setting):
    """Steps that grow with frequency, as after training: small and large h in every block."""

    def tables(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        """Steps from q/4 (DC) to 8 q (highest frequency), geometrically; one alpha."""
        ramp = torch.arange(8.0, device=device)
        q = self.q / 4 * 2.0 ** ((ramp[:, None] + ramp) * (5 / 14))
        return q.expand(2, 8, 8).contiguous(), torch.full((2, 8, 8), self.alpha, device=device)


TRAINED = TrainedSetting("h=0.3..320", q=1.0, alpha=5.0, max_level=1023)


def name_of(shape: Shape) -> str:
    """``16x3x224x224``."""
    return "x".join(map(str, shape))


def images(shape: Shape, device: str = "cpu", seed: int = 0) -> Tensor:
    """Images in [0, 255] with smooth areas and some noise, as photographs have.

    Parameters
    ----------
    shape : tuple
        (N, 3, H, W).
    device : str
        Where the tensor is to live; the values do not depend on it.
    seed : int
        Of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    n, c, height, width = shape
    coarse = torch.rand((n, c, -(-height // 16) + 1, -(-width // 16) + 1), generator=generator)
    smooth = torch.nn.functional.interpolate(
        coarse, size=(height, width), mode="bilinear", align_corners=True
    )
    noise = torch.rand(shape, generator=generator)
    return (225 * smooth + 30 * noise).to(device)


def coefficients(image: Tensor) -> Tensor:
    """DCT coefficients as the layer hands them to the quantizer: (N, 3, H/8, 8, W/8, 8)."""
    with torch.no_grad():
        return transforms.dct(transforms.rgb_to_ycbcr(image - LEVEL_SHIFT)).contiguous()


def per_component(table: Tensor) -> Tensor:
    """(2, 8, 8) -> (3, 1, 8, 1, 8), beside :func:`coefficients`."""
    return torch.stack([table[0], table[1], table[1]])[:, None, :, None, :].contiguous()


def part_of(images_or_coefficients: Tensor, elements: int) -> tuple[Tensor, float]:
    """First images, or first rows of one image, and how much larger the whole is.

    Every element costs the same in the naive quantizers, so a part stands for the whole where
    the whole would take minutes.

    Parameters
    ----------
    images_or_coefficients : Tensor
        (N, 3, H, W) or (N, 3, H/8, 8, W/8, 8).
    elements : int
        About how many elements to keep.

    Returns
    -------
    part : Tensor
        Contiguous.
    work : float
        Elements of the whole over elements of the part, >= 1.
    """
    whole = images_or_coefficients
    dim = 0 if whole.shape[0] > 1 else 2
    unit = 8 if dim == 2 and whole.dim() == 4 else 1  # whole blocks
    steps = whole.shape[dim] // unit
    keep = max(1, min(steps, round(steps * elements / whole.numel()))) * unit
    part = whole.narrow(dim, 0, keep).contiguous()
    return part, whole.numel() / part.numel()


def part_for_masked(images_or_coefficients: Tensor) -> tuple[Tensor, float]:
    """What a naive masked quantizer is timed on, as :func:`part_of` returns it."""
    whole = images_or_coefficients
    return part_of(whole, whole.numel() if whole.numel() < _WHOLE_FOR_MASKED else _PART_FOR_MASKED)


def part_note(work: float) -> str:
    """What the table says of a part."""
    return f"on 1/{work:.3g}, scaled" if work > 1 else ""


__all__ = [
    "CIFAR",
    "IMAGENET",
    "PART_FOR_FULL",
    "SHAPES",
    "TRAINED",
    "Setting",
    "Shape",
    "TrainedSetting",
    "coefficients",
    "images",
    "name_of",
    "part_for_masked",
    "part_note",
    "part_of",
    "per_component",
]
