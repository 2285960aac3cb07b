"""Differentiable JPEG: encoding and decoding with gradients for image, quality and tables.

One pipeline,

    quality -> scale -> floor -> tables -> floor -> clip to [1, 255]
    images -> -128 -> YCbCr -> reduce chroma -> 8x8 DCT -> t R(z / t) ->
        inverse DCT -> chroma back -> RGB -> +128 -> clip to [0, 255]

into which substitutes of rounding (R), floor and clipping are put: :mod:`torch_impl.surrogates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE
from torch_impl import _diff_jpeg_steps as steps
from torch_impl._codec_arguments import check_subsampling
from torch_impl._diff_jpeg_arguments import check_rgb, quality_and_tables
from torch_impl.jpeg_roundtrip import jpeg_roundtrip
from torch_impl.surrogates import (
    CLIP_SLOPE,
    Rounding,
    check_rounding,
    check_slope,
    quality_scale,
    scaled_table,
    soft_clip,
    soft_round,
)

_BASE: list[Any] = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).tolist()


def diff_jpeg(
    images: Tensor,
    *,
    quality: Any = None,
    qtables: Any = None,
    subsampling: str = "4:2:0",
    straight_through: bool = False,
    rounding: Rounding = "cubic",
    scale_floor: Rounding | None = "same",
    table_floor: Rounding | None = "same",
    qtable_rounding: Rounding | None = "straight_through",
    table_slope: float | None = CLIP_SLOPE,
    output_slope: float | None = CLIP_SLOPE,
) -> Tensor:
    """Encode and decode images as JPEG does, with gradients.

    Parameters
    ----------
    images : Tensor
        RGB in [0, 255], floating point, (N, 3, H, W); 1 to 65535 rows and columns.
    quality : float or Tensor, optional
        1 to 100, libjpeg's scale of the Annex K tables, not necessarily whole: one number for all
        images, or a tensor (N,) with one for each. Default 75.
    qtables : Tensor or array_like, optional
        Steps in [1, 255], luma and chroma in natural order, instead of a quality: (2, 8, 8) for all
        images or (N, 2, 8, 8).
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma.
    straight_through : bool
        False: values and gradients of the substitutes. True: the value is that of
        :func:`torch_impl.jpeg_roundtrip`, libjpeg-turbo's to the last bit; the gradient is that of
        the pipeline with true rounding, floors and clippings forward and the derivatives of the
        substitutes backward.
    rounding : str or callable
        Of the coefficients: "cubic", "linear", "fourier", "sigmoid", "tanh", "straight_through",
        or a function of a tensor.
    scale_floor, table_floor : str, callable or None
        Of the scale that a quality stands for, and of the scaled tables. "same" takes `rounding`;
        None leaves the part out.
    qtable_rounding : str, callable or None
        Of given tables. The default rounds them as a file must, and passes the gradient on as it
        is: "cubic" has the derivative 0 at whole steps, so that training from whole tables would
        never start.
    table_slope, output_slope : float or None
        gamma of the clipping of tables and of output, in [0, 1]; 0 clips hard, None not at all
        (but steps stay at or above 1e-3).

    Returns
    -------
    Tensor
        Shape, dtype and device of `images`. Whole numbers in 0..255 with `straight_through`; else
        neither whole nor quite within [0, 255]. Computed in float32, or in float64 if an argument
        is float64, under autocast as well.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range; the message names it. Values of quality
        and tables are not looked at inside ``torch.compile`` and ``torch.func`` transforms; on a
        GPU looking waits for the device.

    Notes
    -----
    A quality that is not whole has tables of its own in the straight-through form: its scale
    is floored to whole percents, as eq. (2.3) has it and as libjpeg's jpeg_set_linear_quality
    takes them. Quality 74.6 scales by floor(200 - 149.2) = 50 percent, as quality 75 does, where
    truncating it would give the 52 percent of quality 74. Given tables are rounded to the
    nearest whole numbers, halves up.

    With "cubic" the derivative of a part vanishes on whole numbers. Where the scale of a quality
    is a multiple of 100 percent (1, 2, 5, 10, 25, 50 and 100) that is every scaled table, and the
    quality has no gradient in the straight-through form and little in the other:
    ``table_floor="straight_through"`` or "linear" gives it one.

    The straight-through form rounds images to whole numbers and saturates them, as
    `jpeg_roundtrip` does (1 is taken for the derivative), and refuses NaN; the other form takes
    images as they are, and a NaN spoils the blocks it reaches.

    References
    ----------
    Codec control thesis (*Differentiable JPEG: The Devil is in the Details*), sections 4.1.1
    and 4.1.2, Fig. 4.1.

    Examples
    --------
    >>> import torch
    >>> from torch_impl import diff_jpeg
    >>> quality = torch.tensor([10.0, 80.0], requires_grad=True)
    >>> images = torch.rand(2, 3, 20, 30) * 255
    >>> coded = diff_jpeg(images, quality=quality, straight_through=True)
    >>> (coded - images).square().mean().backward()
    >>> coded.shape, quality.grad.shape
    (torch.Size([2, 3, 20, 30]), torch.Size([2]))
    """
    parts = _Parts(
        rounding,
        scale_floor,
        table_floor,
        qtable_rounding,
        table_slope,
        output_slope,
        _as_bool(straight_through),
    )
    factors = check_subsampling(subsampling)
    check_rgb(images)
    chosen = quality_and_tables(images, quality, qtables)
    coded = None
    if straight_through:
        tables = _file_tables(*chosen)
        tables = tables[0] if len(tables) == 1 else tables
        coded = jpeg_roundtrip(images, qtables=tables, subsampling=subsampling)
        if not torch.is_grad_enabled():
            return coded
    with torch.autocast(images.device.type, enabled=False):
        soft = _pipeline(images, *chosen, factors, parts)
        if coded is not None:
            # What is added is 0 and carries the gradient.
            soft = coded + (soft - soft.detach())
        return soft.to(images.dtype)


class DiffJPEG(nn.Module):
    """Differentiable JPEG with its options fixed: :func:`diff_jpeg` as a module.

    It has no parameters: give quality or tables, trained or not, with each batch.

    Parameters
    ----------
    subsampling, straight_through, rounding, scale_floor, table_floor, qtable_rounding, \
table_slope, output_slope
        As in :func:`diff_jpeg`.

    Raises
    ------
    TypeError, ValueError
        As :func:`diff_jpeg`.

    Examples
    --------
    >>> import torch
    >>> from torch_impl import DiffJPEG
    >>> layer = DiffJPEG(straight_through=True)
    >>> layer(torch.rand(2, 3, 20, 30) * 255, quality=30).shape
    torch.Size([2, 3, 20, 30])
    """

    def __init__(
        self,
        *,
        subsampling: str = "4:2:0",
        straight_through: bool = False,
        rounding: Rounding = "cubic",
        scale_floor: Rounding | None = "same",
        table_floor: Rounding | None = "same",
        qtable_rounding: Rounding | None = "straight_through",
        table_slope: float | None = CLIP_SLOPE,
        output_slope: float | None = CLIP_SLOPE,
    ) -> None:
        super().__init__()
        check_subsampling(subsampling)
        self.options: dict[str, Any] = {
            "subsampling": subsampling,
            "straight_through": _as_bool(straight_through),
            "rounding": rounding,
            "scale_floor": scale_floor,
            "table_floor": table_floor,
            "qtable_rounding": qtable_rounding,
            "table_slope": table_slope,
            "output_slope": output_slope,
        }
        _Parts(**{k: v for k, v in self.options.items() if k != "subsampling"})  # checks them

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())

    def forward(self, images: Tensor, quality: Any = None, qtables: Any = None) -> Tensor:
        """Encode and decode a batch; arguments and result of :func:`diff_jpeg`."""
        return diff_jpeg(images, quality=quality, qtables=qtables, **self.options)


@dataclass(frozen=True)
class _Parts:
    """What is put into the pipeline, checked."""

    rounding: Rounding
    scale_floor: Rounding | None
    table_floor: Rounding | None
    qtable_rounding: Rounding | None
    table_slope: float | None
    output_slope: float | None
    straight_through: bool

    def __post_init__(self) -> None:
        check_rounding("rounding", self.rounding)
        for name in ("scale_floor", "table_floor", "qtable_rounding"):
            part = getattr(self, name)
            if part is not None and not (part == "same" and name != "qtable_rounding"):
                check_rounding(name, part)
        for name in ("table_slope", "output_slope"):
            if getattr(self, name) is not None:
                check_slope(name, getattr(self, name))

    def floor(self, part: Rounding | None) -> Rounding | None:
        return self.rounding if isinstance(part, str) and part == "same" else part

    def clip(self, x: Tensor, low: float, high: float, slope: float | None) -> Tensor:
        if slope is None:
            return x
        return soft_clip(x, low, high, slope=slope, straight_through=self.straight_through)

    def pixels(self, images: Tensor) -> Tensor:
        """What the straight-through form codes: whole numbers in 0..255, derivative 1."""
        if not self.straight_through:
            return images
        whole = soft_round(images.detach(), straight_through=True).clamp(0, 255)
        return whole + (images - images.detach())

    def tables(self, quality: Tensor | None, qtables: Tensor | None) -> Tensor:
        """Tables (1 or N, 2, 8, 8)."""
        ste = self.straight_through
        if quality is not None:
            percent = quality_scale(quality, self.floor(self.scale_floor), straight_through=ste)
            return scaled_table(
                percent.new_tensor(_BASE),
                percent[:, None, None, None],
                floor=self.floor(self.table_floor),
                slope=self.table_slope,
                straight_through=ste,
            )
        assert qtables is not None
        if self.qtable_rounding is not None:
            qtables = soft_round(qtables, self.qtable_rounding, straight_through=ste)
        return self.clip(qtables, 1, 255, self.table_slope)

    def quantize(self, z: Tensor, tables: Tensor) -> Tensor:
        """Coefficients to t R(z / t); `tables` (1 or N, 8, 8)."""
        t = tables[:, None, None, :, None, :]
        return t * soft_round(z / t, self.rounding, straight_through=self.straight_through)


def _pipeline(
    images: Tensor,
    quality: Tensor | None,
    qtables: Tensor | None,
    factors: tuple[int, int],
    parts: _Parts,
) -> Tensor:
    """The JPEG of the parts, in the compute dtype."""
    given = [t for t in (images, quality, qtables) if t is not None]
    wide = any(t.dtype == torch.float64 for t in given)
    dtype = torch.float64 if wide else torch.float32
    tables = parts.tables(*(None if t is None else t.to(dtype) for t in (quality, qtables)))
    luma, chroma = steps.encode(parts.pixels(images.to(dtype)), factors)
    luma, chroma = parts.quantize(luma, tables[:, 0]), parts.quantize(chroma, tables[:, 1])
    height, width = images.shape[-2:]
    return parts.clip(
        steps.decode(luma, chroma, factors, (height, width)), 0, 255, parts.output_slope
    )


def _file_tables(quality: Tensor | None, qtables: Tensor | None) -> Tensor:
    """Tables of whole numbers, (1 or N, 2, 8, 8), that stand in the file."""
    if qtables is not None:
        return ((2 * qtables.detach().double()).floor() / 2).ceil()
    assert quality is not None
    # Whole percents from here on, in integers: no division rounds.
    percent = quality_scale(quality.detach().double(), None).floor().long()
    base = torch.tensor(_BASE, dtype=torch.int64, device=quality.device)
    return ((base * percent[:, None, None, None] + 50) // 100).clamp(1, 255)


def _as_bool(straight_through: Any) -> bool:
    if not isinstance(straight_through, bool):
        raise TypeError(f"straight_through must be True or False, got {straight_through!r}")
    return straight_through


__all__ = ["DiffJPEG", "diff_jpeg"]
