"""Layers that reproduce what others published, down to their quirks."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT
from torch_impl import transforms
from torch_impl._tables import clamped, may_change_tables
from torch_impl._validation import as_int
from torch_impl.jpeg_layer import JPEGLayer, check_image

CHROMA_OFFSET = 0.5
"""Added to Cb and Cr between colour conversion and DCT, and taken away on the way back."""

WINDOW = 5
"""Levels of the masked CPMF."""

CODE_ALPHA_MIN = 1e-5
"""Lower limit of an alpha that is trained or matched to hbar."""


def jpeg_dl_code_layer(
    q: Tensor | NDArray[Any] | float,
    alpha: Tensor | NDArray[Any] | float | None = None,
    *,
    bits: int = 8,
    trainable_alpha: bool = False,
    hbar: float | None = None,
    rounds: int = 1,
    unit_range: bool = False,
) -> JPEGDLCodeLayer:
    """JPEG layer that computes what the published code of JPEG-DL computes.

    Output and gradients are those of that code before its normalization by mean and standard
    deviation, to the rounding of the dtype. docs/compat.md lists, with their sizes, the
    differences from :class:`torch_impl.JPEGLayer`.

    Parameters
    ----------
    q : array_like or float
        Quantization steps in [1e-5, 255], shape (2, 8, 8), or (rounds, 2, 8, 8): [0] luma, [1]
        chroma, natural order. A number fills the tables. Clamped to that range before each
        forward pass.
    alpha : array_like or float, optional
        Scaling factors, positive, shapes as `q`; needed unless `hbar` is given. The code's
        default is 5.
    bits : int
        b >= 3: levels -(2^(b-1) - 1)..2^(b-1) - 1.
    trainable_alpha : bool
        Make alpha a parameter, kept at or above 1e-5.
    hbar : float, optional
        Set alpha to ``hbar / q**2``, at least 1e-5, before each forward pass.
    rounds : int
        Quantizations in a row in the DCT domain.
    unit_range : bool
        False: RGB around [0, 255], as :class:`torch_impl.JPEGLayer` gives it. True: divided by
        255, the very numbers that the code hands to its normalization. Never clipped.

    Returns
    -------
    JPEGDLCodeLayer
        Takes RGB images (N, 3, H, W) in [0, 255]. Attributes and state as `JPEGLayer`.

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.

    References
    ----------
    JPEG Inspired Deep Learning, section 3.3, Fig. 1, appendix A.12.

    Examples
    --------
    >>> import torch
    >>> from torch_impl.compat import jpeg_dl_code_layer
    >>> layer = jpeg_dl_code_layer(1.0, 5.0)
    >>> layer(torch.rand(2, 3, 30, 30) * 255).shape
    torch.Size([2, 3, 30, 30])
    """
    if alpha is None and hbar is None:
        raise ValueError("alpha is missing: give alpha (5 in the published code) or hbar")
    return JPEGDLCodeLayer(
        q,
        alpha,
        bits=bits,
        trainable_alpha=trainable_alpha,
        hbar=hbar,
        rounds=rounds,
        unit_range=unit_range,
    )


class JPEGDLCodeLayer(JPEGLayer):
    """The layer that :func:`jpeg_dl_code_layer` makes; its parameters are described there."""

    def __init__(
        self,
        q: Tensor | NDArray[Any] | float,
        alpha: Tensor | NDArray[Any] | float | None,
        *,
        bits: int,
        trainable_alpha: bool,
        hbar: float | None,
        rounds: int,
        unit_range: bool,
    ) -> None:
        if as_int("bits", bits, 1) < 3:
            raise ValueError(f"bits must be at least 3 (room for {WINDOW} levels), got {bits}")
        if not isinstance(unit_range, bool):
            raise TypeError(f"unit_range must be True or False, got {unit_range!r}")
        super().__init__(
            q,
            alpha,
            max_level=(1 << (bits - 1)) - 1,
            trainable_alpha=trainable_alpha,
            hbar=hbar,
            rounds=rounds,
        )
        # Not given to the base class, which would warn of it: whoever asks for the code's five
        # levels knows of them.
        self.window = WINDOW
        self._told_of_masking = True
        self.unit_range = unit_range

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return f"{super().extra_repr()}, unit_range={self.unit_range}"

    def forward(self, image: Tensor) -> Tensor:
        """Encode and decode RGB images (N, 3, H, W) in [0, 255]; not clipped."""
        check_image(image)
        q, alpha = self.tables()
        wide = torch.promote_types(torch.promote_types(image.dtype, q.dtype), torch.float32)
        height, width = image.shape[-2:]
        with torch.autocast(image.device.type, enabled=False):
            offset = image.new_tensor([0.0, CHROMA_OFFSET, CHROMA_OFFSET], dtype=wide)
            offset = offset.view(3, 1, 1)
            ycbcr = transforms.rgb_to_ycbcr(image.to(wide) - LEVEL_SHIFT) + offset
            # Zeros after the offset: the filled part is grey, half a level off in colour.
            padded = functional.pad(ycbcr, (0, -width % BLOCK_SIZE, 0, -height % BLOCK_SIZE))
            z = transforms.dct(padded)
            for step, factor in zip(q.unbind(), alpha.unbind(), strict=True):
                z = _Quantize.apply(z, _per_component(step), _per_component(factor), self.max_level)
            decoded = transforms.inverse_dct(z)[..., :height, :width] - offset
            rgb = transforms.ycbcr_to_rgb(decoded) + LEVEL_SHIFT
            return (rgb / 255 if self.unit_range else rgb).to(image.dtype)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Tables q and alpha as the forward pass uses them, both (rounds, 2, 8, 8)."""
        if self.trainable_alpha:
            # First, so that the wider range of the base class finds nothing to move.
            alpha = clamped(
                "alpha",
                self.alpha,
                CODE_ALPHA_MIN,
                None,
                in_place=may_change_tables(training=self.training),
                count=self.clamp_count,
                stacklevel=5,
            )
            q, _ = super().tables()
            return q, alpha.reshape(q.shape)
        q, alpha = super().tables()
        return q, alpha if self.hbar is None else alpha.clamp(min=CODE_ALPHA_MIN)


def _per_component(table: Tensor) -> Tensor:
    """(2, 8, 8) to (3, 1, 8, 1, 8), beside coefficients (N, 3, H/8, 8, W/8, 8)."""
    return torch.stack([table[0], table[1], table[1]])[:, None, :, None, :]


class _Quantize(torch.autograd.Function):
    """Masked soft quantizer with the code's window rule and closed-form gradient."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, q: Tensor, alpha: Tensor, max_level: int) -> Tensor:
        ctx.save_for_backward(z, q, alpha)
        ctx.max_level = max_level
        return _partials(z, q, alpha, max_level)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, q, alpha = inputs = ctx.saved_tensors
        _, *partials = _partials(z, q, alpha, ctx.max_level)
        needs = ctx.needs_input_grad[:3]
        return *(
            (grad * partial).sum_to_size(like.shape).to(like.dtype) if needed else None
            for partial, like, needed in zip(partials, inputs, needs, strict=True)
        ), None


def _partials(
    z: Tensor, q: Tensor, alpha: Tensor, max_level: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value, d/dz, d/dq and d/dalpha; moments about the nearest level, in units of q."""
    rounded = torch.round(z / q)  # ties to even
    first = (rounded - WINDOW // 2).clamp(-max_level, max_level - WINDOW + 1)
    nearest = rounded.clamp(-max_level, max_level)
    distance = z - nearest * q
    levels = [first - nearest + j for j in range(WINDOW)]
    # -alpha (z - (r + k) q)^2 + alpha (z - r q)^2 without the cancellation; never positive.
    weights = [torch.exp(alpha * (k * q) * (2 * distance - k * q)) for k in levels]
    total = sum(weights[1:], start=weights[0])
    share = [w / total for w in weights]

    def moment(order: int, centre: Tensor | float) -> Tensor:
        terms = [p * (k - centre) ** order for p, k in zip(share, levels, strict=True)]
        return sum(terms[1:], start=terms[0])

    mean = moment(1, 0.0)
    var, mu3 = moment(2, mean), moment(3, mean)
    h = alpha * q * q
    slope = 2 * alpha * q * distance
    return (
        q * (nearest + mean),
        2 * h * var,
        nearest + mean - 2 * h * (mu3 + (nearest + 2 * mean) * var) + slope * var,
        -(mu3 + 2 * (mean - distance / q) * var) * q**3,
    )


__all__ = ["JPEGDLCodeLayer", "jpeg_dl_code_layer"]
