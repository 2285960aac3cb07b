"""Gradients of a network's loss with respect to the DCT coefficients of its images."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DataParallel, DistributedDataParallel

from reference.standard import BLOCK_SIZE
from torch_impl import transforms
from torch_impl.adjoints import crop_adjoint, ycbcr_to_rgb_adjoint


def wide(tensor: Tensor) -> Tensor:
    """`tensor` in float64, on the CPU where its device has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


class GradientPass:
    """Runs a network on batches and gives the gradients; a context that leaves no trace in it.

    The network runs on copies of its parameters and buffers, and its modes are restored: running
    statistics, clamping rules and gradients of the caller's module are not touched.

    Parameters
    ----------
    network
        Takes images in [0, 255], gives logits.
    training
        Its mode in the meantime.
    """

    def __init__(self, network: nn.Module, *, training: bool) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
        if not isinstance(training, bool):
            raise TypeError(f"training must be True or False, got {training!r}")
        # These two count on a backward pass into the parameters.
        if isinstance(network, (DataParallel, DistributedDataParallel)):
            network = network.module
        self._network = network
        self._training = training
        self._modes: list[tuple[nn.Module, bool]] = []
        self._state: dict[str, Tensor] = {}

    def __enter__(self) -> Self:
        named = (*self._network.named_parameters(), *self._network.named_buffers())
        self._state = {name: tensor.detach().clone() for name, tensor in named}
        self._modes = [(module, module.training) for module in self._network.modules()]
        self._network.train(self._training)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module, mode in self._modes:
            module.training = mode
        self._state = {}

    def __call__(self, batch: tuple[Any, ...]) -> Tensor:
        """Gradient of each image's cross-entropy with respect to its coefficients.

        Parameters
        ----------
        batch
            (images, labels).

        Returns
        -------
        Tensor
            (N, 3, H/8, 8, W/8, 8) float64, sides rounded up to whole blocks.
        """
        if len(batch) < 2:
            raise ValueError("loader must give (images, labels): the loss needs labels")
        image, label = batch[0].detach(), batch[1]
        _check_labels(label, len(image))
        for tensor in self._state.values():
            if tensor.is_floating_point():
                image = image.to(tensor.device, tensor.dtype)
                break
        with torch.enable_grad():
            image.requires_grad_()
            logits = torch.func.functional_call(self._network, self._state, (image,))
            _check_logits(logits, label)
            loss = functional.cross_entropy(logits, label.to(logits.device).long(), reduction="sum")
            (gradient,) = torch.autograd.grad(loss, image)
        if not bool(torch.isfinite(gradient).all()):
            raise ValueError(
                "the gradient of the loss is not finite: the network's weights have diverged, or "
                "its dtype is too narrow for them"
            )
        ycbcr = ycbcr_to_rgb_adjoint(wide(gradient))
        # What lies beyond the image, in its last blocks, is cropped and has no influence.
        return transforms.dct(crop_adjoint(ycbcr, BLOCK_SIZE, BLOCK_SIZE))


def _check_labels(label: Any, count: int) -> None:
    if not isinstance(label, Tensor):
        raise TypeError(f"labels must be a torch.Tensor, got {type(label).__name__}")
    if label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
        raise TypeError(f"labels must be integers, the index of a class, got {label.dtype}")
    if tuple(label.shape) != (count,):
        raise ValueError(
            f"labels must have shape ({count},), one for each image, got {tuple(label.shape)}"
        )


def _check_logits(logits: Any, label: Tensor) -> None:
    if not isinstance(logits, Tensor):
        raise TypeError(f"network must give one tensor of logits, got {type(logits).__name__}")
    if logits.dim() != 2 or len(logits) != len(label):
        raise ValueError(
            f"network must give logits of shape ({len(label)}, classes), got {tuple(logits.shape)}"
        )
    low, high = (int(x) for x in label.aminmax())
    if low < 0 or high >= logits.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{logits.shape[1] - 1}, the network's classes, "
            f"got values from {low} to {high}"
        )
    if not logits.requires_grad:
        raise ValueError(
            "the network's output does not depend on its images: is there a detach() or no_grad() "
            "on the way?"
        )
