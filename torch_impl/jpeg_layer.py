"""The trainable JPEG layer of JPEG-DL as a torch module."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference.standard import BLOCK_SIZE, SUBSAMPLINGS
from torch_impl._validation import (
    FLOAT_DTYPES,
    as_int,
    check_positive,
    check_positive_number,
    check_support,
)
from torch_impl.encode_decode import encode_decode
from torch_impl.masking import CERTAINLY_CLOSE, warn_if_far

Q_MIN, Q_MAX = 1e-5, 255.0
"""Range that training keeps q in."""

ALPHA_MIN = 1e-6
"""Lower limit of a trainable alpha; the paper names none."""

DEFAULT_ALPHA = 5.0
"""The paper's alpha on CIFAR-100 and the fine-grained data sets (section 4)."""


class TableClampWarning(UserWarning):
    """A training step had moved table entries out of their range; they were moved back."""


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

    Attributes
    ----------
    q : nn.Parameter
        (2, 8, 8), or (rounds, 2, 8, 8) with several rounds.
    alpha : Tensor
        Same shape; a parameter with `trainable_alpha`, a buffer otherwise.
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
    JPEG Inspired Deep Learning, section 3.3, Fig. 1, section 4, appendix A.2 (hbar), Table 8
    (subsampling).

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
    ) -> None:
        super().__init__()
        check_support(max_level, window)
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

        q_table = _as_table("q", 1.0 if q is None else q, self.rounds)
        if bool(((q_table < Q_MIN) | (q_table > Q_MAX)).any()):
            raise ValueError(
                f"q must lie in [{Q_MIN}, {Q_MAX:g}], the range that training keeps it in, "
                f"got values from {q_table.min().item():g} to {q_table.max().item():g}"
            )
        self.q = nn.Parameter(q_table)
        if hbar is not None:
            alpha_table = hbar / q_table**2
        else:
            alpha = DEFAULT_ALPHA if alpha is None else alpha
            alpha_table = _as_table("alpha", alpha, self.rounds, q_table.dtype).to(q_table.dtype)
        if trainable_alpha:
            self.alpha = nn.Parameter(alpha_table)
        else:
            self.register_buffer("alpha", alpha_table)
        self.register_buffer("clamp_count", torch.zeros((), dtype=torch.int64), persistent=False)
        self._told_of_masking = window is None
        self._tell_of_masking(q_table, alpha_table, stacklevel=3)

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
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
        _check_image(image)
        q, alpha = self.tables()
        return encode_decode(
            image,
            q,
            alpha,
            max_level=self.max_level,
            window=self.window,
            factors=SUBSAMPLINGS[self.subsampling],
        )

    def tables(self) -> tuple[Tensor, Tensor]:
        """Tables q and alpha as the forward pass uses them, both (rounds, 2, 8, 8).

        In training mode with gradients enabled this applies the clamping rule in place.
        """
        mutable = self.training and torch.is_grad_enabled() and not _inside_functorch()
        q = self._clamped("q", self.q, Q_MIN, Q_MAX, in_place=mutable)
        if self.hbar is not None:
            alpha = self.hbar / q.detach() ** 2
            if mutable:
                self.alpha.copy_(alpha)
        elif self.trainable_alpha:
            alpha = self._clamped("alpha", self.alpha, ALPHA_MIN, None, in_place=mutable)
        else:
            alpha = self.alpha
        if mutable:
            self._tell_of_masking(q, alpha, stacklevel=6)
        shape = (self.rounds, 2, BLOCK_SIZE, BLOCK_SIZE)
        return q.reshape(shape), alpha.reshape(shape)

    def _tell_of_masking(self, q: Tensor, alpha: Tensor, *, stacklevel: int) -> None:
        """Warn, once, where the masked CPMF is far from the full space."""
        if self._told_of_masking or torch.compiler.is_compiling() or q.device.type != "cpu":
            return
        hardness = float((alpha * q * q).detach().min())
        if self.window is not None and hardness < CERTAINLY_CLOSE:
            self._told_of_masking = warn_if_far(hardness, self.window, stacklevel=stacklevel + 1)

    def _clamped(
        self, name: str, table: Tensor, low: float, high: float | None, *, in_place: bool
    ) -> Tensor:
        """`table` within [low, high], with the gradient of the identity."""
        with torch.no_grad():
            inside = table.clamp(low, high)
            if in_place:
                moved = (inside < table) | (inside > table)
                self.clamp_count += moved.sum()
                can_ask = not torch.compiler.is_compiling() and table.device.type == "cpu"
                if can_ask and bool(moved.any()):
                    warnings.warn(
                        f"{int(moved.sum())} of {table.numel()} entries of {name} had left "
                        f"[{low}, {'inf' if high is None else high}] and were moved back: "
                        "lower the learning rate of the tables if this goes on",
                        TableClampWarning,
                        stacklevel=6,
                    )
                table.copy_(inside)
        if in_place:
            # A copy: the next forward pass may change the table before this one's backward.
            return table.clone()
        # inside + 0, exactly; the zero carries the gradient.
        return inside + (table - table.detach())

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        error_messages: list[str] = args[-1]
        for name in ("q", "alpha"):
            table = state_dict.get(prefix + name)
            # Finite values out of range are what an optimizer step leaves: the next forward pass
            # clamps them, as it would have done where they were saved.
            if isinstance(table, Tensor) and not bool(torch.isfinite(table).all()):
                error_messages.append(
                    f"{prefix}{name} holds NaN or infinity: the training that saved it diverged; "
                    "load an earlier checkpoint"
                )
                return
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _as_table(
    name: str, value: Any, rounds: int, number_dtype: torch.dtype = torch.float32
) -> Tensor:
    """A fresh, checked (2, 8, 8) or (rounds, 2, 8, 8) table in float32, or float64 if given so."""
    if isinstance(value, (bool, str)) or value is None:
        raise TypeError(f"{name} must be a number or a table of shape (2, 8, 8), got {value!r}")
    if isinstance(value, (int, float)):
        check_positive_number(name, value)
        table = torch.full((2, BLOCK_SIZE, BLOCK_SIZE), float(value), dtype=number_dtype)
    else:
        table = torch.as_tensor(value).detach()
        if table.is_complex() or table.dtype == torch.bool:
            raise TypeError(f"{name} must hold real numbers, got dtype {table.dtype}")
        # float64 stays: a layer for gradient checks is built from float64 tables.
        table = table.to(table.dtype if table.dtype == torch.float64 else torch.float32).clone()
    one, many = (2, BLOCK_SIZE, BLOCK_SIZE), (rounds, 2, BLOCK_SIZE, BLOCK_SIZE)
    if rounds > 1 and tuple(table.shape) == one:
        table = table.expand(many).clone()
    expected = one if rounds == 1 else many
    if tuple(table.shape) != expected:
        raise ValueError(
            f"{name} must have shape {one}"
            + (f" or {many}" if rounds > 1 else "")
            + f" (luma and chroma in natural order), got {tuple(table.shape)}"
        )
    check_positive(name, table)
    return table


def _check_image(image: Any) -> None:
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


def _inside_functorch() -> bool:
    """Whether a torch.func transform runs; torch offers no public way to ask."""
    if torch.compiler.is_compiling():
        return False
    return bool(torch._C._are_functorch_transforms_active())


__all__ = ["ALPHA_MIN", "DEFAULT_ALPHA", "Q_MAX", "Q_MIN", "JPEGLayer", "TableClampWarning"]
