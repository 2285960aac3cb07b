"""Batches are a function of seed and step; mixing is a function of the step alone."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer import DataError, TrainConfig, train
from trainer._randomness import generator
from trainer.batches import VAL_BATCH, Share, StepBatches, train_batches, val_batches
from trainer.data import ImageData
from trainer.mixing import Mixture, draw_mixture


def test_a_pass_shows_every_image_at_most_once_and_the_next_another_order(
    config: TrainConfig, data: ImageData
) -> None:
    labelled = dataclasses.replace(data, train_labels=torch.arange(24))
    batches = list(train_batches(labelled, config, Share(), range(6)))
    first, second = (torch.cat([b.label for b in batches[i : i + 3]]) for i in (0, 3))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(24))
    assert first.tolist() != second.tolist()
    assert first.tolist() == torch.randperm(24, generator=generator(0, "order", 1)).tolist()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_any_step_alone_is_that_step_of_a_whole_run(
    workers: int, config: TrainConfig, data: ImageData
) -> None:
    config = dataclasses.replace(config, workers=workers, mixup=1.0)
    state = torch.get_rng_state()
    whole = list(train_batches(data, config, Share(), range(9)))
    late = next(train_batches(data, config, Share(), range(4, 9)))
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(whole[4], late, strict=True):
        assert isinstance(one, Tensor)
        assert torch.equal(one, other)
    assert whole[4].image.dtype == torch.uint8


@pytest.mark.parametrize("world", [2, 4])
def test_the_parts_of_all_processes_are_the_batch(
    world: int, config: TrainConfig, data: ImageData
) -> None:
    config = dataclasses.replace(config, cutmix=1.0)
    whole = StepBatches(data, config, Share())[5]
    parts = [StepBatches(data, config, Share(rank, world))[5] for rank in range(world)]
    for index, expected in enumerate(whole):
        assert torch.equal(torch.cat([part[index] for part in parts]), expected)
    image, label, partner, partner_label = whole
    assert torch.equal(partner, image.flip(0))
    assert torch.equal(partner_label, label.flip(0))


def test_batches_travel_to_other_processes(config: TrainConfig, data: ImageData) -> None:
    items = StepBatches(data, config, Share())
    again = pickle.loads(pickle.dumps(items))  # noqa: S301  # written here
    assert torch.equal(again[2].image, items[2].image)


@pytest.mark.parametrize("world", [1, 3])
def test_validation_images_come_once_over_all_processes(
    world: int, config: TrainConfig, data: ImageData
) -> None:
    count = 3 * VAL_BATCH + 5
    many = dataclasses.replace(
        data,
        val_images=torch.zeros(count, 3, 1, 1, dtype=torch.uint8),
        val_labels=torch.arange(count),
    )
    seen = [b.label for rank in range(world) for b in val_batches(many, config, Share(rank, world))]
    assert torch.cat(seen).sort().values.tolist() == list(range(count))


class _Damaged(ImageData):
    def train_batch(self, *args: object, **kwargs: object) -> Tensor:
        raise DataError("picture 7 cannot be read")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_one_line_wherever_it_is_read(
    workers: int, config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    fields = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
    config = dataclasses.replace(config, workers=workers)
    with pytest.raises(DataError, match=r"^picture 7 cannot be read$"):
        train(config, tmp_path, data=_Damaged(**fields))


def test_mixup_is_a_weighted_mean_and_its_labels_weigh_as_much() -> None:
    config = TrainConfig(mixup=0.4)
    mixture = draw_mixture(config, 3, (16, 16))
    own, partner = torch.full((2, 3, 4, 4), 100.0), torch.full((2, 3, 4, 4), 200.0)
    mixed = mixture.images(own, partner)
    # One float32 rounding of a number near 200.
    assert mixed.unique().item() == pytest.approx(200 - 100 * mixture.weight, abs=2e-5)


def test_cutmix_weighs_by_the_pixels_that_are_left() -> None:
    config = TrainConfig(cutmix=1.0)
    weights = []
    for step in range(200):
        mixture = draw_mixture(config, step, (16, 24))
        kept = mixture.images(torch.ones(1, 3, 16, 24), torch.zeros(1, 3, 16, 24))
        assert mixture.weight == pytest.approx(kept.mean().item(), abs=1e-6)
        weights.append(mixture.weight)
    assert min(weights) < 0.3
    assert max(weights) > 0.95


def test_the_mixture_is_a_function_of_seed_and_step() -> None:
    both = TrainConfig(mixup=0.8, cutmix=1.0)
    drawn = [draw_mixture(both, step, (8, 8)) for step in range(400)]
    assert drawn == [draw_mixture(both, step, (8, 8)) for step in range(400)]
    assert drawn != [draw_mixture(dataclasses.replace(both, seed=1), s, (8, 8)) for s in range(400)]
    # Either with probability 1/2: 200 of 400, give or take five standard deviations of 10.
    assert 150 < sum(mixture.box is None for mixture in drawn) < 250
    # Beta(0.8, 0.8) has mean 1/2 and variance 1/10.4: 5 x sqrt(1/10.4/150).
    mean = torch.tensor([m.weight for m in drawn if m.box is None]).mean().item()
    assert mean == pytest.approx(0.5, abs=0.13)
    assert Mixture(0.5).box is None
