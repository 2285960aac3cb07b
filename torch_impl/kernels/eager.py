"""The soft quantizer in plain torch operations: any device, any thread count, nothing compiled.

Everything is a function of c = z/q and h = alpha q^2, in units of q. Three regimes:

lattice
    Sum over a few levels around the nearest one, r: the window of a masked CPMF, or, for the
    full space at h >= pi, the levels whose weight a float of this width can see. The weight of
    level r + k is exp(k (g - h k)) with g = 2 h (c - r): all exponents are <= 0.
theta
    Full space, h < pi, away from the ends of the index set: Poisson summation turns the
    sum over all levels into a series in exp(-pi^2 k^2 / h), of which the first terms do.
ends
    Full space, h < pi, near or beyond the ends, where the cut-off matters: few elements in
    practice. They are gathered and summed in float64 over the levels within reach.

The partial derivatives are JPEG-DL's eq. (10a), (10b) and (13) with centred moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Partials = tuple[Tensor, Tensor, Tensor, Tensor]

# Where the full space changes from the theta series to the sum over the nearest levels.
CROSSOVER = math.pi
# Levels on each side of the nearest one that count at h >= CROSSOVER. The first one left out
# weighs at most exp(-h K (K + 1)) <= 7e-9 (K = 2) and 4e-17 (K = 3) of the nearest.
_LATTICE_REACH = {torch.float32: 2, torch.float64: 3}
# Terms of the theta series at h <= CROSSOVER: the first one left out is exp(-pi k^2) = 5e-13
# (k = 3) and 1.5e-22 (k = 4).
_THETA_TERMS = {torch.float32: 2, torch.float64: 3}
# The ends are out of sight of c when h (L - |c|)^2 exceeds this: exp(-30) = 9e-14 and
# exp(-50) = 2e-22 leave room for the cubes of the distance in the third moment.
_END_DISTANCE = {torch.float32: 30.0, torch.float64: 50.0}
# Below this the theta series is 0 to the last bit; it keeps 1/h finite.
_THETA_H_MIN = {torch.float32: 0.05, torch.float64: 0.01}
# Past this the result no longer changes, and products stay finite.
_HUGE = {torch.float32: 1e30, torch.float64: 1e300}
# Elements times levels that the sum near the ends holds at once.
_CHUNK = 1 << 22


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 if any input is; float32 otherwise (half precision computes in float32)."""
    wide = any(t.dtype == torch.float64 for t in tensors)
    return torch.float64 if wide else torch.float32


def soft_quantize(z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
    """Q_d; `window` 0 is the full space. Broadcasts; returns the compute dtype."""
    return _evaluate(z, q, alpha, max_level, window, with_partials=False)[0]


def soft_quantize_partials(
    z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int
) -> Partials:
    """Q_d and its partial derivatives, elementwise; `window` 0 is the full space."""
    value, dz, dq, dalpha = _evaluate(z, q, alpha, max_level, window, with_partials=True)
    return value, dz, dq, dalpha


def _evaluate(
    z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int, *, with_partials: bool
) -> tuple[Tensor, ...]:
    dtype = compute_dtype(z, q, alpha)
    z, q, alpha = z.to(dtype), q.to(dtype), alpha.to(dtype)
    huge = _HUGE[dtype]
    c = z / q
    h = ((alpha * q) * q).clamp(max=huge)
    below = torch.floor(c)
    r = torch.where(c - below >= 0.5, below + 1, below).clamp(-max_level, max_level)  # half-up
    t = (c - r).clamp(-huge, huge)
    # Beyond the ends z - r q is used itself: h may have underflowed, c overflowed.
    g = torch.where(c.abs() <= max_level + 1, 2 * h * t, 2 * (alpha * q) * (z - r * q))
    g = g.clamp(-huge, huge)

    if window:
        first = (r - window // 2).clamp(-max_level, max_level - window + 1)
        offsets: Iterable[Tensor | int] = (first + j - r for j in range(window))
        return _lattice(z, q, r, t, g, h, offsets, None, with_partials=with_partials)

    reach = _LATTICE_REACH[dtype]
    lattice = _lattice(
        z, q, r, t, g, h, range(-reach, reach + 1), max_level, with_partials=with_partials
    )
    c, h = torch.broadcast_tensors(c, h)
    soft = h < CROSSOVER
    if not bool(soft.any()):
        return lattice
    theta = _theta(z, q, c, t, h, with_partials=with_partials)
    result = tuple(
        torch.where(soft, a, b).contiguous() for a, b in zip(theta, lattice, strict=True)
    )

    room = (max_level - c.abs()).clamp(min=0)
    ends = soft & ~(h * room * room >= _END_DISTANCE[dtype]) & ~torch.isnan(c)
    where = torch.nonzero(ends.reshape(-1)).squeeze(1)
    if where.numel():
        z_end, q_end, alpha_end = (
            x.expand(c.shape).reshape(-1)[where].double() for x in (z, q, alpha)
        )
        near_ends = _ends(z_end, q_end, alpha_end, max_level, with_partials)
        for out, near_end in zip(result, near_ends, strict=True):
            out.view(-1)[where] = near_end.to(dtype)
    return result


def _lattice(
    z: Tensor,
    q: Tensor,
    r: Tensor,
    t: Tensor,
    g: Tensor,
    h: Tensor,
    offsets: Iterable[Tensor | int],
    max_level: int | None,
    *,
    with_partials: bool,
) -> tuple[Tensor, ...]:
    """Sum over the levels r + k, k in `offsets`, cut to {-L..L} where `max_level` is given."""
    s0, s1, s2, s3 = (torch.zeros_like(t) for _ in range(4))
    for k in offsets:
        exponent = k * (g - h * k)
        if isinstance(k, Tensor):
            weight = torch.exp(torch.where(k == 0, 0.0, exponent))
        else:
            weight = torch.exp(exponent) if k else torch.ones_like(t)
        if max_level is not None and k:
            weight = torch.where((r + k).abs() <= max_level, weight, 0.0)
        s0 = s0 + weight
        s1 = s1 + weight * k
        if with_partials:
            s2 = s2 + weight * (k * k)
            s3 = s3 + weight * (k * k * k)
    # A NaN coefficient has no level; the weights of its window are not NaN by themselves.
    mean = s1 / s0 + 0 * t
    value = q * (r + mean)
    if not with_partials:
        return (value,)
    second = s2 / s0
    var = second - mean * mean
    mu3 = s3 / s0 - mean * (3 * second - 2 * mean * mean)
    return value, *_from_moments(q, r, t, g, h, mean, var, mu3)


def _from_moments(
    q: Tensor, r: Tensor, t: Tensor, g: Tensor, h: Tensor, mean: Tensor, var: Tensor, mu3: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Partial derivatives from the moments about the nearest level, all in units of q."""
    dz = 2 * h * var
    dq = r + mean - 2 * h * (mu3 + (r + 2 * mean) * var) + g * var
    # Factor by factor: q^3 alone may overflow where the moments vanish.
    dalpha = -(mu3 + 2 * (mean - t) * var) * q * q * q
    return dz, dq, dalpha


def _theta(
    z: Tensor, q: Tensor, c: Tensor, t: Tensor, h: Tensor, *, with_partials: bool
) -> tuple[Tensor, ...]:
    """Full space away from the ends, at h < pi: z minus a quickly converging sine series.

    With e_k = exp(-pi^2 k^2 / h), P = 1 + 2 sum e_k cos(2 pi k t), N = -dP/dt and S = N/P:
    Q_d = z - q S / (2h), and the partial derivatives follow from S_t and S_h.
    """
    h = h.clamp(min=_THETA_H_MIN[z.dtype])
    angle = (2 * math.pi) * t
    cosine, sine = torch.cos(angle), torch.sin(angle)
    nome = torch.exp(-(math.pi**2) / h)
    p, n, n_t, n_h = torch.ones_like(t), *(torch.zeros_like(t) for _ in range(3))
    cosine_k, sine_k = cosine, sine
    for k in range(1, _THETA_TERMS[z.dtype] + 1):
        e = nome ** (k * k)
        p = p + (2 * e) * cosine_k
        n = n + (4 * math.pi * k * e) * sine_k
        if with_partials:
            n_t = n_t + (8 * math.pi**2 * k**2 * e) * cosine_k
            n_h = n_h + (4 * math.pi**3 * k**3 * e) * sine_k
        cosine_k, sine_k = cosine_k * cosine - sine_k * sine, sine_k * cosine + cosine_k * sine
    s = n / p
    half = 0.5 / h
    value = z - q * (s * half)
    if not with_partials:
        return (value,)
    s_t = n_t / p + s * s
    s_h = (n_h - 0.25 * s * n_t) / (p * h * h)
    slope = s_t * half  # 1 - dQ/dz
    dq = s * half - s_h + c * slope
    dalpha = half * (s / h - s_h) * q * q * q
    return value, 1 - slope, dq, dalpha


def _ends(
    z: Tensor, q: Tensor, alpha: Tensor, max_level: int, with_partials: bool
) -> tuple[Tensor, ...]:
    """Full space near or beyond the ends, at h < pi: the levels within reach, in float64."""
    reach = int(
        min(2 * max_level, 2 + math.sqrt(_END_DISTANCE[torch.float64] / _smallest(alpha * q * q)))
    )
    step = max(1, _CHUNK // (2 * reach + 1))
    huge = _HUGE[torch.float64]

    def part(z: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        c = z / q
        r = torch.floor(c + 0.5).clamp(-max_level, max_level)
        t = (c - r).clamp(-huge, huge)
        h = (alpha * q) * q
        g = torch.where(c.abs() <= max_level + 1, 2 * h * t, 2 * (alpha * q) * (z - r * q))
        g = g.clamp(-huge, huge)
        k = torch.arange(-reach, reach + 1, dtype=torch.float64, device=z.device)[:, None]
        inside = (r + k).abs() <= max_level
        weight = torch.where(inside, torch.exp(torch.where(inside, k * (g - h * k), 0.0)), 0.0)
        weight = torch.where(k == 0, 1.0, weight)
        p = weight / weight.sum(0)
        mean = (p * k).sum(0)
        value = q * (r + mean)
        if not with_partials:
            return (value,)
        var = (p * (k - mean) ** 2).sum(0)
        mu3 = (p * (k - mean) ** 3).sum(0)
        return value, *_from_moments(q, r, t, g, h, mean, var, mu3)

    return _in_chunks(part, (z, q, alpha), step)


def _smallest(h: Tensor) -> float:
    return max(float(h.min()), 1e-300)


def _in_chunks(
    function: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...], step: int
) -> tuple[Tensor, ...]:
    parts = [function(*chunk) for chunk in zip(*(x.split(step) for x in tensors), strict=True)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
