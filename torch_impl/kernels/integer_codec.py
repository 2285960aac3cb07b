"""The integer codec as plain tensor operations in int32, for any device.

The whole batch at once: colour, sampling, the DCT of libjpeg ("islow"), quantization and the way
back. Blocks are (8, 8, N, R, C), place by place, so that every operation runs over neighbouring
numbers. Slower than :mod:`torch_impl.kernels.cpu_codec` on the CPU, and written apart from it.

References
----------
libjpeg-turbo: jccolor.c, jcsample.c, jcprepct.c, jfdctint.c, jcdctmgr.c; jidctint.c, jdsample.c,
jdcolor.c.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_impl.kernels import cpu_codec_constants as c


def roundtrip(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> Tensor:
    """Coded pixels; arguments as of :func:`torch_impl.kernels.cpu_codec.roundtrip`."""
    height, width = images.shape[-2:]
    planes = []
    for index, blocks in enumerate(_encoded(images, tables, vertical, horizontal)):
        v, h = (vertical, horizontal) if index else (1, 1)
        plane = _decoded(blocks, _steps(tables, index))
        own = plane[:, : -(-height // v), : -(-width // h)]
        planes.append(_upsample(own, v, h)[:, :height, :width])
    colours = planes if len(planes) == 1 else _to_rgb(*planes)
    return torch.stack([plane.clamp(0, 255) for plane in colours], dim=1).to(torch.uint8)


def coefficients(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> list[Tensor]:
    """Coefficients; as :func:`torch_impl.kernels.cpu_codec.coefficients`."""
    found = _encoded(images, tables, vertical, horizontal)
    return [blocks.to(torch.int16).permute(2, 3, 4, 0, 1).contiguous() for blocks in found]


def _encoded(images: Tensor, tables: Tensor, vertical: int, horizontal: int) -> list[Tensor]:
    """Quantized blocks of each component."""
    channels = list(images.to(torch.int32).unbind(1))
    planes = channels if len(channels) == 1 else _to_ycbcr(*channels)
    found = []
    for index, plane in enumerate(planes):
        v, h = (vertical, horizontal) if index else (1, 1)
        found.append(_quantized(_downsample(plane, v, h), _steps(tables, index)))
    return found


def _steps(tables: Tensor, index: int) -> Tensor:
    """Steps of a component, (8, 8, N or 1, 1, 1)."""
    return tables[:, min(index, 1)].to(torch.int32).permute(1, 2, 0)[..., None, None]


def _to_ycbcr(r: Tensor, g: Tensor, b: Tensor) -> list[Tensor]:
    luma = c.Y_R * r + c.Y_G * g + c.Y_B * b + c.HALF
    cb = c.OWN * b - c.CB_R * r - c.CB_G * g + c.CHROMA_OFFSET
    cr = c.OWN * r - c.CR_G * g - c.CR_B * b + c.CHROMA_OFFSET
    return [plane >> c.COLOUR_BITS for plane in (luma, cb, cr)]


def _to_rgb(y: Tensor, cb: Tensor, cr: Tensor) -> list[Tensor]:
    b, r = cb - 128, cr - 128
    parts = c.R_CR * r, -c.G_CB * b - c.G_CR * r, c.B_CB * b
    return [y + ((part + c.HALF) >> c.COLOUR_BITS) for part in parts]


def _repeat_edge(plane: Tensor, height: int, width: int) -> Tensor:
    """The last row and column of (N, H, W), repeated down to `height` and right to `width`."""
    rows = torch.arange(height, device=plane.device).clamp(max=plane.shape[1] - 1)
    columns = torch.arange(width, device=plane.device).clamp(max=plane.shape[2] - 1)
    return plane[:, rows][:, :, columns]


def _downsample(plane: Tensor, vertical: int, horizontal: int) -> Tensor:
    """Means of groups of samples, filled up to whole blocks.

    To the right the input is repeated and then averaged; at the bottom it is repeated to a whole
    group only, and from there on the averaged rows are.
    """
    rows, columns = -(-plane.shape[1] // vertical), -(-plane.shape[2] // horizontal)
    height, width = -(-rows // 8) * 8, -(-columns // 8) * 8
    full = _repeat_edge(plane, vertical * rows, horizontal * width)
    total = (
        full.unflatten(2, (width, horizontal))
        .unflatten(1, (rows, vertical))
        .sum(dim=(2, 4), dtype=torch.int32)
    )
    # The rounding of columns that are averaged alternates.
    bias = torch.arange(width, device=plane.device, dtype=torch.int32) % 2 * (horizontal - 1)
    if vertical == 2:
        bias = bias + 1
    return _repeat_edge((total + bias) >> (vertical * horizontal // 2), height, width)


def _upsample(plane: Tensor, vertical: int, horizontal: int) -> Tensor:
    """Full resolution, from a plane cropped to its own samples."""
    if horizontal == 2 and plane.shape[2] <= c.NARROW:
        wide = plane.repeat_interleave(2, dim=2)
        return wide.repeat_interleave(vertical, dim=1)
    even, odd, shift = 0, 0, 0
    if vertical == 2:
        plane = _halve_distances(plane, 1)
        even, odd, shift = 1, 2, 2
    if horizontal == 2:
        plane = _halve_distances(plane, 2)
        even, odd, shift = (8, 7, 4) if vertical == 2 else (1, 2, 2)
    places = torch.arange(plane.shape[horizontal], device=plane.device, dtype=torch.int32)
    bias = torch.where(places % 2 == 0, even, odd).to(torch.int32)
    return (plane + (bias if horizontal == 2 else bias[:, None])) >> shift


def _halve_distances(plane: Tensor, dim: int) -> Tensor:
    """Three parts of the nearer sample and one of the farther, twice as many; ends repeated."""
    last = plane.shape[dim] - 1
    places = torch.arange(last + 1, device=plane.device)
    before = plane.index_select(dim, (places - 1).clamp(min=0))
    after = plane.index_select(dim, (places + 1).clamp(max=last))
    return torch.stack((3 * plane + before, 3 * plane + after), dim=dim + 1).flatten(dim, dim + 1)


def _quantized(plane: Tensor, steps: Tensor) -> Tensor:
    """Quantized blocks of a plane (N, 8 R, 8 C)."""
    blocks = plane.unflatten(2, (-1, 8)).unflatten(1, (-1, 8)).permute(2, 4, 0, 1, 3)
    rows = _forward((blocks.contiguous() - 128).unbind(1), c.DCT_BITS - c.PASS_BITS)
    rows[0], rows[4] = rows[0] << c.PASS_BITS, rows[4] << c.PASS_BITS
    columns = _forward(torch.stack(rows, dim=1).unbind(0), c.DCT_BITS + c.PASS_BITS)
    half = 1 << (c.PASS_BITS - 1)
    columns[0] = (columns[0] + half) >> c.PASS_BITS
    columns[4] = (columns[4] + half) >> c.PASS_BITS
    z = torch.stack(columns)
    # Half away from zero.
    divisor = steps << c.COEFFICIENT_SHIFT
    size = torch.div(z.abs() + (divisor >> 1), divisor, rounding_mode="floor")
    return z.sign() * size


def _decoded(blocks: Tensor, steps: Tensor) -> Tensor:
    """Samples (N, 8 R, 8 C) of quantized blocks."""
    columns = torch.stack(_inverse((blocks * steps).unbind(0), c.DCT_BITS - c.PASS_BITS))
    last = c.DCT_BITS + c.PASS_BITS + c.COEFFICIENT_SHIFT
    samples = torch.stack(_inverse(columns.unbind(1), last), dim=1) + 128
    return samples.clamp(0, 255).permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)


def _forward(line: Sequence[Tensor], shift: int) -> list[Tensor]:
    """An 8-point DCT; results 0 and 4 are sums without a factor, the others descaled."""
    sums = [line[i] + line[7 - i] for i in range(4)]
    d = [line[i] - line[7 - i] for i in range(4)]
    even, odd = (sums[0] + sums[3], sums[1] + sums[2]), (sums[0] - sums[3], sums[1] - sums[2])
    z1 = (odd[0] + odd[1]) * c.C0_541
    shared = (d[0] + d[1] + d[2] + d[3]) * c.C1_175
    outer, inner = (d[0] + d[3]) * c.C0_899, (d[1] + d[2]) * c.C2_562
    z3 = shared - (d[3] + d[1]) * c.C1_961
    z4 = shared - (d[2] + d[0]) * c.C0_390
    result = [
        even[0] + even[1],
        d[0] * c.C1_501 - outer + z4,
        z1 + odd[0] * c.C0_765,
        d[1] * c.C3_072 - inner + z3,
        even[0] - even[1],
        d[2] * c.C2_053 - inner + z4,
        z1 - odd[1] * c.C1_847,
        d[3] * c.C0_298 - outer + z3,
    ]
    half = 1 << (shift - 1)
    return [x if i % 4 == 0 else (x + half) >> shift for i, x in enumerate(result)]


def _inverse(line: Sequence[Tensor], shift: int) -> list[Tensor]:
    """An 8-point inverse DCT, descaled by `shift` bits."""
    z1 = (line[2] + line[6]) * c.C0_541
    low, high = z1 + line[2] * c.C0_765, z1 - line[6] * c.C1_847
    half = 1 << (shift - 1)
    total = ((line[0] + line[4]) << c.DCT_BITS) + half
    difference = ((line[0] - line[4]) << c.DCT_BITS) + half
    even = total + low, difference + high, difference - high, total - low
    shared = (line[1] + line[3] + line[5] + line[7]) * c.C1_175
    outer, inner = (line[7] + line[1]) * c.C0_899, (line[5] + line[3]) * c.C2_562
    z3 = shared - (line[7] + line[3]) * c.C1_961
    z4 = shared - (line[5] + line[1]) * c.C0_390
    odd = (
        line[1] * c.C1_501 - outer + z4,
        line[3] * c.C3_072 - inner + z3,
        line[5] * c.C2_053 - inner + z4,
        line[7] * c.C0_298 - outer + z3,
    )
    upper = [(e + o) >> shift for e, o in zip(even, odd, strict=True)]
    lower = [(e - o) >> shift for e, o in zip(even, odd, strict=True)]
    return upper + lower[::-1]
