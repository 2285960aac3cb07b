"""The JPEG layer written a second time, naively, in torch, with autograd for its gradient.

Shares no code with `reference`: colour by the printed formulas, the DCT as a sum over the
four-dimensional cosine basis, blocks by unfold, chroma by torch's pooling and interpolation, the
quantizer as a softmax over levels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}


def draw_case(seed, size, rounds):
    """Random image of (N, H, W), tables with h over two decades, and output weights."""
    rng = np.random.default_rng(seed)
    n, height, width = size
    image = rng.uniform(0, 255, (n, 3, height, width))
    shape = (2, 8, 8) if rounds is None else (rounds, 2, 8, 8)
    q = rng.uniform(4, 40, shape)  # 15 levels of 4 saturate the DC coefficient, of 40 do not
    alpha = 10 ** rng.uniform(-0.5, 1.5, shape) / q**2
    return image, q, alpha, rng.normal(size=image.shape)


def _basis():
    u, v, x, y = np.indices((8, 8, 8, 8))
    scale = np.where(u == 0, math.sqrt(0.5), 1) * np.where(v == 0, math.sqrt(0.5), 1) / 4
    waves = np.cos((2 * x + 1) * u * np.pi / 16) * np.cos((2 * y + 1) * v * np.pi / 16)
    return torch.from_numpy(scale * waves)  # (u, v, x, y)


def _softmax_quantize(z, q, alpha, max_level, window):
    if window is None:
        levels = torch.arange(-max_level, max_level + 1.0, dtype=z.dtype)
    else:
        nearest = torch.floor(z.detach() / q.detach() + 0.5)
        start = torch.clamp(nearest - window // 2, -max_level, max_level - window + 1)
        levels = start[..., None] + torch.arange(window, dtype=z.dtype)
    points = levels * q[..., None]
    weights = torch.softmax(-alpha[..., None] * (z[..., None] - points) ** 2, dim=-1)
    return (weights * points).sum(dim=-1)


def naive_layer(image, q, alpha, *, max_level, window=None, subsampling="4:4:4"):
    """Torch float64 output; pass tensors that require gradients to differentiate it."""
    image, q, alpha = (torch.as_tensor(a, dtype=torch.float64) for a in (image, q, alpha))
    q, alpha = q.reshape(-1, 2, 8, 8), alpha.reshape(-1, 2, 8, 8)
    height, width = image.shape[-2:]
    v, h = FACTORS[subsampling]
    padded = functional.pad(image, (0, -width % (8 * h), 0, -height % (8 * v)), mode="replicate")
    r, g, b = (padded - 128).unbind(dim=1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = torch.stack([(b - luma) / 1.772, (r - luma) / 1.402], dim=1)
    chroma = functional.avg_pool2d(chroma, (v, h))
    planes = [
        _code(luma[:, None], 0, q, alpha, max_level, window),
        functional.interpolate(
            _code(chroma, 1, q, alpha, max_level, window),
            size=padded.shape[-2:],
            mode="bilinear",
            align_corners=False,
        ),
    ]
    y, cb, cr = torch.cat(planes, dim=1).unbind(dim=1)
    red = y + 1.402 * cr
    blue = y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], dim=1)[..., :height, :width] + 128


def _code(plane, table, q, alpha, max_level, window):
    """DCT, quantize once per round, inverse DCT."""
    basis = _basis()
    blocks = plane.unfold(-2, 8, 8).unfold(-2, 8, 8)  # (N, C, rows, columns, 8, 8)
    z = torch.einsum("uvxy,...xy->...uv", basis, blocks)
    for q_round, alpha_round in zip(q[:, table], alpha[:, table], strict=True):
        z = _softmax_quantize(z, q_round, alpha_round, max_level, window)
    blocks = torch.einsum("uvxy,...uv->...xy", basis, z)
    return blocks.transpose(-3, -2).reshape(plane.shape)
