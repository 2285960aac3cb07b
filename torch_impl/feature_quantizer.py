"""The JPEG layer in place of an activation function: one table for each channel."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference.standard import BLOCK_SIZE
from torch_impl import transforms
from torch_impl._tables import (
    Q_MAX,
    Q_MIN,
    as_table,
    check_steps_range,
    clamped,
    loading_error,
    may_change_tables,
    told_of_masking,
)
from torch_impl._validation import as_int, check_float_tensor, check_support
from torch_impl.kernels.eager import compute_dtype
from torch_impl.soft_quantize import soft_quantize

ALPHA_OF_THE_PAPER = 2.0
"""alpha of the paper's layer replacement (appendix A.7)."""

LEVELS_OF_THE_PAPER = 31
"""L of b = 6 bits (appendix A.7), 2^(b-1) - 1 as in the whole library."""


class FeatureQuantizer(nn.Module):
    """Soft quantization of feature maps in the DCT domain, in place of a ReLU.

    Each channel is cut into 8x8 blocks and transformed, each frequency of each channel is
    quantized with its own step, and all of it is transformed back. No colour conversion.

    Parameters
    ----------
    channels : int
        C, the number of feature maps: 64 after the first convolution of a ResNet-18.
    q : array_like or float, optional
        Quantization steps in [1e-5, 255], in the unit of the features, shape (C, 8, 8) in natural
        order, DC at [0, 0]. A number fills the tables. Default: all ones.
    alpha : array_like or float
        Scaling factors, positive, shape as `q`. Not trained.
    max_level : int
        L, the largest level index; 31 is b = 6 bits. What exceeds L q in a coefficient is cut off.
    window : int, optional
        Levels of the masked CPMF (the paper: 5). None: the full space.

    Attributes
    ----------
    q : nn.Parameter
        (C, 8, 8).
    alpha : Tensor
        (C, 8, 8), a buffer.
    clamp_count : Tensor
        Number of table entries moved back into their range so far (0-dim, int64).

    Raises
    ------
    TypeError, ValueError
        If an option or an input has the wrong type, shape or range; the message names it.

    Warns
    -----
    TableClampWarning
        When a training forward pass moved table entries back into their range; see
        :class:`torch_impl.JPEGLayer`, whose rule this is.
    MaskedWindowWarning
        Once, when some ``alpha q^2`` is too small for the masked CPMF of `window` levels; as there.

    Notes
    -----
    The paper says: after the first convolution, in place of the ReLU, no colour conversion, an 8x8
    table for each kernel, alpha 2, b = 6, learning rate 0.001. It leaves open, and this layer
    chooses:

    - no level shift: features have no fixed range, and after a batch normalization their middle
      is near 0 anyway;
    - sides that 8 does not divide: edge replication, cropped again, as for images;
    - the first steps: all ones unless given. The sensitivity rule of section 4 needs a trained
      network that has the layer, which the paper does not describe;
    - q is kept in [1e-5, 255], as in the layer for images.

    The layer is odd and close to the identity where q is small: it does not cut off what is
    negative, as the ReLU does.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.7 and Table 7.

    Examples
    --------
    >>> import torch
    >>> from torch_impl import FeatureQuantizer
    >>> features = torch.randn(2, 64, 112, 112)
    >>> FeatureQuantizer(64)(features).shape
    torch.Size([2, 64, 112, 112])
    """

    alpha: Tensor
    clamp_count: Tensor

    def __init__(
        self,
        channels: int,
        q: Tensor | NDArray[Any] | float = 1.0,
        alpha: Tensor | NDArray[Any] | float = ALPHA_OF_THE_PAPER,
        *,
        max_level: int = LEVELS_OF_THE_PAPER,
        window: int | None = None,
    ) -> None:
        super().__init__()
        check_support(max_level, window)
        self.channels = as_int("channels", channels, 1)
        self.max_level = max_level
        self.window = window
        shape = (self.channels, BLOCK_SIZE, BLOCK_SIZE)
        steps = as_table("q", q, shape, meaning="a table for each channel")
        check_steps_range(steps)
        self.q = nn.Parameter(steps)
        factors = as_table(
            "alpha", alpha, shape, meaning="a table for each channel", number_dtype=steps.dtype
        )
        self.register_buffer("alpha", factors.to(steps.dtype))
        self.register_buffer("clamp_count", torch.zeros((), dtype=torch.int64), persistent=False)
        self._told_of_masking = told_of_masking(self.q, self.alpha, window, stacklevel=2)

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return f"{self.channels}, max_level={self.max_level}, window={self.window}"

    def forward(self, features: Tensor) -> Tensor:
        """Quantize a batch of feature maps.

        Parameters
        ----------
        features : Tensor
            Floating point, shape (N, C, H, W), any range; any H and W >= 1. A NaN or infinite
            entry makes its own 8x8 block NaN.

        Returns
        -------
        Tensor
            Same shape and dtype. float16 and bfloat16, and autocast regions, compute in float32
            inside.
        """
        check_float_tensor("features", features)
        if features.dim() != 4 or features.shape[1] != self.channels or 0 in features.shape:
            raise ValueError(
                f"features must have shape (N, {self.channels}, H, W), none of them 0, "
                f"got {tuple(features.shape)}"
            )
        q, alpha = self.tables()
        height, width = features.shape[-2:]
        with torch.autocast(features.device.type, enabled=False):
            dtype = compute_dtype(features, q)
            exact = features.to(dtype)
            # Infinity counts as NaN: the block that holds it has no DCT.
            exact = exact + 0 * exact
            padded = transforms.pad_to_multiple(exact, BLOCK_SIZE, BLOCK_SIZE)
            value = soft_quantize(
                transforms.dct(padded),
                q.to(dtype)[:, None, :, None, :],
                alpha.to(dtype)[:, None, :, None, :],
                max_level=self.max_level,
                window=self.window,
            )
            result = transforms.inverse_dct(value)[..., :height, :width]
            return result.to(features.dtype).contiguous()

    def tables(self) -> tuple[Tensor, Tensor]:
        """Tables q and alpha as the forward pass uses them, both (C, 8, 8).

        In training mode with gradients enabled this applies the clamping rule in place.
        """
        mutable = may_change_tables(training=self.training)
        q = clamped(
            "q", self.q, Q_MIN, Q_MAX, in_place=mutable, count=self.clamp_count, stacklevel=5
        )
        if mutable and not self._told_of_masking:
            self._told_of_masking = told_of_masking(q, self.alpha, self.window, stacklevel=5)
        return q, self.alpha

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        error_messages: list[str] = args[-1]
        problem = loading_error(state_dict, prefix)
        if problem is not None:
            error_messages.append(problem)
            return
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def replace_relu(model: nn.Module, name: str, channels: int, **options: Any) -> FeatureQuantizer:
    """Put a `FeatureQuantizer` in the place of a ReLU of a network.

    Parameters
    ----------
    model : nn.Module
        The network, changed in place. It must call its ReLU as a module
        (``torch.nn.functional.relu`` cannot be replaced).
    name : str
        Dotted name of the ReLU, as in ``model.named_modules()``: "relu" for the one after the
        first convolution of torchvision's ResNets. Every use of that module is replaced.
    channels : int
        Number of feature maps that reach it; 64 there.
    **options
        Further arguments of `FeatureQuantizer`.

    Returns
    -------
    FeatureQuantizer
        The new layer, on the device and in the training mode of the one it replaces.

    Raises
    ------
    TypeError
        If the module of that name is no ReLU.
    ValueError
        If there is no module of that name; the message has the nearest.

    References
    ----------
    JPEG-DL, appendix A.7: ResNet-18, after the first convolution, 64 maps of 112 x 112.
    """
    modules = dict(model.named_modules())
    relus = [n for n, module in modules.items() if isinstance(module, nn.ReLU)]
    if not name or name not in modules:
        near = get_close_matches(name, relus, 1, cutoff=0.5) or relus[:1]
        hint = f"; did you mean {near[0]!r}?" if near else ": it has no nn.ReLU at all"
        raise ValueError(f"name must be that of an nn.ReLU of the model, got {name!r}{hint}")
    old = modules[name]
    if not isinstance(old, nn.ReLU):
        raise TypeError(f"name must be that of an nn.ReLU, but {name!r} is a {type(old).__name__}")
    new = FeatureQuantizer(channels, **options).train(old.training)
    first = next(model.parameters(), None)
    if first is not None:
        new.to(first.device)
    parent, _, attribute = name.rpartition(".")
    setattr(modules[parent], attribute, new)
    return new


__all__ = ["ALPHA_OF_THE_PAPER", "LEVELS_OF_THE_PAPER", "FeatureQuantizer", "replace_relu"]
