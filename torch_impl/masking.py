"""How far a masked CPMF is from the full space, and the warning that says so."""

from __future__ import annotations

import math
import warnings

import torch

from torch_impl.kernels import eager

NOTICEABLE = 1e-3
"""Distance, in units of q, above which a user is told."""

CERTAINLY_CLOSE = 4.0
"""From this h on even three levels are within `NOTICEABLE`: 2.5e-4 q, and five 5e-11 q."""

_POINTS = 201
# exp(-h room^2) of the full space is left out beyond this room: 2e-22 at h room^2 = 50.
_ROOM = 50.0


class MaskedWindowWarning(UserWarning):
    """A masked CPMF is noticeably different from the full space it stands for."""


def masked_distance(hardness: float, window: int) -> float:
    """Largest |masked - full| / q of the soft quantizer away from the ends of the index set.

    Parameters
    ----------
    hardness : float
        h = alpha q^2, positive; the distance depends on nothing else.
    window : int
        Number of levels of the masked CPMF: odd, >= 3.

    Returns
    -------
    float
        In units of q, measured over one period of z/q with both sides of the window's jump.

    References
    ----------
    JPEG-DL, appendix A.12 and Table 10, which judge the distance at z = q/2 and alpha q^2 >= 1.
    """
    # Both below and above the jump at c = 1/2; the quantizer is odd, so half a period will do.
    c = torch.linspace(0.0, 0.5, _POINTS, dtype=torch.float64)
    c = torch.cat([c, torch.tensor([math.nextafter(0.5, 0.0)], dtype=torch.float64)])
    one = torch.ones((), dtype=torch.float64)
    h = torch.tensor(hardness, dtype=torch.float64)
    max_level = 1 + max(window, math.ceil(math.sqrt(_ROOM / hardness)))
    full = eager.soft_quantize(c, one, h, max_level, 0)
    masked = eager.soft_quantize(c, one, h, max_level, window)
    return float((masked - full).abs().max())


def warn_if_far(hardness: float, window: int, *, stacklevel: int) -> bool:
    """Warn if the masked CPMF at this `hardness` is noticeably far; return whether it did."""
    distance = masked_distance(hardness, window)
    if not distance > NOTICEABLE:
        return False
    warnings.warn(
        f"window={window} at alpha q^2 = {hardness:.3g} differs from the full space by up to "
        f"{distance:.1e} q, and its gradient with respect to q by far more: see docs/masking.md. "
        "Use window=None for the full space, or ignore this warning to follow the paper",
        MaskedWindowWarning,
        stacklevel=stacklevel + 1,
    )
    return True
