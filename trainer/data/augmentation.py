"""RandAugment and random erasing, after crops and flips (JPEG-DL, Table 4).

References
----------
Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space",
2020. Zhong et al., "Random erasing data augmentation", 2020.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trainer._randomness import derive_seed, generator
from trainer.data.normalization import constant_normalization
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.config import TrainConfig

ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)
TRIES = 10


@dataclass(frozen=True)
class ExtraAugmentation:
    """RandAugment and then random erasing of training images.

    Parameters
    ----------
    randaugment
        Such as "rand-m9-mstd0.5-inc1", in timm's notation; None: none.
    random_erasing
        Probability that a rectangle of an image is erased.
    colour
        R, G, B in 0 to 255 of what is erased or moved in; None: each image's own mean.
    """

    randaugment: str | None
    random_erasing: float
    colour: tuple[int, int, int] | None

    def __call__(
        self, images: Tensor, *, seed: int, step: int, part: slice = slice(None)
    ) -> Tensor:
        """Augment a batch, or a part of one.

        Parameters
        ----------
        images
            (P, 3, H, W) uint8: the images of the part.
        seed, step
            What happens to the image at position i of the whole batch is a function of these two
            and of i.
        part
            Positions of the images in the whole batch; its start must not be negative.

        Returns
        -------
        Tensor
            (P, 3, H, W) uint8, a new one.
        """
        start, stride = part.start or 0, part.step or 1
        if start < 0 or stride < 1:
            raise ValueError(f"part must count from the front, got {part}")
        result = images.clone()
        for number in range(len(images)):
            position = start + stride * number
            if self.randaugment is not None:
                result[number] = _randaugmented(
                    result[number], self.randaugment, self._colour_of(result[number]),
                    seed=derive_seed(seed, "randaugment", step, position),
                )  # fmt: skip
            if self.random_erasing > 0:
                _erase(
                    result[number], self.random_erasing, self._colour_of(result[number]),
                    generator(seed, "erase", step, position),
                )  # fmt: skip
        return result

    def _colour_of(self, image: Tensor) -> tuple[int, int, int]:
        if self.colour is not None:
            return self.colour
        red, green, blue = image.double().mean((1, 2)).round().int().tolist()
        return red, green, blue


def extra_augmentation(
    config: TrainConfig, *, mean: Tensor | None = None
) -> ExtraAugmentation | None:
    """What ``config.randaugment`` and ``config.random_erasing`` ask for.

    Parameters
    ----------
    config
        The options.
    mean
        Mean of R, G, B in [0, 255], (3,): the colour of what is erased or moved in. None: of the
        constants that ``config.normalization`` names, else each image's own mean colour.

    Returns
    -------
    ExtraAugmentation or None
        None if neither is asked for. It can be pickled.

    Raises
    ------
    DataError
        If timm cannot be imported.
    ValueError
        If timm does not understand ``config.randaugment``.
    """
    if config.randaugment is None and config.random_erasing == 0:
        return None
    if mean is None and (constants := constant_normalization(config.normalization)) is not None:
        mean = constants[0]
    colour = None
    if mean is not None:
        red, green, blue = mean.round().clamp(0, 255).int().tolist()
        colour = red, green, blue
    if config.randaugment is not None:
        _transform(config.randaugment, (128, 128, 128), 32)  # wrong options show at once
    return ExtraAugmentation(config.randaugment, config.random_erasing, colour)


@cache
def _transform(name: str, colour: tuple[int, int, int], side: int) -> Callable[[Any], Any]:
    """RandAugment of timm; ``side`` is that of the image in pixels, for the size of shifts."""
    try:
        from timm.data.auto_augment import rand_augment_transform
    except (ImportError, RuntimeError) as error:
        # RuntimeError: a torchvision that was built for another torch.
        raise DataError(
            f"randaugment {name!r} needs timm, which cannot be imported ({error}): "
            "pip install 'jpegdl[zoo]'"
        ) from error
    try:
        # As timm sets it up for its own training: shifts of up to 45 % of the side.
        return rand_augment_transform(
            name, {"translate_const": int(0.45 * side), "img_mean": colour}
        )
    except (AssertionError, KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"randaugment must be an option of timm's RandAugment, such as "
            f"'rand-m9-mstd0.5-inc1'; got {name!r} ({error})"
        ) from error


def _randaugmented(image: Tensor, name: str, colour: tuple[int, int, int], *, seed: int) -> Tensor:
    """One image (3, H, W) uint8 after RandAugment."""
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    transform = _transform(name, colour, min(picture.size))
    with _global_randomness(seed):
        picture = transform(picture)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@contextmanager
def _global_randomness(seed: int) -> Iterator[None]:
    """Seed the global states of Python and NumPy, which timm draws from, and put them back."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _erase(
    image: Tensor, probability: float, colour: tuple[int, int, int], source: torch.Generator
) -> None:
    """Erase a rectangle of (3, H, W) in place, or none."""
    height, width = image.shape[1:]
    happens, *draws = torch.rand(1 + 4 * TRIES, generator=source, dtype=torch.float64).tolist()
    if happens >= probability:
        return
    low, high = (math.log(ratio) for ratio in ERASED_RATIO)
    for area, ratio, down, across in zip(*[iter(draws)] * 4, strict=True):
        wanted = height * width * (ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * area)
        shape = math.exp(low + (high - low) * ratio)
        h, w = round(math.sqrt(wanted * shape)), round(math.sqrt(wanted / shape))
        if 0 < h < height and 0 < w < width:
            top, left = int(down * (height - h + 1)), int(across * (width - w + 1))
            erased = image[:, top : top + h, left : left + w]
            erased[:] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
            return
