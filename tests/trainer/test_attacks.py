"""FGSM and PGD: closed forms on linear models, the ball, what they leave alone."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.strategies import seeds
from tests.trainer._attacked import ATTACKS, TwoClasses
from torch_impl import JPEGLayer
from trainer.attacks import RobustAccuracy, fgsm, pgd, robust_accuracy
from trainer.networks import SmallCNN

SHAPE = (3, 4, 5)
SIZE = math.prod(SHAPE)


class Network(nn.Module):
    """JPEG layer, normalization and a small network, as the paper composes them."""

    def __init__(self) -> None:
        super().__init__()
        self.jpeg = JPEGLayer(q=2.0)
        self.network = SmallCNN(classes=3, width=2)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network((self.jpeg(image) - 120) / 60)
        return logits


def pixels(count: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(count, *SHAPE, generator=generator, dtype=dtype)


def linear(seed: int, dtype: torch.dtype = torch.float64) -> TwoClasses:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(SIZE, generator=generator, dtype=dtype) / 255
    return TwoClasses(weight, float(-127.5 * weight.sum()))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors in many threads wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@given(seed=seeds, epsilon=st.one_of(st.floats(0.01, 40), st.just(300.0)), steps=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_on_a_linear_model_both_attacks_reach_the_analytical_maximum(
    seed: int, epsilon: float, steps: int
) -> None:
    model, images = linear(seed % 1000), pixels(4, seed % 1001, torch.float64)
    labels = torch.tensor([0, 1, 0, 1])
    sign = 1 - 2.0 * labels.double()  # class 0 is lost where the score of class 1 rises
    towards = sign[:, None] * model.weight.detach()
    flat = images.flatten(1)
    low, high = (flat - epsilon).clamp(0, 255), (flat + epsilon).clamp(0, 255)
    worst = torch.where(towards > 0, high, low)
    score = (worst * towards).sum(1) + sign * model.bias
    maximum = torch.logaddexp(torch.zeros_like(score), score)
    attacked = fgsm(model, images, labels, epsilon=epsilon)
    loss = functional.cross_entropy(model(attacked), labels, reduction="none")
    # 60 products and their sum, in two orders; the loss has slope 1 in the score.
    torch.testing.assert_close(loss, maximum, rtol=1e-12, atol=1e-11)
    # 2.5 epsilon of way along a constant sign: every pixel comes to its end of the interval.
    iterated = pgd(
        model, images, labels, epsilon=epsilon, steps=steps, generator=generator_of(seed)
    )
    assert torch.equal(iterated, attacked)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_fgsm_is_the_formula() -> None:
    model = TwoClasses(torch.tensor([2.0, -3.0, 0.0, 1.0]), 0.0)
    images = torch.tensor([[10.0, 20.0, 30.0, 254.0], [1.0, 20.0, 30.0, 40.0]])
    attacked = fgsm(model, images, torch.tensor([0, 1]), epsilon=4)
    assert attacked.tolist() == [[14.0, 16.0, 30.0, 255.0], [0.0, 24.0, 30.0, 36.0]]


def test_pgd_step_by_step_is_the_formula() -> None:
    model = TwoClasses(torch.tensor([2.0, -3.0, 0.0, 1.0]), 0.0)
    images = torch.tensor([[10.0, 20.0, 30.0, 254.5]])
    labels = torch.tensor([0])
    options: dict[str, Any] = {"epsilon": 4, "random_start": False}
    one = pgd(model, images, labels, step_size=1.5, steps=1, **options)
    assert one.tolist() == [[11.5, 18.5, 30.0, 255.0]]
    two = pgd(model, images, labels, step_size=1.5, steps=2, **options)
    assert two.tolist() == [[13.0, 17.0, 30.0, 255.0]]
    ten = pgd(model, images, labels, step_size=1.5, steps=10, **options)
    assert ten.tolist() == [[14.0, 16.0, 30.0, 255.0]]


class Pixels(nn.Module):
    """Logits that are the pixels themselves, for losses of the pixels."""

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)


@pytest.mark.parametrize(("epsilon", "steps", "step"), [(6.0, 3, 5.0), (8.0, 5, 4.0)])
def test_default_step_is_that_of_the_paper(epsilon: float, steps: int, step: float) -> None:
    images, labels = torch.full((1, 4), 100.0), torch.tensor([0])

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return -(logits - 100.25).square().sum()

    # Up, down, up, ... around the maximum: an odd number of steps ends one step up.
    attacked = pgd(
        Pixels(), images, labels, epsilon=epsilon, steps=steps, random_start=False, loss=loss
    )
    assert attacked.tolist() == [[100 + step] * 4]


def test_pgd_finds_a_maximum_inside_the_ball_that_fgsm_oversteps() -> None:
    images = pixels(2, 5, torch.float64)
    # Half the way to the edge of the ball at most.
    goal = (images + 8 * torch.rand(images.shape, generator=generator_of(6)) - 4).clamp(0, 255)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return -(logits - goal.flatten(1)).square().sum()

    labels = torch.zeros(2, dtype=torch.int64)
    options: dict[str, Any] = {"epsilon": 8.0, "loss": loss}
    attacked = pgd(Pixels(), images, labels, step_size=0.25, steps=80, **options)
    # Sign steps of fixed length end within one step of it (and a rounding of 255).
    assert (attacked - goal).abs().max() <= 0.25 + 1e-9
    # FGSM comes no nearer than 4, unless the range stops it.
    overstepped = fgsm(Pixels(), images, labels, **options)
    assert loss(attacked.flatten(1), labels) > 0.01 * loss(overstepped.flatten(1), labels)


@st.composite
def exact_pixels(draw: st.DrawFn, dtype: torch.dtype) -> Tensor:
    """Pixels with awkward binary expansions, near 0, 255 and powers of two among them."""
    width = 32 if dtype == torch.float32 else 64
    notable = st.sampled_from([0.0, 255.0, 1e-30, 0.1, 1.0, 127.99999, 128.0, 1e-45])
    values = st.one_of(st.floats(0, 255, width=width), notable)
    return torch.tensor(draw(st.lists(values, min_size=1, max_size=30)), dtype=dtype)[:, None]


@given(data=st.data(), dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=150, deadline=None)
def test_no_pixel_leaves_the_ball_or_the_range_not_even_by_rounding(
    data: st.DataObject, dtype: torch.dtype
) -> None:
    images = data.draw(exact_pixels(dtype))
    epsilon = data.draw(
        st.one_of(st.floats(0, 300), st.sampled_from([0.1, 1 / 3, 8.0, 1e-7, 1e-40, 8 / 255]))
    )
    sign = data.draw(st.sampled_from([-1.0, 1.0]))
    model = TwoClasses(torch.tensor([sign / 100], dtype=dtype), 0.0)
    labels = torch.zeros(len(images), dtype=torch.int64)
    generator = generator_of(data.draw(seeds))
    at_end = fgsm(model, images, labels, epsilon=epsilon)
    steps = pgd(model, images, labels, epsilon=epsilon, steps=2, generator=generator)
    inside = pgd(model, images, labels, epsilon=epsilon, steps=1, step_size=epsilon / 7 or 1.0)
    reach = Fraction(epsilon)
    for attacked in (at_end, steps, inside):
        for before, after in zip(
            images.flatten().tolist(), attacked.flatten().tolist(), strict=True
        ):
            assert abs(Fraction(after) - Fraction(before)) <= reach
            assert 0 <= after <= 255
    # And the end of the ball is its end: the next number is outside.
    beyond = torch.nextafter(at_end, torch.full_like(at_end, sign * math.inf))
    reach_in_dtype = Fraction(reach_of(epsilon, dtype))
    for before, after in zip(images.flatten().tolist(), beyond.flatten().tolist(), strict=True):
        assert not 0 <= after <= 255 or abs(Fraction(after) - Fraction(before)) > reach_in_dtype


def reach_of(epsilon: float, dtype: torch.dtype) -> float:
    """The largest number of the dtype that is at most epsilon."""
    kind = np.float32 if dtype == torch.float32 else np.float64
    rounded = kind(epsilon)
    return float(np.nextafter(rounded, kind(0)) if float(rounded) > epsilon else rounded)


@pytest.mark.parametrize("attack", ATTACKS)
def test_epsilon_zero_gives_the_images_bit_for_bit_in_memory_of_their_own(
    attack: Callable[..., Tensor], network: Network
) -> None:
    images = pixels(2, 1)
    images[0, 0, 0, 0] = -0.0
    attacked = attack(network, images, torch.tensor([0, 1]), epsilon=0)
    assert torch.equal(attacked.view(torch.int32), images.view(torch.int32))
    attacked += 1
    assert torch.equal(images, images.clamp(0, 255))


@pytest.mark.parametrize("attack", ATTACKS)
def test_pixels_without_influence_stay_with_fgsm_and_keep_their_random_start_with_pgd(
    attack: Callable[..., Tensor],
) -> None:
    weight = torch.randn(SIZE, generator=generator_of(2))
    weight[::2] = 0
    model, images = TwoClasses(weight / 255, 0.0), pixels(3, 2)
    labels = torch.tensor([0, 1, 1])
    still = attack if attack is fgsm else functools.partial(attack, random_start=False)
    attacked = still(model, images, labels, epsilon=5.0).flatten(1)
    assert torch.equal(attacked[:, ::2], images.flatten(1)[:, ::2])
    assert (attacked[:, 1::2] != images.flatten(1)[:, 1::2]).all()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.detach().clone() for name, value in tensors.items()}


@pytest.mark.parametrize("attack", [*ATTACKS, None])
def test_the_model_and_the_images_are_left_as_they_were(
    attack: Callable[..., Tensor] | None, network: Network
) -> None:
    network.train()
    bn = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    bn.eval()  # frozen, as in fine-tuning
    with torch.no_grad():
        network.jpeg.q[0, 0, 0] = 300.0  # a training pass would clamp it
    for i, parameter in enumerate(network.parameters()):
        parameter.grad = torch.full_like(parameter, float(i)) if i % 2 else None
    modes = [module.training for module in network.modules()]
    grads = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    before = state_of(network)
    images = pixels(3, 3).requires_grad_()
    labels = torch.tensor([0, 1, 2])
    if attack is None:
        robust_accuracy(network, [(images, labels)], fgsm, [0, 2.0])
    else:
        attacked = attack(network, images, labels, epsilon=2.0)
        assert not attacked.requires_grad
        assert not torch.equal(attacked, images)
    assert [module.training for module in network.modules()] == modes
    assert not bn.training
    after = state_of(network)
    assert all(torch.equal(before[name], after[name]) for name in before)
    for parameter, grad in zip(network.parameters(), grads, strict=True):
        assert parameter.requires_grad
        assert (parameter.grad is None) == (grad is None)
        assert grad is None or torch.equal(parameter.grad, grad)
    assert images.grad is None
    assert images.requires_grad


def test_modes_come_back_after_an_error(network: Network) -> None:
    network.train()
    with pytest.raises(ValueError, match="labels must be below the 3 classes of the model, got 7"):
        fgsm(network, pixels(1, 4), torch.tensor([7]), epsilon=1.0)
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_work_where_gradients_are_off(
    mode: Callable[[], Any], attack: Callable[..., Tensor], network: Network
) -> None:
    options = {} if attack is fgsm else {"random_start": False}
    images, labels = pixels(2, 7), torch.tensor([0, 2])
    expected = attack(network, images, labels, epsilon=3.0, **options)
    with mode():
        result = attack(network, images * 1, labels * 1, epsilon=3.0, **options)
    assert torch.equal(result, expected)


def test_random_start_comes_from_the_generator_alone(network: Network) -> None:
    images, labels = pixels(2, 8), torch.tensor([0, 2])

    def attack(seed: int) -> Tensor:
        generator = generator_of(seed)
        return pgd(network, images, labels, epsilon=3.0, steps=1, generator=generator)

    state = torch.get_rng_state()
    first, again, other = attack(1), attack(1), attack(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Uniform in the ball: a negligible step leaves the start. 120 draws miss the outer tenths
    # with probability 0.9^120.
    images = images.clamp(10, 240)
    start = pgd(network, images, labels, epsilon=3.0, steps=1, step_size=1e-6)
    distance = start - images
    assert distance.min() < -2.4
    assert distance.max() > 2.4


def test_attacks_go_through_the_jpeg_layer(network: Network) -> None:
    network.eval()
    images = torch.rand(6, 3, 16, 16, generator=generator_of(9)) * 255
    labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def loss(x: Tensor) -> float:
        return functional.cross_entropy(network(x), labels).item()

    clean = loss(images)
    one = loss(fgsm(network, images, labels, epsilon=4.0))
    ten = loss(pgd(network, images, labels, epsilon=4.0, steps=10, generator=generator_of(1)))
    noise = (torch.rand(images.shape, generator=generator_of(2)) > 0.5) * 8.0 - 4
    assert loss((images + noise).clamp(0, 255)) < one < ten
    assert clean < one


def test_accuracy_under_fgsm_is_the_share_of_images_beyond_their_robust_radius() -> None:
    weight = torch.tensor([0.5, -0.25, 0.0, 0.25])
    model = TwoClasses(weight, 0.0)
    base = torch.tensor([100.0, 100.0, 100.0, 100.0])
    # Class 1 with score r |w|_1: an attack of epsilon > r flips it.
    radii = [-2.0, 1.0, 3.0, 5.0, 9.0]
    offset = float(-(base @ weight))
    images = torch.stack([base + torch.tensor([2 * r, 0, 0, 0]) for r in radii])
    model.bias = offset
    labels = torch.ones(5, dtype=torch.int64)
    seen: list[tuple[int, tuple[float, ...]]] = []
    loader = ((images[i : i + 2], labels[i : i + 2]) for i in range(0, 5, 2))
    result = robust_accuracy(
        model, loader, fgsm, [0, 2.0, 4.0, 20], progress=lambda n, a: seen.append((n, a))
    )
    assert result == RobustAccuracy((0.0, 2.0, 4.0, 20.0), (0.8, 0.6, 0.4, 0.0), (5, 0, 0, 0), 5)
    assert [n for n, _ in seen] == [2, 4, 5]
    assert seen[0][1] == (0.5, 0.0, 0.0, 0.0)
    assert seen[-1][1] == result.accuracy
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.images = 3  # type: ignore[misc]


def test_vanishing_gradients_are_counted_not_taken_for_robustness() -> None:
    class Rounded(TwoClasses):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.round())

    model = Rounded(torch.ones(SIZE), -SIZE * 100.0)
    images = pixels(4, 10).to(torch.uint8)
    labels = (images.float().mean((1, 2, 3)) > 100).long()
    attack = functools.partial(pgd, steps=2, random_start=False)
    result = robust_accuracy(model, [(images, labels)], attack, [8.0])
    assert result == RobustAccuracy((8.0,), (1.0,), (4,), 4)
