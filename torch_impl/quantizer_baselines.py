"""The quantizers that JPEG-DL is compared with in Table 6: uniform noise, cubic, straight-through.

All three follow one pattern. The uniform quantizer rounds what has been cut to the range of the
levels, Q_u(z) = q round(x) with x = clip(z/q, -L, L). Each baseline is q R(x) with a substitute R
of the rounding:

- uniform noise: R = x + u, R' = 1 (Ballé et al. 2016);
- cubic: R = r + (x - r)^3, R' = 3 (x - r)^2 (Shin & Song 2017);
- straight-through: R = r, and 1 is taken for R' (Esser et al. 2019, "LSQ"),

with r = round(x), ties half-up. Inside, |z| < L q, the gradients are R' for z and R - x R' for q;
outside they are 0 and R. The level and the remainder z - r q are exact (a floating-point remainder
is), so ties and ends fall as they do in exact arithmetic.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from torch_impl._validation import (
    as_int,
    as_scalar_or_tensor,
    check_float_tensor,
    check_positive,
    check_positive_number,
)
from torch_impl.kernels.baselines import apply
from torch_impl.kernels.eager import compute_dtype

BASELINES = ("uniform_noise", "cubic", "straight_through")
"""Names of the baselines, as `JPEGLayer` takes them."""

QUANTIZERS = ("soft", *BASELINES)
"""Names of all quantizers that `JPEGLayer` takes."""


def uniform_noise_quantize(
    z: Tensor,
    q: Tensor | float,
    *,
    max_level: int,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Additive uniform noise instead of rounding: q (clip(z/q, -L, L) + u).

    The quantizer of Ballé et al. in training; in validation use :func:`hard_quantize`.

    Parameters
    ----------
    z : Tensor
        DCT coefficients, any shape, floating point. Infinite ones saturate; NaN gives NaN.
    q : Tensor or float
        Quantization steps, positive and finite, in the unit of z. Broadcasts with z.
    max_level : int
        L >= 1; the index set is {-L..L}.
    noise : Tensor, optional
        u in [-1/2, 1/2] (not checked), to broadcast to the shape of z and q. Default: drawn anew,
        one number per element.
    generator : torch.Generator, optional
        Source of the noise, on the device of z. Default: torch's own, as for dropout
        (``torch.manual_seed``). Excludes `noise`.

    Returns
    -------
    Tensor
        |value| <= (L + 1/2) q, of the broadcast shape and promoted dtype. Gradients: 1 for z and
        u for q where |z| < L q, 0 and +-L + u elsewhere. float16 and bfloat16 compute in
        float32 inside.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range; the message names it. Entries of q are
        checked on the CPU, outside ``torch.compile`` and ``torch.func`` transforms.

    References
    ----------
    JPEG-DL, appendix A.6: z + q U(-0.5, 0.5), which this is for |z| <= L q. The paper does not
    say what happens beyond; Q_u, which takes over in validation, saturates.
    """
    level, z, q, shape = _checked(z, q, max_level)
    if noise is None:
        dtype = compute_dtype(z, q)
        noise = torch.rand(shape, dtype=dtype, device=z.device, generator=generator).sub_(0.5)
    else:
        if generator is not None:
            raise ValueError("noise and generator exclude each other: leave out one of the two")
        check_float_tensor("noise", noise)
        try:
            noise = noise.expand(shape)
        except RuntimeError:
            raise ValueError(
                f"noise must broadcast to the shape of z and q, {tuple(shape)}, "
                f"got {tuple(noise.shape)}"
            ) from None
    return apply(z, q, noise.detach(), "uniform_noise", level, 1.0)


def cubic_quantize(z: Tensor, q: Tensor | float, *, max_level: int) -> Tensor:
    """Cubic rounding: q (r + (x - r)^3) with x = clip(z/q, -L, L) and r its nearest integer.

    The same in training and validation: JPEG-DL names validation by Q_u for Ballé et al. alone.

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_quantize`.

    Returns
    -------
    Tensor
        |value| <= L q, of the broadcast shape and promoted dtype. With d = x - r, the gradients
        are 3 d^2 for z and r (1 - 3 d^2) - 2 d^3 for q. The function jumps by 3/4 q at ties.

    Raises
    ------
    TypeError, ValueError
        As :func:`uniform_noise_quantize`.

    References
    ----------
    Shin & Song (2017); JPEG-DL, appendix A.6.
    """
    level, z, q, _ = _checked(z, q, max_level)
    return apply(z, q, None, "cubic", level, 1.0)


def straight_through_quantize(
    z: Tensor, q: Tensor | float, *, max_level: int, gradient_scale: float = 1.0
) -> Tensor:
    """Rounding whose derivative is taken for 1, with a learned step.

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_quantize`.
    gradient_scale : float
        Factor on the gradient of q, positive; see :func:`step_gradient_scale`.

    Returns
    -------
    Tensor
        Q_u(z), of the broadcast shape and promoted dtype. Gradients: 1 for z and
        round(z/q) - z/q for q where |z| < L q, 0 and +-L elsewhere; that of q times
        `gradient_scale`.

    Raises
    ------
    TypeError, ValueError
        As :func:`uniform_noise_quantize`.

    Notes
    -----
    JPEG-DL trains the tables of this baseline with SGD, initial learning rate 0.01 and the decay
    of the network's, from the steps of :func:`learned_steps`, with as many bits as its own layer.

    References
    ----------
    Esser et al. (2019), arXiv:1902.08153, eq. (1)-(3) and (5); JPEG-DL, appendix A.6, footnote 1.
    """
    check_positive_number("gradient_scale", gradient_scale)
    level, z, q, _ = _checked(z, q, max_level)
    return apply(z, q, None, "straight_through", level, float(gradient_scale))


def hard_quantize(z: Tensor, q: Tensor | float, *, max_level: int) -> Tensor:
    """Uniform quantizer Q_u(z): the nearest of the levels {-L..L} times q, ties half-up.

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_quantize`.

    Returns
    -------
    Tensor
        |value| <= L q, of the broadcast shape and promoted dtype. Gradients hold almost
        everywhere: 0 for z, the level for q.

    Raises
    ------
    TypeError, ValueError
        As :func:`uniform_noise_quantize`.

    References
    ----------
    JPEG-DL, section 3.1; appendix A.6 for its use in validation.
    """
    level, z, q, _ = _checked(z, q, max_level)
    return apply(z, q, None, "hard", level, 1.0)


def step_gradient_scale(count: int, max_level: int) -> float:
    """Scale of the step's gradient in learned step size quantization, g = 1 / sqrt(N L).

    Parameters
    ----------
    count : int
        N >= 1, the number of coefficients of one image that share the step: in a JPEG layer the
        number of blocks, twice that for chroma. The batch does not count, so that g does not
        depend on its size, as a mean loss does not.
    max_level : int
        L >= 1.

    Returns
    -------
    float
        Dimensionless, in (0, 1].

    Raises
    ------
    TypeError, ValueError
        If an argument is not a positive integer.

    References
    ----------
    Esser et al. (2019), section 2.2, with N_F for activations and Q_P = L.
    """
    return 1 / math.sqrt(as_int("count", count, 1) * as_int("max_level", max_level, 1))


def learned_steps(mean_magnitude: Tensor, *, bits: int) -> Tensor:
    """Steps to start the straight-through baseline from: 2 mean|z| / sqrt(2^b - 1).

    Parameters
    ----------
    mean_magnitude : Tensor
        Mean of |z| over the coefficients that share a step, positive, any shape; for a
        `JPEGLayer` (2, 8, 8), chroma over Cb and Cr together.
    bits : int
        b >= 2.

    Returns
    -------
    Tensor
        In the unit of z, same shape and dtype.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range; the message names it.

    References
    ----------
    JPEG-DL, appendix A.6, footnote 1. Esser et al. have Q_P under the root, and the ImageNet rule
    of JPEG-DL's section 4 has 2^(b-1).
    """
    check_positive("mean_magnitude", check_float_tensor("mean_magnitude", mean_magnitude))
    return 2 * mean_magnitude / math.sqrt(2 ** as_int("bits", bits, 2) - 1)


def baseline_quantize(
    name: str, z: Tensor, q: Tensor, *, max_level: int, training: bool, count: int
) -> Tensor:
    """The baseline `name` as a layer uses it.

    Parameters
    ----------
    name : {"uniform_noise", "cubic", "straight_through"}
        Which one.
    z, q : Tensor
        As in :func:`uniform_noise_quantize`.
    max_level : int
        L >= 1.
    training : bool
        With uniform noise: add it, or, in validation, round. The others do not ask.
    count : int
        Coefficients of one image that share a step, for the gradient scale of the
        straight-through baseline.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    Raises
    ------
    ValueError
        If there is no such baseline; the message names the nearest.

    References
    ----------
    JPEG-DL, appendix A.6 and Table 6.
    """
    if name == "uniform_noise":
        if training:
            return uniform_noise_quantize(z, q, max_level=max_level)
        return hard_quantize(z, q, max_level=max_level)
    if name == "cubic":
        return cubic_quantize(z, q, max_level=max_level)
    if name == "straight_through":
        scale = step_gradient_scale(count, max_level)
        return straight_through_quantize(z, q, max_level=max_level, gradient_scale=scale)
    raise ValueError(_unknown(name, BASELINES))


def check_quantizer_name(name: Any) -> str:
    """Return `name` if it is one of `QUANTIZERS`; the error names the nearest."""
    if not isinstance(name, str):
        raise TypeError(
            f"quantizer must be one of {', '.join(QUANTIZERS)}, got {name!r} of type "
            f"{type(name).__name__}"
        )
    if name not in QUANTIZERS:
        raise ValueError(_unknown(name, QUANTIZERS))
    return name


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"quantizer must be one of {', '.join(known)}, got {name!r}{hint}"


def _checked(z: Any, q: Any, max_level: Any) -> tuple[int, Tensor, Tensor, torch.Size]:
    level = as_int("max_level", max_level, 1)
    check_float_tensor("z", z)
    q = as_scalar_or_tensor("q", q, z)
    try:
        shape = torch.broadcast_shapes(z.shape, q.shape)
    except RuntimeError:
        raise ValueError(
            "z and q must broadcast against each other, got shapes "
            f"{tuple(z.shape)}, {tuple(q.shape)}"
        ) from None
    # Elsewhere reading the steps would wait for the device, break the graph or be impossible.
    if q.device.type == "cpu" and not (
        torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    ):
        check_positive("q", q.detach())
    return level, z, q, shape


__all__ = [
    "BASELINES",
    "QUANTIZERS",
    "baseline_quantize",
    "check_quantizer_name",
    "cubic_quantize",
    "hard_quantize",
    "learned_steps",
    "step_gradient_scale",
    "straight_through_quantize",
    "uniform_noise_quantize",
]
