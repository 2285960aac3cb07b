"""RandAugment and random erasing: a function of seed, step and position; what is erased."""

from __future__ import annotations

import importlib.util
import pickle
import random
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tests.trainer import _archives as made
from trainer import DataError, TrainConfig
from trainer.data import augmentation, extra_augmentation

HAS_TIMM = importlib.util.find_spec("timm") is not None


def _stand_in(name: str, hparams: dict[str, object]) -> object:
    """Draws from the same two global states as timm does, and shows what it drew."""
    if not name.startswith("rand"):
        raise AssertionError
    if "q" in name:
        raise AssertionError("Unknown RandAugment config section")

    def transform(picture: Image.Image) -> Image.Image:
        picture = ImageOps.posterize(picture, random.randint(2, 8))
        shift = int(np.random.randint(1, picture.width))  # noqa: NPY002
        pixels = np.roll(np.array(picture), shift, axis=1)
        pixels[0, 0] = hparams["img_mean"]
        pixels[0, 1] = hparams["translate_const"]
        return Image.fromarray(pixels)

    return transform


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for timm's function, so that this runs without it."""
    module = types.ModuleType("timm.data.auto_augment")
    module.rand_augment_transform = _stand_in  # type: ignore[attr-defined]
    for name in ("timm", "timm.data"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "timm.data.auto_augment", module)
    augmentation._transform.cache_clear()
    yield
    augmentation._transform.cache_clear()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """(6, 3, 40, 48) uint8."""
    stack = np.stack([made.pixels(number, 48, 40) for number in range(6)])
    return torch.from_numpy(stack.transpose(0, 3, 1, 2).copy())


def test_nothing_asked_for_is_none() -> None:
    assert extra_augmentation(TrainConfig()) is None


CONFIGS = {
    "erasing": TrainConfig(random_erasing=0.9),
    "randaugment": TrainConfig(randaugment="rand-m9-mstd0.5-inc1"),
    "both": TrainConfig(randaugment="rand-m9-mstd0.5-inc1", random_erasing=0.9),
}


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("kind", CONFIGS)
def test_each_image_depends_on_seed_step_and_position_alone(kind: str, images: Tensor) -> None:
    extra = extra_augmentation(CONFIGS[kind])
    assert extra is not None
    before = images.clone()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    whole = extra(images, seed=1, step=2)
    assert torch.equal(images, before), "the images given stay as they were"
    assert whole.dtype == torch.uint8
    assert not torch.equal(whole, images)
    random.seed(5)  # what happens elsewhere must not matter
    np.random.seed(5)  # noqa: NPY002
    copy = pickle.loads(pickle.dumps(extra))  # noqa: S301 - written a moment ago
    for part in (slice(None), slice(0, 3), slice(2, 6), slice(5, None), slice(1, None, 2)):
        assert torch.equal(extra(images[part], seed=1, step=2, part=part), whole[part])
        assert torch.equal(copy(images[part], seed=1, step=2, part=part), whole[part])
    assert not torch.equal(extra(images, seed=2, step=2), whole)
    assert not torch.equal(extra(images, seed=1, step=3), whole)
    same = images[:1].expand(6, -1, -1, -1)
    assert len(torch.unique(extra(same, seed=1, step=2), dim=0)) > 1, "positions differ"


@pytest.mark.usefixtures("timm")
def test_global_random_states_stay_as_they_were(images: Tensor) -> None:
    extra = extra_augmentation(CONFIGS["both"])
    assert extra is not None
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(())  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    extra(images, seed=1, step=2)
    assert (random.random(), np.random.rand(), torch.rand(())) == expected  # noqa: NPY002


@pytest.mark.usefixtures("timm")
def test_randaugment_moves_in_the_mean_colour_and_by_45_percent(images: Tensor) -> None:
    for config, mean, colour in (
        (TrainConfig(randaugment="rand-m9", normalization="imagenet"), None, [124, 116, 104]),
        (TrainConfig(randaugment="rand-m9"), torch.tensor([1.2, 99.6, 255.4]), [1, 100, 255]),
        (
            TrainConfig(randaugment="rand-m9"),
            None,
            images[0].double().mean((1, 2)).round().tolist(),
        ),
    ):
        extra = extra_augmentation(config, mean=mean)
        assert extra is not None
        result = extra(images[:1], seed=0, step=0)[0]
        assert result[:, 0, 0].tolist() == colour
        assert result[:, 0, 1].tolist() == [18, 18, 18]  # 0.45 of 40


def _erased(before: Tensor, after: Tensor) -> tuple[int, int, int, int] | None:
    """Bounding box (top, left, height, width) of what differs."""
    rows, columns = (before != after).any(0).nonzero(as_tuple=True)
    if not len(rows):
        return None
    top, left = int(rows.min()), int(columns.min())
    return top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1


def test_erased_rectangles_have_the_right_share_size_shape_and_colour() -> None:
    extra = extra_augmentation(
        TrainConfig(random_erasing=0.3), mean=torch.tensor([10.0, 20.0, 30.0])
    )
    assert extra is not None
    count, side = 3000, 64
    blank = torch.full((count, 3, side, side), 200, dtype=torch.uint8)
    after = extra(blank, seed=0, step=0)
    boxes = [box for a, b in zip(blank, after, strict=True) if (box := _erased(a, b)) is not None]
    # 3,000 draws: a standard deviation of sqrt(0.3 * 0.7 / 3000) = 0.0084; three of them. Hardly
    # ever do ten rectangles in a row not fit.
    assert len(boxes) / count == pytest.approx(0.3, abs=0.025)
    for top, left, height, width in boxes:
        assert 0 < height < side
        assert 0 < width < side
        # Sides are rounded: half a pixel each.
        assert (height + 0.5) * (width + 0.5) >= 0.02 * side * side
        assert (height - 0.5) * (width - 0.5) <= side * side / 3
        assert (height + 0.5) / (width - 0.5) >= 0.3
        assert (height - 0.5) / (width + 0.5) <= 1 / 0.3
        assert top + height <= side
        assert left + width <= side
    heights = np.array(boxes)[:, 2:]
    assert heights.min() < 10, "small ones occur"
    assert heights.max() > 45, "large ones occur"
    for index in (after != 200).any(1).flatten(1).any(1).nonzero().flatten()[:20].tolist():
        top, left, height, width = _erased(blank[index], after[index]) or (0, 0, 0, 0)
        inside = after[index, :, top : top + height, left : left + width]
        assert inside.flatten(1).unique(dim=1).flatten().tolist() == [10, 20, 30]


def test_without_a_mean_the_images_own_colour_is_filled_in(images: Tensor) -> None:
    extra = extra_augmentation(TrainConfig(random_erasing=1.0))
    assert extra is not None
    after = extra(images, seed=0, step=0)
    for before, image in zip(images, after, strict=True):
        top, left, height, width = _erased(before, image) or (0, 0, 0, 0)
        middle = image[:, top + height // 2, left + width // 2]
        assert torch.equal(middle.double(), before.double().mean((1, 2)).round())


def test_a_part_from_behind_is_refused(images: Tensor) -> None:
    extra = extra_augmentation(CONFIGS["erasing"])
    assert extra is not None
    for part in (slice(-2, None), slice(None, None, -1)):
        with pytest.raises(ValueError, match="part must count from the front"):
            extra(images[:2], seed=0, step=0, part=part)


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation._transform.cache_clear()
    monkeypatch.setitem(sys.modules, "timm.data.auto_augment", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DataError, match=r"'rand-m9' needs timm.*jpegdl\[zoo\]"):
        extra_augmentation(TrainConfig(randaugment="rand-m9"))


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", ["augmix", "rand-q9"])
def test_a_wrong_option_shows_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"randaugment must be an option.*got '{name}'"):
        extra_augmentation(TrainConfig(randaugment=name))


@pytest.mark.skipif(not HAS_TIMM, reason="needs timm, of the extra zoo")
def test_with_timm_a_part_of_a_batch_is_that_part(images: Tensor) -> None:
    augmentation._transform.cache_clear()
    extra = extra_augmentation(CONFIGS["both"])
    assert extra is not None
    whole = extra(images, seed=1, step=2)
    assert not torch.equal(whole, images)
    assert torch.equal(extra(images[2:5], seed=1, step=2, part=slice(2, 5)), whole[2:5])
    with pytest.raises(ValueError, match="randaugment must be an option"):
        extra_augmentation(TrainConfig(randaugment="rand-q9"))
