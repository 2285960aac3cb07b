"""The whole model from pixel to logit: preprocessing, JPEG layer, normalization, network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torch_impl import FeatureQuantizer, JPEGLayer, replace_relu
from trainer.networks.registry import make_network
from trainer.networks.small import SmallCNN

if TYPE_CHECKING:
    from trainer.config import TrainConfig


class ImageClassifier(nn.Module):
    """Preprocessing, JPEG layer, normalization and a network: one model from pixel to logit.

    JPEG-DL, section 3.3: the JPEG layer is the first layer of the model, in training and in
    validation alike, so it sees pixels and the network sees what the layer makes of them.

    Parameters
    ----------
    network
        Takes normalized images (N, 3, H, W), gives logits (N, classes).
    mean, std
        (3,) float32, of R, G, B in [0, 255].
    jpeg
        The layer before the network, or None.
    preprocessing
        Images in [0, 255] to images in [0, 255], before everything else (Table 8); None for none.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Tensor,
        std: Tensor,
        jpeg: JPEGLayer | None = None,
        preprocessing: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.jpeg = jpeg
        self.network = network
        self.register_buffer("mean", mean.reshape(3, 1, 1).clone())
        self.register_buffer("std", std.reshape(3, 1, 1).clone())

    def forward(self, image: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in [0, 255] to logits (N, classes)."""
        if self.preprocessing is not None:
            image = self.preprocessing(image)
        if self.jpeg is not None:
            image = self.jpeg(image)
        logits: Tensor = self.network((image - self.mean) / self.std)
        return logits

    @property
    def quantizer(self) -> JPEGLayer | FeatureQuantizer | None:
        """The JPEG layer, or the layer inside the network that replaces a ReLU (appendix A.7)."""
        if self.jpeg is not None:
            return self.jpeg
        inside = (m for m in self.network.modules() if isinstance(m, FeatureQuantizer))
        return next(inside, None)

    def table_parameters(self) -> list[nn.Parameter]:
        """The quantization tables and, if it is trained, alpha: what the optimizer of q gets."""
        quantizer = self.quantizer
        return [] if quantizer is None else list(quantizer.parameters())

    def network_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        tables = {id(parameter) for parameter in self.table_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in tables]


def build_model(
    config: TrainConfig,
    *,
    classes: int,
    mean: Tensor,
    std: Tensor,
    size: tuple[int, int] = (224, 224),
    q: Tensor | None = None,
) -> ImageClassifier:
    """The model of a configuration, initialized from ``torch``'s global generator.

    The JPEG layer draws no random numbers, so baseline and JPEG-DL runs of one seed start from
    the same network weights.

    Parameters
    ----------
    config
        Names the network and the options of the JPEG layer.
    classes
        Number of classes.
    mean, std
        (3,) float32, of R, G, B in [0, 255].
    size
        Height and width of the images in pixels.
    q
        (2, 8, 8) initial tables; None for ``config.q_initial`` everywhere.

    Raises
    ------
    ValueError, TypeError
        If there is no such network, or no ReLU of that name in it.
    """
    network = (
        SmallCNN(classes, config.width)
        if config.network == "small_cnn"
        else make_network(config.network, classes)
    )
    jpeg = None
    if config.method == "jpeg-dl":
        if config.placement == "input":
            jpeg = _jpeg_layer(config, config.q_initial if q is None else q)
        else:
            _replace_relu(config, network, size)
    # A constant channel would divide by zero.
    std = torch.clamp(std, min=1.0)
    return ImageClassifier(network, mean, std, jpeg, _preprocessing(config, size))


def _jpeg_layer(config: TrainConfig, q: Tensor | float) -> JPEGLayer:
    soft = config.quantizer == "soft"
    return JPEGLayer(
        q,
        config.alpha if soft and config.hbar is None else None,  # the layer takes one of the two
        max_level=config.max_level,
        window=config.window,
        subsampling=config.subsampling,
        trainable_alpha=config.alpha_learning_rate > 0,
        hbar=config.hbar,
        rounds=config.rounds,
        quantizer=config.quantizer,
    )


def _replace_relu(config: TrainConfig, network: nn.Module, size: tuple[int, int]) -> None:
    """Replace the ReLU that ``config.placement`` names, with a table for each of its channels."""
    channels = 0

    def count(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal channels
        channels = arguments[0].shape[1]

    relu = dict(network.named_modules()).get(config.placement)
    if relu is not None:
        hook = relu.register_forward_pre_hook(count)
        training = network.training
        with torch.no_grad():  # batch statistics stay as they are in eval mode
            network.eval()(torch.zeros(1, 3, *size))
        network.train(training)
        hook.remove()
    replace_relu(
        network,
        config.placement,
        max(channels, 1),
        q=config.q_initial,
        alpha=config.alpha,
        max_level=config.max_level,
        window=config.window,
    )


def _preprocessing(config: TrainConfig, size: tuple[int, int]) -> nn.Module | None:
    if config.preprocessing == "none":
        return None
    import torch_impl

    if config.preprocessing in ("jpeg", "diff_jpeg"):
        return torch_impl.RandomJPEG(
            (config.jpeg_quality_low, config.jpeg_quality_high),
            subsampling="4:4:4",
            straight_through=config.preprocessing == "jpeg",
        )
    if config.preprocessing == "denoise":
        return torch_impl.GaussianDenoise()
    if config.preprocessing == "equalize":
        return torch_impl.HistogramEqualization()
    return torch_impl.MullerResizer(size)
