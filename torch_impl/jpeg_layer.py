"""The trainable JPEG layer of JPEG-DL as a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference.standard import BLOCK_SIZE, SUBSAMPLINGS
from torch_impl._tables import (
    ALPHA_MIN,
    Q_MAX,
    Q_MIN,
    TableClampWarning,
    as_table,
    check_steps_range,
    clamped,
    loading_error,
    may_change_tables,
    told_of_masking,
)
from torch_impl._validation import (
    FLOAT_DTYPES,
    as_int,
    check_positive_number,
    check_support,
)
from torch_impl.composed_layer import encode_decode_with
from torch_impl.encode_decode import encode_decode
from torch_impl.quantizer_baselines import baseline_quantize, check_quantizer_name

DEFAULT_ALPHA = 5.0
"""The paper's alpha on CIFAR-100 and the fine-grained data sets (section 4)."""


class JPEGLayer(nn.Module):
    """JPEG encoding and decoding with trainable quantization tables.

    RGB to YCbCr, 8x8 DCT, soft quantization of each frequency with its own step, and all of it
    back. Put it in front of a network, before the normalization by mean and standard deviation.
    The output is not clipped to [0, 255].

    Parameters
    ----------
    q : array_like or float, optional
        Quantization steps in [1e-5, 255], shape (2, 8, 8): [0] luma, [1] chroma, natural order,
        DC at [0, 0]. With several rounds also (rounds, 2, 8, 8); one pair of tables then starts
        every round. A number fills the tables. Default: all ones (appendix A.5).
    alpha : array_like or float, optional
        Scaling factors, positive, shapes as `q`. Default: 5, or ``hbar / q**2`` with `hbar`.
    max_level : int
        L, the largest level index; 127 is b = 8 bits, 1023 is b = 11.
    window : int, optional
        Levels of the masked CPMF (the paper: 5). None: the full space. The two differ where
        ``alpha q^2`` is small.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Chroma subsampling: box mean down, bilinear up.
    trainable_alpha : bool
        Make alpha a parameter. It is then kept at or above 1e-6.
    hbar : float, optional
        Gradient scaling constant: before each forward pass alpha is set to ``hbar / q**2``, a
        constant for the gradient (section 4 uses 0.7 on ImageNet). Excludes `alpha` and
        `trainable_alpha`.
    rounds : int
        Quantizations in a row in the DCT domain, each with its own tables.
    quantizer : {"soft", "uniform_noise", "cubic", "straight_through"}
        The soft quantizer of the paper, or one of the baselines it is compared with, which know no
        `alpha`, `hbar` or `window`: see :mod:`torch_impl.quantizer_baselines`. "uniform_noise"
        adds noise in training mode and rounds in eval mode; "straight_through" scales the
        gradient of q by 1 / sqrt(N L), N coefficients of one image sharing a step.

    Attributes
    ----------
    q : nn.Parameter
        (2, 8, 8), or (rounds, 2, 8, 8) with several rounds.
    alpha : Tensor
        Same shape; a parameter with `trainable_alpha`, a buffer otherwise. The baselines have
        none.
    clamp_count : Tensor
        Number of table entries moved back into their range so far (0-dim, int64).

    Raises
    ------
    TypeError, ValueError
        If an option or an image has the wrong type, shape or range; the message names it.

    Warns
    -----
    TableClampWarning
        When a training forward pass moved table entries back into their range (not under
        ``torch.compile`` and not on a GPU, where asking would wait for the device: read
        `clamp_count` there).
    MaskedWindowWarning
        Once, when some ``alpha q^2`` is so small that the masked CPMF of `window` levels differs
        from the full space by more than 1e-3 q, with the distance measured at that value
        (asked when the layer is made, and on the CPU as it trains).

    Notes
    -----
    A forward pass in training mode with gradients enabled first clamps q to [1e-5, 255] in
    place, as the paper's authors do. In eval mode, without gradients, and inside ``torch.func``
    transforms the parameters are left as they are and the clamped values are used.
    A state saved right after an optimizer step may be out of range; it loads, and is clamped
    likewise. NaN and infinity are refused.

    References
    ----------
    JPEG Inspired Deep Learning, section 3.3, Fig. 1, section 4, appendix A.2 (hbar), appendix A.6
    (other quantizers), Table 8 (subsampling).

    Examples
    --------
    >>> import torch
    >>> from torch_impl import JPEGLayer
    >>> layer = JPEGLayer(q=4.0, max_level=1023)
    >>> image = torch.rand(2, 3, 32, 32) * 255
    >>> layer(image).shape
    torch.Size([2, 3, 32, 32])
    """

    alpha: Tensor
    clamp_count: Tensor

    def __init__(
        self,
        q: Tensor | NDArray[Any] | float | None = None,
        alpha: Tensor | NDArray[Any] | float | None = None,
        *,
        max_level: int = 127,
        window: int | None = None,
        subsampling: str = "4:4:4",
        trainable_alpha: bool = False,
        hbar: float | None = None,
        rounds: int = 1,
        quantizer: str = "soft",
    ) -> None:
        super().__init__()
        check_support(max_level, window)
        self.quantizer = check_quantizer_name(quantizer)
        if quantizer != "soft":
            given = {"alpha": alpha, "hbar": hbar, "window": window}
            _refuse_soft_options(quantizer, given, trainable_alpha)
        if subsampling not in SUBSAMPLINGS:
            raise ValueError(
                f"subsampling must be one of {', '.join(SUBSAMPLINGS)}, got {subsampling!r}"
            )
        if hbar is not None:
            check_positive_number("hbar", hbar)
            if alpha is not None or trainable_alpha:
                raise ValueError(
                    f"hbar={hbar} sets alpha = hbar / q^2 before each step: "
                    "leave out alpha and trainable_alpha, or leave out hbar"
                )
        self.max_level = max_level
        self.window = window
        self.subsampling = subsampling
        self.trainable_alpha = trainable_alpha
        self.hbar = hbar
        self.rounds = as_int("rounds", rounds, 1)

        q_table = self._table("q", 1.0 if q is None else q)
        check_steps_range(q_table)
        self.q = nn.Parameter(q_table)
        if quantizer == "soft":
            self._set_alpha(alpha, q_table)
        self.register_buffer("clamp_count", torch.zeros((), dtype=torch.int64), persistent=False)
        self._told_of_masking = False
        if window is not None:
            self._told_of_masking = told_of_masking(self.q, self.alpha, window, stacklevel=2)

    def _table(self, name: str, value: Any, number_dtype: torch.dtype = torch.float32) -> Tensor:
        shape = (2, BLOCK_SIZE, BLOCK_SIZE)
        return as_table(
            name,
            value,
            shape,
            meaning="luma and chroma",
            rounds=self.rounds,
            number_dtype=number_dtype,
        )

    def _set_alpha(self, alpha: Any, q: Tensor) -> None:
        if self.hbar is not None:
            table = self.hbar / q**2
        else:
            alpha = DEFAULT_ALPHA if alpha is None else alpha
            table = self._table("alpha", alpha, q.dtype).to(q.dtype)
        if self.trainable_alpha:
            self.alpha = nn.Parameter(table)
        else:
            self.register_buffer("alpha", table)

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        if self.quantizer != "soft":
            return (
                f"max_level={self.max_level}, quantizer={self.quantizer!r}, "
                f"subsampling={self.subsampling!r}, rounds={self.rounds}"
            )
        alpha = f"hbar={self.hbar}" if self.hbar else f"trainable_alpha={self.trainable_alpha}"
        return (
            f"max_level={self.max_level}, window={self.window}, "
            f"subsampling={self.subsampling!r}, {alpha}, rounds={self.rounds}"
        )

    def forward(self, image: Tensor) -> Tensor:
        """Encode and decode a batch of images.

        Parameters
        ----------
        image : Tensor
            RGB in [0, 255], floating point, shape (N, 3, H, W); any H and W >= 1. A NaN pixel
            makes its own 8x8 block NaN (with subsampling: its MCU, and one more chroma
            sample on each side, by upsampling), and so does an infinite one.

        Returns
        -------
        Tensor
            Decoded RGB, same shape and dtype; not clipped. float16 and bfloat16 images, and
            autocast regions, compute in float32 inside.
        """
        check_image(image)
        if self.quantizer != "soft":
            return encode_decode_with(
                self._baseline, image, self.steps(), factors=SUBSAMPLINGS[self.subsampling]
            )
        q, alpha = self.tables()
        return encode_decode(
            image,
            q,
            alpha,
            max_level=self.max_level,
            window=self.window,
            factors=SUBSAMPLINGS[self.subsampling],
        )

    def steps(self) -> Tensor:
        """Table q as the forward pass uses it, (rounds, 2, 8, 8).

        In training mode with gradients enabled this applies the clamping rule in place.
        """
        mutable = may_change_tables(training=self.training)
        q = clamped(
            "q", self.q, Q_MIN, Q_MAX, in_place=mutable, count=self.clamp_count, stacklevel=5
        )
        return q.reshape(self.rounds, 2, BLOCK_SIZE, BLOCK_SIZE)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Tables q and alpha as the forward pass uses them, both (rounds, 2, 8, 8).

        In training mode with gradients enabled this applies the clamping rule in place. Only the
        soft quantizer has both; for the others ask :meth:`steps`.
        """
        if self.quantizer != "soft":
            raise ValueError(f"quantizer {self.quantizer!r} has no alpha: use steps() for q alone")
        mutable = may_change_tables(training=self.training)
        moved = self.clamp_count
        q = clamped("q", self.q, Q_MIN, Q_MAX, in_place=mutable, count=moved, stacklevel=5)
        if self.hbar is not None:
            alpha = self.hbar / q.detach() ** 2
            if mutable:
                self.alpha.copy_(alpha)
        elif self.trainable_alpha:
            alpha = clamped(
                "alpha", self.alpha, ALPHA_MIN, None, in_place=mutable, count=moved, stacklevel=5
            )
        else:
            alpha = self.alpha
        if mutable and not self._told_of_masking:
            self._told_of_masking = told_of_masking(q, alpha, self.window, stacklevel=5)
        shape = (self.rounds, 2, BLOCK_SIZE, BLOCK_SIZE)
        return q.reshape(shape), alpha.reshape(shape)

    def _baseline(self, z: Tensor, q: Tensor, count: int) -> Tensor:
        return baseline_quantize(
            self.quantizer, z, q, max_level=self.max_level, training=self.training, count=count
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        error_messages: list[str] = args[-1]
        problem = loading_error(state_dict, prefix)
        if self.quantizer != "soft" and prefix + "alpha" in state_dict:
            problem = (
                f"{prefix}alpha belongs to the soft quantizer, and this layer has "
                f"quantizer={self.quantizer!r}: make it with quantizer='soft', or load q alone"
            )
        if problem is not None:
            error_messages.append(problem)
            return
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _refuse_soft_options(
    quantizer: str, given: Mapping[str, object], trainable_alpha: bool
) -> None:
    """Refuse options that mean something to the soft quantizer only."""
    names = [name for name, value in given.items() if value is not None]
    if trainable_alpha:
        names.append("trainable_alpha")
    if names:
        raise ValueError(
            f"{' and '.join(names)} must be left out with quantizer={quantizer!r}: only the soft "
            "quantizer has a scaling factor and a window"
        )


def check_image(image: Any) -> None:
    """Refuse what is no batch of RGB images in floating point."""
    if not isinstance(image, Tensor):
        raise TypeError(f"image must be a torch.Tensor, got {type(image).__name__}")
    if image.dtype not in FLOAT_DTYPES:
        raise TypeError(
            f"image must be floating point in [0, 255], got {image.dtype}; "
            "convert it with image.float()"
        )
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"image must be RGB of shape (N, 3, H, W), got {tuple(image.shape)}")
    if 0 in image.shape:
        raise ValueError(
            f"image must hold at least one image of at least one pixel, got {tuple(image.shape)}"
        )


__all__ = ["ALPHA_MIN", "DEFAULT_ALPHA", "Q_MAX", "Q_MIN", "JPEGLayer", "TableClampWarning"]
