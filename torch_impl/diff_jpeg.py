"""Differentiable JPEG: encoding and decoding with gradients for image, quality, tables and colour.

One pipeline,

    quality -> scale -> floor -> tables -> floor -> clip to [1, 255]
    images -> -128 -> YCbCr -> reduce chroma -> 8x8 DCT -> t R(z / t) ->
        inverse DCT -> chroma back -> RGB -> +128 -> clip to [0, 255]

into which substitutes of rounding (R), floor and clipping are put: :mod:`torch_impl.surrogates`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_impl._codec_arguments import check_subsampling
from torch_impl._diff_jpeg_arguments import as_bool, given_of
from torch_impl._diff_jpeg_pipeline import Parts, exact, surrogate
from torch_impl._straight_through import plus_gradient_of, with_gradient_of
from torch_impl.surrogates import CLIP_SLOPE, Rounding


def diff_jpeg(
    images: Tensor,
    *,
    quality: Any = None,
    qtables: Any = None,
    base_tables: Any = None,
    color_matrix: Any = None,
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
        1 to 100, libjpeg's scale of the base tables, not necessarily whole: one number for all
        images, or a tensor (N,) with one for each. Default 75.
    qtables : Tensor or array_like, optional
        Steps in [1, 255], luma and chroma in natural order, instead of a quality: (2, 8, 8) for all
        images or (N, 2, 8, 8).
    base_tables : Tensor or array_like, optional
        What a quality scales, instead of the tables of Annex K: steps in [1, 255] of quality 50, of
        the same shapes as `qtables`, not necessarily whole.
    color_matrix : Tensor or array_like, optional
        RGB to YCbCr, rows Y, Cb, Cr: (3, 3) for all images or (N, 3, 3), invertible; decoding uses
        the inverse. Default: that of JFIF, with its own rounded inverse.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma.
    straight_through : bool
        False: values and gradients of the substitutes. True: the value is that of
        :func:`torch_impl.jpeg_roundtrip`, libjpeg-turbo's to the last bit; the gradient is that of
        the pipeline with true rounding, floors and clippings forward and the derivatives of the
        substitutes backward.
    rounding : str or callable
        Of the coefficients: one of :data:`torch_impl.surrogates.KINDS`, "cubic", "linear",
        "fourier", "sigmoid", "tanh", "straight_through", "soft" and "uniform_noise", or a function
        of a tensor.
    scale_floor, table_floor : str, callable or None
        Of the scale that a quality stands for, and of the scaled tables. "same" takes `rounding`;
        None leaves the part out.
    qtable_rounding : str, callable or None
        Of given `qtables`. The default rounds them as a file must, and passes the gradient on as it
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
        If an argument has the wrong type, shape or range; the message names it. Values of quality,
        tables and colour matrix are not looked at inside ``torch.compile`` and ``torch.func``
        transforms; on a GPU looking waits for the device.

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
    ``table_floor="straight_through"`` or "linear" gives it one. At 16, whose scale of 312.5 percent
    lies where the floor of the scale is flat, ``scale_floor`` does the same.

    The straight-through form rounds images to whole numbers and saturates them, as
    `jpeg_roundtrip` does (1 is taken for the derivative), and refuses NaN and infinity; the other
    form takes images as they are, and a NaN spoils the blocks it reaches.

    A colour matrix M acts as a transform in front of a standard codec and its inverse behind it,
    M0^-1 M with the matrix M0 of JFIF. The straight-through form rounds and saturates what the
    codec is given, and rounds and saturates again behind it: its file is libjpeg's.

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
    parts = Parts(
        rounding,
        scale_floor,
        table_floor,
        qtable_rounding,
        table_slope,
        output_slope,
        as_bool("straight_through", straight_through),
    )
    factors = check_subsampling(subsampling)
    given = given_of(images, quality, qtables, base_tables, color_matrix)
    with torch.autocast(images.device.type, enabled=False):
        if not straight_through:
            return surrogate(given.computed(), factors, parts).to(images.dtype)
        coded = exact(given, subsampling)
        if not parts.named():
            # A function may hold parameters of its own.
            return plus_gradient_of(surrogate(given.computed(), factors, parts), coded)
        if not _differentiated(given.tensors()):
            return coded

        def soft(*tensors: Tensor) -> Tensor:
            return surrogate(given.replaced(tensors).computed(), factors, parts)

        return with_gradient_of(soft, given.tensors(), coded)


class DiffJPEG(nn.Module):
    """Differentiable JPEG with its options fixed: :func:`diff_jpeg` as a module.

    It has no parameters: give quality, tables or colour matrix, trained or not, with each batch.

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
            "straight_through": as_bool("straight_through", straight_through),
            "rounding": rounding,
            "scale_floor": scale_floor,
            "table_floor": table_floor,
            "qtable_rounding": qtable_rounding,
            "table_slope": table_slope,
            "output_slope": output_slope,
        }
        Parts(**{k: v for k, v in self.options.items() if k != "subsampling"})  # checks them

    def extra_repr(self) -> str:
        """Options, for ``print(layer)``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())

    def forward(
        self,
        images: Tensor,
        quality: Any = None,
        qtables: Any = None,
        base_tables: Any = None,
        color_matrix: Any = None,
    ) -> Tensor:
        """Encode and decode a batch; arguments and result of :func:`diff_jpeg`."""
        return diff_jpeg(
            images,
            quality=quality,
            qtables=qtables,
            base_tables=base_tables,
            color_matrix=color_matrix,
            **self.options,
        )


def _differentiated(tensors: list[Tensor]) -> bool:
    """Whether somebody may ask for a gradient; transforms of torch.func do not tell."""
    if torch._C._are_functorch_transforms_active():
        return True
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


__all__ = ["DiffJPEG", "diff_jpeg"]
