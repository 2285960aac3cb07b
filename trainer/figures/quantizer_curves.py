"""What Fig. 2, 7, 8, 9 and 13 and Table 10 of JPEG-DL show, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torch_impl import soft_quantize

ALPHAS = (1.0, 3.0, 5.0, 10.0)
"""Of Fig. 2, Fig. 13 and Table 10."""
ALPHA_GRADIENT_ALPHAS = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Of Fig. 7; the text does not name the paper's."""
Q_GRADIENT_ALPHA = 8.0
Q_GRADIENT_STEPS = (0.5, 1.0, 2.0, 4.0)
"""Of Fig. 8a; the text names alpha = 8 only."""
Q_GRADIENT_Q = 2.0
Q_GRADIENT_ALPHAS = (0.5, 2.0, 4.0, 8.0)
"""Of Fig. 8b; the text names q = 2 only."""
HBAR = 2.0
HBAR_STEPS = (0.5, 1.0, 2.0, 4.0)
"""Steps of the pairs of Fig. 9, alpha = hbar / q^2; the text names hbar = 2 only."""
WINDOW = 5
TIE = 0.5
"""Coefficient of Fig. 13 and Table 10: half-way between two levels at q = 1."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a figure.

    Parameters
    ----------
    label
        Of the legend.
    x, y
        (N,) float64.
    """

    label: str
    x: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class Mass:
    """Part of a CPMF, one panel of Fig. 13.

    Parameters
    ----------
    alpha
        Scaling factor.
    levels
        (K,) int64, the levels shown.
    probabilities
        (K,) float64, of these levels in the full space.
    window
        First and last level of the masked CPMF.
    """

    alpha: float
    levels: Tensor
    probabilities: Tensor
    window: tuple[int, int]


@dataclass(frozen=True)
class MaskingRow:
    """One row of Table 10: Q_d(z = 0.5; q = 1, alpha)."""

    alpha: float
    full: float
    masked: float

    @property
    def difference(self) -> float:
        """Distance between the two."""
        return abs(self.full - self.masked)


def max_level(bits: int) -> int:
    """L = 2^(b-1) - 1, as in Fig. 13 and the authors' code; the text has 2^(b-1)."""
    return int(2 ** (bits - 1)) - 1


def quantizer_curves(points: int = 1801) -> list[Curve]:
    """Q_u, then Q_d for each alpha, at L = 3 and q = 1.

    Parameters
    ----------
    points
        Of each curve, on [-4.5, 4.5].

    References
    ----------
    JPEG-DL, eq. (7), Fig. 2.
    """
    z = torch.linspace(-4.5, 4.5, points, dtype=torch.float64)
    hard = torch.floor(z + 0.5).clamp(-3, 3)
    soft = [
        Curve(rf"$Q_d$, $\alpha={alpha:g}$", z, soft_quantize(z, 1.0, alpha, max_level=3))
        for alpha in ALPHAS
    ]
    return [Curve("$Q_u$", z, hard), *soft]


def alpha_gradients(points: int = 1801) -> list[Curve]:
    """The derivative of Q_d with respect to alpha at b = 3 and q = 1.

    References
    ----------
    JPEG-DL, appendix A.1, Fig. 7.
    """
    z = torch.linspace(-4.5, 4.5, points, dtype=torch.float64)
    curves = []
    for alpha in ALPHA_GRADIENT_ALPHAS:
        _, gradient = _partials(z, 1.0, alpha, max_level(3))
        curves.append(Curve(rf"$\alpha={alpha:g}$", z, gradient))
    return curves


def q_gradients_over_q(per_level: int = 128) -> list[Curve]:
    """The derivative of Q_d with respect to q at b = 6 and alpha = 8, one curve per q.

    Each is given for abs(z) <= L q.

    Parameters
    ----------
    per_level
        Points in a step q, a power of two.

    References
    ----------
    JPEG-DL, appendix A.2, Fig. 8a.
    """
    return [
        _q_gradient(rf"$q={q:g}$", q, Q_GRADIENT_ALPHA, per_level)
        for q in sorted(Q_GRADIENT_STEPS, reverse=True)  # the tallest first, behind the others
    ]


def q_gradients_over_alpha(per_level: int = 128) -> list[Curve]:
    """The derivative of Q_d with respect to q at b = 6 and q = 2, one curve per alpha.

    References
    ----------
    JPEG-DL, appendix A.2, Fig. 8b.
    """
    return [
        _q_gradient(rf"$\alpha={alpha:g}$", Q_GRADIENT_Q, alpha, per_level)
        for alpha in sorted(Q_GRADIENT_ALPHAS, reverse=True)
    ]


def matched_gradients(per_level: int = 128) -> list[Curve]:
    """The derivative of Q_d with respect to q at b = 6 for pairs with alpha q^2 = 2.

    References
    ----------
    JPEG-DL, appendix A.2, Fig. 9.
    """
    return [
        _q_gradient(rf"$q={q:g}$, $\alpha={HBAR / q**2:g}$", q, HBAR / q**2, per_level)
        for q in sorted(HBAR_STEPS, reverse=True)
    ]


def _q_gradient(label: str, q: float, alpha: float, per_level: int) -> Curve:
    level = max_level(6)
    # Even parts of a power of two: every midpoint is a point, and no peak is cut.
    z = q * torch.arange(-level * per_level, level * per_level + 1).double() / per_level
    gradient, _ = _partials(z, q, alpha, level)
    return Curve(label, z, gradient)


def _partials(z: Tensor, q: float, alpha: float, level: int) -> tuple[Tensor, Tensor]:
    """Derivatives of Q_d with respect to q and alpha at each z."""
    steps = torch.full_like(z, q).requires_grad_()
    factors = torch.full_like(z, alpha).requires_grad_()
    total = soft_quantize(z, steps, factors, max_level=level).sum()
    dq, dalpha = torch.autograd.grad(total, (steps, factors))
    return dq, dalpha


def masses(first: int = -3, last: int = 4) -> list[Mass]:
    """The CPMF at z = 0.5, q = 1, L = 1023, around the coefficient, for each alpha.

    Parameters
    ----------
    first, last
        Levels shown.

    References
    ----------
    JPEG-DL, eq. (6), Fig. 13. The window holds the five levels around the nearest one, ties
    rounded up (Table 10).
    """
    level = max_level(11)
    levels = torch.arange(-level, level + 1)
    nearest = math.floor(TIE + 0.5)
    shown = slice(first + level, last + level + 1)
    return [
        Mass(
            alpha,
            levels[shown],
            torch.softmax(-alpha * (TIE - levels.double()) ** 2, 0)[shown],
            (nearest - WINDOW // 2, nearest + WINDOW // 2),
        )
        for alpha in ALPHAS
    ]


def masking_rows() -> list[MaskingRow]:
    """The soft quantizer at z = 0.5, q = 1 in the full space and masked, for each alpha.

    References
    ----------
    JPEG-DL, Table 10.
    """
    z = torch.tensor(TIE, dtype=torch.float64)
    return [
        MaskingRow(
            alpha,
            soft_quantize(z, 1.0, alpha, max_level=max_level(8)).item(),
            soft_quantize(z, 1.0, alpha, max_level=max_level(8), window=WINDOW).item(),
        )
        for alpha in ALPHAS
    ]
