"""Grad-CAM++: where in an image a network finds the evidence for a class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainer.figures.feature_maps import maps_and_logits
from trainer.networks import ImageClassifier


def grad_cam_weights(maps: Tensor, gradient: Tensor) -> Tensor:
    """Weight of each feature map, up to the factor exp(S) that all of them share.

    The score is taken as Y = exp(S) with a logit S that is piecewise linear in the maps A: then the
    derivatives of Y of first, second and third order are exp(S) times g, g^2 and g^3, and

        a_ij = g_ij^2 / (2 g_ij^2 + sum_ab A_ab g_ij^3),    w = sum_ij a_ij max(g_ij, 0).

    Parameters
    ----------
    maps
        A, (C, h, w).
    gradient
        g = dS/dA, (C, h, w).

    Returns
    -------
    Tensor
        w, (C,). A coefficient a_ij with denominator 0 counts as 0.

    References
    ----------
    Chattopadhay et al., "Grad-CAM++: Generalized gradient-based visual explanations for deep
    convolutional networks", WACV 2018, section 3.
    """
    square = gradient**2
    below = 2 * square + maps.sum((1, 2), keepdim=True) * gradient**3
    coefficient = torch.where(below == 0, 0, square / torch.where(below == 0, 1, below))
    return (coefficient * gradient.clamp(min=0)).sum((1, 2))


def grad_cam(
    model: ImageClassifier, image: Tensor, layer: str, *, target: int | None = None
) -> tuple[Tensor, int]:
    """Grad-CAM++ of one image.

    Parameters
    ----------
    model
        In eval mode.
    image
        (1, 3, H, W) in [0, 255].
    layer
        Dotted name in ``model.network`` of the module whose maps are weighted.
    target
        Class; None for the one the model predicts.

    Returns
    -------
    tuple of Tensor and int
        (H, W) in [0, 1], the weighted maps without their negative part, interpolated to the image
        and divided by their maximum (all 0 where nothing speaks for the class); and the class.

    Raises
    ------
    ValueError
        If there is no such layer, or it gives no feature maps, or the logit does not depend on it.

    References
    ----------
    Chattopadhay et al. (2018). JPEG-DL, Fig. 6.
    """
    with torch.enable_grad():
        maps, logits = maps_and_logits(model, image.clone().requires_grad_(), layer)
        chosen = int(logits.argmax(1)) if target is None else target
        (gradient,) = torch.autograd.grad(logits[0, chosen], maps, allow_unused=True)
    if gradient is None:
        raise ValueError(f"layer: the logits do not depend on {layer!r}")
    values, gradient = maps[0].detach(), gradient[0]
    weights = grad_cam_weights(values, gradient)
    cam = (weights[:, None, None] * values).sum(0).clamp(min=0)
    cam = functional.interpolate(
        cam[None, None], size=image.shape[2:], mode="bilinear", align_corners=False
    )[0, 0]
    return cam / cam.max().clamp(min=torch.finfo(cam.dtype).tiny), chosen
