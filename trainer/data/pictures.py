"""The embedded data set: 32x32 patches of the pictures inside the scikit-image package.

A class is a picture: the network is asked which picture a patch was cut from. Every picture
is divided into a 4x4 grid of cells. Four cells, one in each row and column, are for
validation, the other twelve for training, and no patch reaches across: training and
validation share no pixel. Patches of the same side may overlap each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainer._randomness import derive_seed
from trainer.data.memory import ImageData
from trainer.errors import DataError

PATCH = 32
MARGIN = 4
GRID = 4

# Photographs and micrographs that the wheel carries since 0.24 or earlier. The others that it
# carries are drawings, text, masks, or smaller than the grid needs.
PICTURES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "cell": "cell.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}


@dataclass(frozen=True)
class PatchPlan:
    """Where the patches of one picture are cut.

    Parameters
    ----------
    train
        (N, 2) top row and left column of training tiles, side ``PATCH + 2 * MARGIN``.
    val
        (M, 2) top row and left column of validation patches, side ``PATCH``.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]


def picture_folder() -> Path:
    """Folder of the pictures inside the installed scikit-image.

    Raises
    ------
    DataError
        If scikit-image is not installed. Nothing is ever downloaded.
    """
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "the embedded data set needs scikit-image, which is not installed: "
            "pip install 'jpegdl[trainer]' (or train on your own pictures with --data)"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def read_picture(name: str) -> NDArray[np.uint8]:
    """One picture by class name as (H, W, 3) uint8; grey ones repeat their channel three times.

    Raises
    ------
    DataError
        If the installed scikit-image does not carry the file, or it cannot be read.
    """
    from PIL import Image

    path = picture_folder() / PICTURES[name]
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise DataError(
            f"the installed scikit-image does not carry {PICTURES[name]}; "
            "install a release that does: pip install --force-reinstall 'jpegdl[trainer]'"
        ) from None
    except OSError as error:
        raise DataError(f"{PICTURES[name]} of scikit-image cannot be read: {error}") from error
    pixels.setflags(write=False)
    return pixels


def validation_mask(height: int, width: int, *, seed: int) -> NDArray[np.bool_]:
    """(H, W) mask of the validation cells: one in each row and each column of the grid."""
    columns = np.random.default_rng(seed).permutation(GRID)
    rows_at = np.arange(height) * GRID // height  # grid row of each pixel row
    columns_at = np.arange(width) * GRID // width
    mask: NDArray[np.bool_] = columns[rows_at][:, None] == columns_at[None, :]
    return mask


def plan_patches(
    height: int, width: int, *, train: int, val: int, margin: int = MARGIN, seed: int
) -> PatchPlan:
    """Places of the patches in a picture of ``height`` x ``width`` pixels.

    Parameters
    ----------
    height, width
        Size of the picture in pixels.
    train, val
        How many patches of each kind. Places are drawn without repetition.
    margin
        Rim of the training tiles in pixels.
    seed
        Chooses the validation cells and the places.

    Raises
    ------
    DataError
        If the picture has fewer places than asked for.
    """
    mask = validation_mask(height, width, seed=seed)
    rng = np.random.default_rng(derive_seed(seed, "places"))
    return PatchPlan(
        train=_draw(_free_places(mask, PATCH + 2 * margin), train, rng, "training"),
        val=_draw(_free_places(~mask, PATCH), val, rng, "validation"),
    )


def _free_places(taken: NDArray[np.bool_], side: int) -> NDArray[np.int64]:
    """Top left corners of all squares that touch no taken pixel, (P, 2)."""
    sums = np.zeros((taken.shape[0] + 1, taken.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = taken.cumsum(0).cumsum(1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.argwhere(inside == 0)


def _draw(
    places: NDArray[np.int64], count: int, rng: np.random.Generator, kind: str
) -> NDArray[np.int64]:
    if count > len(places):
        raise DataError(
            f"a picture has {len(places)} places for {kind} patches, {count} were asked for; "
            "ask for fewer patches per class"
        )
    return places[np.sort(rng.choice(len(places), count, replace=False))]


def cut_pictures(*, train_per_class: int, val_per_class: int, seed: int) -> ImageData:
    """The embedded data set.

    Parameters
    ----------
    train_per_class, val_per_class
        Patches per picture.
    seed
        Same seed, same patches.

    Returns
    -------
    ImageData
        One class per picture; 32x32 images, training tiles with a rim of 4 pixels that is
        real picture content from inside the training cells.

    Raises
    ------
    DataError
        If scikit-image is missing or a picture is too small for the counts.
    """
    tiles, patches = [], []
    for name in PICTURES:
        picture = read_picture(name)
        plan = plan_patches(
            *picture.shape[:2],
            train=train_per_class,
            val=val_per_class,
            seed=derive_seed(seed, name),
        )
        tiles.append(_cut(picture, plan.train, PATCH + 2 * MARGIN))
        patches.append(_cut(picture, plan.val, PATCH))
    labels = torch.arange(len(PICTURES))
    return ImageData(
        classes=tuple(PICTURES),
        train_tiles=torch.cat(tiles),
        train_labels=labels.repeat_interleave(train_per_class),
        val_images=torch.cat(patches),
        val_labels=labels.repeat_interleave(val_per_class),
        margin=MARGIN,
        origin=f"{len(PICTURES)} pictures of scikit-image, 32x32 patches, class = picture",
    )


def _cut(picture: NDArray[np.uint8], places: NDArray[np.int64], side: int) -> torch.Tensor:
    rows = places[:, 0, None, None] + np.arange(side)[:, None]
    columns = places[:, 1, None, None] + np.arange(side)
    patches = picture[rows, columns]  # (P, side, side, 3)
    return torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2)))
