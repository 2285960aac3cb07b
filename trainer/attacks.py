"""FGSM and PGD on the pixels that the JPEG layer reads, and the accuracy that is left.

Epsilon and step sizes are in pixel units, [0, 255]: an epsilon of 8 is the 8/255 of the
literature. The model holds everything behind the pixels: JPEG layer, normalization, network.

References
----------
JPEG Inspired Deep Learning, section 5 ("Robustness") and Fig. 3: FGSM and PGD on CIFAR-100 with
a step size of 2.5 epsilon / steps. The text gives neither the number of steps nor the values of
epsilon nor the norm; L-infinity, as in the papers of both attacks, is used here.
Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015 (FGSM).
Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018 (PGD).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer.errors import DivergenceError

PIXEL_MAX = 255.0
STEP_SIZE_RATIO = 2.5
"""step_size = 2.5 epsilon / steps (JPEG-DL, section 5, after Madry)."""

Loss = Callable[[Tensor, Tensor], Tensor]


class Attack(Protocol):
    """What :func:`robust_accuracy` runs: :func:`fgsm`, or ``partial(pgd, steps=20)``."""

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float
    ) -> Tensor:
        """Attacked images."""


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    loss: Loss = cross_entropy,
) -> Tensor:
    """One step of `epsilon` along the sign of the gradient of the loss.

    A pixel whose gradient is zero stays.

    Parameters
    ----------
    model
        From pixels to logits (N, classes). Attacked in eval mode; its mode, parameters, their
        gradients and its statistics are afterwards as before.
    images
        Pixels in [0, 255], (N, ...), float32 or float64.
    labels
        True classes, (N,), int64.
    epsilon
        Largest change of a pixel, at least 0, in pixel units.
    loss
        Of (logits, labels), a single number; what the attack makes large.

    Returns
    -------
    Tensor
        Shape and dtype of `images`, in [0, 255], no element further than `epsilon` from its own
        (exactly, rounding included). Epsilon 0 gives the images bit for bit.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    DivergenceError
        If the loss or its gradient is NaN or infinite.

    Notes
    -----
    The gradient is the model's own. Where it vanishes (hard rounding, saturated logits) an attack
    leaves the images alone, and accuracy under it says nothing about robustness:
    :func:`robust_accuracy` counts such images.

    References
    ----------
    Goodfellow et al. (2015). JPEG Inspired Deep Learning, section 5, Fig. 3.
    """
    epsilon = _check_arguments(model, images, labels, epsilon)
    start = images.detach().clone()
    if epsilon == 0:
        return start
    low, high = _ball(start, epsilon)
    with _evaluating(model):
        gradient = _gradient(model, start, labels, loss)
    return torch.where(gradient > 0, high, torch.where(gradient < 0, low, start))


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    step_size: float | None = None,
    steps: int = 10,
    random_start: bool = True,
    generator: torch.Generator | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Steps along the sign of the gradient, each projected onto the ball and onto [0, 255].

    Parameters
    ----------
    model, images, labels, epsilon, loss
        As for :func:`fgsm`.
    step_size
        Length of a step, positive, in pixel units. Default: ``2.5 * epsilon / steps``, the
        paper's.
    steps
        Number of steps, at least 1. The paper gives none.
    random_start
        Start at a uniformly random point of the ball instead of the image.
    generator
        Source of that randomness, on the device of `images`. Default: torch's own.

    Returns
    -------
    Tensor
        As from :func:`fgsm`.

    Raises
    ------
    TypeError, ValueError, DivergenceError
        As for :func:`fgsm`.

    References
    ----------
    Madry et al. (2018). JPEG Inspired Deep Learning, section 5, Fig. 3.
    """
    epsilon = _check_arguments(model, images, labels, epsilon)
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"steps must be an integer, got {steps!r} of type {type(steps).__name__}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if step_size is None:
        step_size = STEP_SIZE_RATIO * epsilon / steps
    elif _number("step_size", step_size) <= 0:
        raise ValueError(f"step_size must be positive, got {step_size!r}")
    start = images.detach().clone()
    if epsilon == 0:
        return start
    low, high = _ball(start, epsilon)
    attacked = start
    if random_start:
        noise = torch.rand(start.shape, dtype=start.dtype, device=start.device, generator=generator)
        attacked = (start + epsilon * (2 * noise - 1)).clamp(low, high)
    with _evaluating(model):
        for _ in range(steps):
            gradient = _gradient(model, attacked, labels, loss)
            attacked = (attacked + step_size * gradient.sign()).clamp(low, high)
    return attacked


@dataclasses.dataclass(frozen=True)
class RobustAccuracy:
    """Accuracy under an attack, one entry per epsilon."""

    epsilons: tuple[float, ...]
    """Largest change of a pixel, in pixel units; 0 is the accuracy without attack."""
    accuracy: tuple[float, ...]
    """Share of attacked images classified correctly, 0 to 1."""
    unmoved: tuple[int, ...]
    """Images that the attack returned bit for bit: all at epsilon 0; otherwise those whose
    gradient vanished, for which the accuracy says nothing about robustness."""
    images: int
    """Images judged."""


def robust_accuracy(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    attack: Attack,
    epsilons: Sequence[float],
    *,
    progress: Callable[[int, tuple[float, ...]], None] | None = None,
) -> RobustAccuracy:
    """Accuracy of a model under an attack of growing strength, as in Fig. 3.

    Parameters
    ----------
    model
        From pixels to logits (N, classes); judged in eval mode, left as it was.
    loader
        Batches of (images, labels), read once. uint8 images become float32. A batch goes to the
        device of the model's first parameter.
    attack
        :func:`fgsm`, or ``functools.partial(pgd, steps=20, generator=...)``, or another function
        with the same arguments.
    epsilons
        Strengths, at least 0, in pixel units.
    progress
        Called after each batch with the images judged and the accuracies so far.

    Returns
    -------
    RobustAccuracy

    Raises
    ------
    TypeError, ValueError, DivergenceError
        If there are no epsilons or no images, or as the attack does.

    References
    ----------
    JPEG Inspired Deep Learning, section 5, Fig. 3.
    """
    strengths = tuple(_check_epsilon(epsilon) for epsilon in epsilons)
    if not strengths:
        raise ValueError("epsilons must name at least one strength, got none")
    _check_model(model)
    parameter = next(model.parameters(), None)
    correct, unmoved = [0] * len(strengths), [0] * len(strengths)
    total = 0
    for batch, targets in loader:
        images = batch.float() if batch.dtype == torch.uint8 else batch
        if parameter is not None:
            images, targets = images.to(parameter.device), targets.to(parameter.device)
        for i, epsilon in enumerate(strengths):
            attacked = attack(model, images, targets, epsilon=epsilon)
            with _evaluating(model), torch.no_grad():
                logits = _logits(model, attacked, targets)
            if bool(logits.isnan().any()):
                raise DivergenceError("the model's output is NaN: check its parameters")
            correct[i] += int((logits.argmax(1) == targets).sum())
            unmoved[i] += int((attacked == images).flatten(1).all(1).sum())
        total += len(targets)
        if progress is not None:
            progress(total, tuple(n / total for n in correct))
    if total == 0:
        raise ValueError("loader gave no images: give at least one batch")
    return RobustAccuracy(strengths, tuple(n / total for n in correct), tuple(unmoved), total)


def _ball(images: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Least and greatest representable pixels within `epsilon` of `images` and in [0, 255]."""
    reach = torch.tensor(epsilon, dtype=images.dtype, device=images.device)
    if reach.item() > epsilon:  # rounded up to the dtype
        reach = torch.nextafter(reach, torch.zeros_like(reach))
    low = _sum_rounded_towards(images, images, -reach)
    high = _sum_rounded_towards(images, images, reach)
    return low.clamp(min=0), high.clamp(max=PIXEL_MAX)


def _sum_rounded_towards(goal: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The sum a + b, rounded in the direction of `goal` wherever it is not representable."""
    total = a + b
    # Knuth's TwoSum: `error` is exactly a + b - total.
    part = total - a
    error = (a - (total - part)) + (b - part)
    beyond = error * (goal - total) > 0
    return torch.where(beyond, torch.nextafter(total, goal), total)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, so that statistics and tables stay; each module's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _gradient(model: nn.Module, images: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Gradient of the loss with respect to the pixels; no parameter receives one."""
    # A caller's no_grad or inference_mode would leave nothing to differentiate.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = images.clone().requires_grad_()
        targets = labels.clone()
        value = loss(_logits(model, leaf, targets), targets)
        if value.dim() != 0:
            raise ValueError(
                f"loss must give a single number, got shape {tuple(value.shape)}: "
                "sum it over the batch"
            )
        if not math.isfinite(value.item()):
            raise DivergenceError(
                f"the loss under attack is {value.item()}: the model's output or the loss "
                "overflowed; check the parameters and that images are in [0, 255]"
            )
        if not value.requires_grad:
            raise ValueError(
                "the loss does not depend on the images through differentiable operations: "
                "a model that detaches its input cannot be attacked by its gradient"
            )
        (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "the loss does not depend on the images: a model that detaches its input cannot be "
            "attacked by its gradient"
        )
    if not bool(torch.isfinite(gradient).all()):
        raise DivergenceError("the gradient of the loss with respect to the images is not finite")
    return gradient


def _logits(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model must give logits of shape ({len(images)}, classes), got {got}")
    if int(labels.max()) >= logits.shape[1]:
        raise ValueError(
            f"labels must be below the {logits.shape[1]} classes of the model, "
            f"got {int(labels.max())}"
        )
    return logits


def _check_arguments(model: Any, images: Any, labels: Any, epsilon: Any) -> float:
    _check_model(model)
    if not isinstance(images, Tensor) or images.dtype not in (torch.float32, torch.float64):
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(
            f"images must be a float32 or float64 tensor of pixels in [0, 255], got {got}; "
            "convert them with .float()"
        )
    if images.dim() < 2 or images.numel() == 0:
        raise ValueError(f"images must be a batch (N, ...) of pixels, got {tuple(images.shape)}")
    # Written so that NaN is out of range.
    if not bool(((images >= 0) & (images <= PIXEL_MAX)).all()):
        raise ValueError(
            f"images must be in [0, 255] before the attack, got values from "
            f"{images.min().item()} to {images.max().item()}: attack pixels, not normalized images"
        )
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels must be an int64 tensor of class numbers, got {got}")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must have shape ({len(images)},), one per image, got {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0:
        raise ValueError(f"labels must be at least 0, got {int(labels.min())}")
    return _check_epsilon(epsilon)


def _check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")


def _check_epsilon(epsilon: Any) -> float:
    if _number("epsilon", epsilon) < 0:
        raise ValueError(f"epsilon must be at least 0, in pixel units, got {epsilon!r}")
    return float(epsilon)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)
