"""Sound implementations of the JPEG layer: none of them may ever be accused.

Each is written on its own, as an engineer would, and works in the dtype of its inputs.
Every factory takes ``window`` and ``subsampling`` and returns a
:data:`oracles.layer.subject.LayerFunction`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.layer.subject import LayerFunction
from oracles.mutants import sound
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import DCT_MATRIX, RGB_TO_YCBCR, SUBSAMPLINGS, YCBCR_TO_RGB

LayerFactory = Callable[[int | None, str], LayerFunction]


def rounded_reference(window: int | None, subsampling: str) -> LayerFunction:
    """float64 inside, rounded to the dtype of the inputs at the end."""
    options: dict[str, Any] = {"window": window, "subsampling": subsampling, "compiled": True}

    def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        x, q_, alpha_, g = (a.astype(np.float64) for a in (image, q, alpha, grad_output))
        output = jpeg_layer(x, q_, alpha_, max_level=max_level, **options)
        gradients = jpeg_layer_vjp(x, q_, alpha_, g, max_level=max_level, **options)
        return tuple(part.astype(image.dtype) for part in (output, *gradients))

    return fn


def _quantize(quantizer: Any, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
    """Value and partials of an array of blocks by an elementwise quantizer."""
    flat = [np.broadcast_to(a, z.shape).ravel() for a in (z, q, alpha)]
    return [part.reshape(z.shape) for part in quantizer(*flat, max_level)]


def planes(quantizer: sound.Factory) -> LayerFactory:
    """Plane by plane in the working dtype: DCT by two matrix products, sampling by slices."""

    def factory(window: int | None, subsampling: str) -> LayerFunction:
        v, h = SUBSAMPLINGS[subsampling]
        one = quantizer(window)

        def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
            t = image.dtype.type
            dct, forth, back = (m.astype(t) for m in (DCT_MATRIX, RGB_TO_YCBCR, YCBCR_TO_RGB))
            height, width = image.shape[2:]
            down, across = -height % (8 * v), -width % (8 * h)
            room = ((0, 0), (0, 0), (0, down), (0, across))

            def blocks(x: Any) -> Any:
                a, b, i, j = x.shape
                return x.reshape(a, b, i // 8, 8, j // 8, 8).swapaxes(3, 4)

            def merge(x: Any) -> Any:
                a, b, i, j, _, _ = x.shape
                return x.swapaxes(3, 4).reshape(a, b, 8 * i, 8 * j)

            def up(x: Any, axis: int) -> Any:
                edge = np.concatenate(
                    [x.take([0], axis), x, x.take([-1], axis)], axis=axis
                ).swapaxes(axis, -1)
                inner = t(0.75) * edge[..., 1:-1]
                even, odd = inner + t(0.25) * edge[..., :-2], inner + t(0.25) * edge[..., 2:]
                return np.stack([even, odd], -1).reshape(*inner.shape[:-1], -1).swapaxes(axis, -1)

            def up_adjoint(g: Any, axis: int) -> Any:
                g = g.swapaxes(axis, -1)
                even, odd = g[..., ::2], g[..., 1::2]
                edge = np.zeros((*even.shape[:-1], even.shape[-1] + 2), t)
                edge[..., 1:-1] = t(0.75) * (even + odd)
                edge[..., :-2] += t(0.25) * even
                edge[..., 2:] += t(0.25) * odd
                edge[..., 1] += edge[..., 0]
                edge[..., -2] += edge[..., -1]
                return edge[..., 1:-1].swapaxes(axis, -1)

            padded = np.pad(image, room, mode="edge") - t(128)
            ycc = np.einsum("ij,njhw->nihw", forth, padded)
            chroma = ycc[:, 1:]
            grad = np.einsum("ij,nihw->njhw", back, np.pad(grad_output, room))
            grad_chroma = grad[:, 1:]
            if h == 2:
                chroma = (chroma[..., ::2] + chroma[..., 1::2]) * t(0.5)
                grad_chroma = up_adjoint(grad_chroma, 3)
            if v == 2:
                chroma = (chroma[..., ::2, :] + chroma[..., 1::2, :]) * t(0.5)
                grad_chroma = up_adjoint(grad_chroma, 2)
            outputs, backs, tables = [], [], []
            for k, (x, g) in enumerate([(ycc[:, :1], grad[:, :1]), (chroma, grad_chroma)]):
                z, gz = (dct @ blocks(a) @ dct.T for a in (x, g))
                value, dz, dq, dalpha = _quantize(one, z, q[k], alpha[k], max_level)
                outputs.append(merge(dct.T @ value @ dct))
                backs.append(merge(dct.T @ (gz * dz) @ dct))
                tables.append([(gz * d).sum((0, 1, 2, 3)) for d in (dq, dalpha)])
            (luma, chroma), (grad_luma, grad_chroma) = outputs, backs
            if v == 2:
                chroma = up(chroma, 2)
                grad_chroma = np.repeat(grad_chroma, 2, axis=2) * t(0.5)
            if h == 2:
                chroma = up(chroma, 3)
                grad_chroma = np.repeat(grad_chroma, 2, axis=3) * t(0.5)
            rgb = np.einsum("ij,njhw->nihw", back, np.concatenate([luma, chroma], 1)) + t(128)
            ycc = np.concatenate([grad_luma, grad_chroma], 1)
            gx = np.einsum("ij,nihw->njhw", forth, ycc)
            gx[:, :, height - 1] += gx[:, :, height:].sum(2)
            gx[..., width - 1] += gx[..., width:].sum(3)
            grad_q, grad_alpha = (np.stack(pair) for pair in zip(*tables, strict=True))
            return rgb[..., :height, :width], gx[..., :height, :width], grad_q, grad_alpha

        return fn

    return factory


def tensordot(quantizer: sound.Factory) -> LayerFactory:
    """Image by image in the working dtype: one 8x8x8x8 tensor for the DCT, one matrix per axis.

    Padding, box mean and interpolation are matrices; the gradients of the tables are added up
    block by block, one after the other.
    """

    def factory(window: int | None, subsampling: str) -> LayerFunction:
        factors = SUBSAMPLINGS[subsampling]
        one = quantizer(window)

        def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
            t = image.dtype.type
            basis = np.einsum("ux,vy->uvxy", DCT_MATRIX, DCT_MATRIX).astype(t)
            axes = [
                [m.astype(t) for m in _axis(side, f)]
                for side, f in zip(image.shape[2:], factors, strict=True)
            ]
            (pad_v, box_v, fine_v), (pad_h, box_h, fine_h) = axes
            output, grad_image = np.empty_like(image), np.empty_like(image)
            tables = np.zeros((2, 2, 8, 8), t)
            height, width = image.shape[2:]
            for i, (rgb, g_rgb) in enumerate(zip(image, grad_output, strict=True)):
                red, green, blue = (pad_v @ (x - t(128)) @ pad_h.T for x in rgb)
                y = t(0.299) * red + t(0.587) * green + t(0.114) * blue
                cb, cr = (blue - y) / t(1.772), (red - y) / t(1.402)
                full = np.zeros((3, *y.shape), t)
                full[:, :height, :width] = g_rgb
                kb, kr = t(1.772 * 0.114 / 0.587), t(1.402 * 0.299 / 0.587)
                g_y = full.sum(0)
                g_cb = t(1.772) * full[2] - kb * full[1]
                g_cr = t(1.402) * full[0] - kr * full[1]
                decoded, backs = [], []
                for table, x, g in ((0, y, g_y), (1, cb, g_cb), (1, cr, g_cr)):
                    if table:
                        x, g = box_v @ x @ box_h.T, fine_v.T @ g @ fine_h
                    value, back = np.empty_like(x), np.empty_like(x)
                    for a in range(0, x.shape[0], 8):
                        for b in range(0, x.shape[1], 8):
                            cell = np.s_[a : a + 8, b : b + 8]
                            z, gz = (np.tensordot(basis, p[cell], 2) for p in (x, g))
                            part = _quantize(one, z, q[table], alpha[table], max_level)
                            value[cell] = np.tensordot(part[0], basis, 2)
                            back[cell] = np.tensordot(gz * part[1], basis, 2)
                            tables[:, table] += gz * part[2], gz * part[3]
                    if table:
                        value, back = fine_v @ value @ fine_h.T, box_v.T @ back @ box_h
                    decoded.append(value)
                    backs.append(back)
                y, cb, cr = decoded
                result = [y + t(1.402) * cr, y - kb * cb - kr * cr, y + t(1.772) * cb]
                output[i] = np.stack(result)[:, :height, :width] + t(128)
                by, bb, br = backs[0], backs[1] / t(1.772), backs[2] / t(1.402)
                luma = by - bb - br
                gradient = t(0.299) * luma + br, t(0.587) * luma, t(0.114) * luma + bb
                grad_image[i] = np.stack([pad_v.T @ x @ pad_h for x in gradient])
            return output, grad_image, tables[0], tables[1]

        return fn

    return factory


def _axis(side: int, factor: int) -> tuple[Any, Any, Any]:
    """Matrices along one axis: edge padding, box mean, linear interpolation."""
    padded = side + -side % (8 * factor)
    pad = np.eye(side)[np.minimum(np.arange(padded), side - 1)]
    coarse = padded // factor
    box = np.repeat(np.eye(coarse), factor, axis=1) / factor
    if factor == 1:
        return pad, box, np.eye(coarse)
    fine = np.zeros((padded, coarse))
    for row in range(padded):
        near, far = row // 2, row // 2 + (1 if row % 2 else -1)
        fine[row, near] += 0.75
        fine[row, min(max(far, 0), coarse - 1)] += 0.25
    return pad, box, fine


def _torch_layer(*, wide: bool) -> LayerFactory:
    def factory(window: int | None, subsampling: str) -> LayerFunction:
        v, h = SUBSAMPLINGS[subsampling]

        def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
            import torch
            from torch.nn import functional

            dtype = torch.float64 if wide or image.dtype == np.float64 else torch.float32
            leaves = [torch.tensor(a, dtype=dtype, requires_grad=True) for a in (image, q, alpha)]
            x, steps, sharpness = leaves
            height, width = x.shape[-2:]
            room = (0, -width % (8 * h), 0, -height % (8 * v))
            forth, back, dct = (
                torch.tensor(m, dtype=dtype) for m in (RGB_TO_YCBCR, YCBCR_TO_RGB, DCT_MATRIX)
            )
            padded = functional.pad(x, room, mode="replicate") - 128
            ycc = torch.einsum("ij,njhw->nihw", forth, padded)
            decoded = []
            chroma = functional.avg_pool2d(ycc[:, 1:], (v, h))
            for table, plane in enumerate((ycc[:, :1], chroma)):
                cells = plane.unfold(2, 8, 8).unfold(3, 8, 8)
                z = dct @ cells @ dct.T
                step, slope = steps[table], sharpness[table]
                with torch.no_grad():
                    nearest = (z / step + 0.5).floor().clamp(-max_level, max_level)
                    k = _offsets(nearest, max_level, window, float((slope * step**2).min()))
                if wide:
                    # As eq. (5) is printed: distances to the levels themselves.
                    levels = (nearest[..., None] + k) * step[..., None]
                    logits = -slope[..., None] * (z[..., None] - levels) ** 2
                else:
                    f, hardness = z / step - nearest, slope * step**2
                    logits = hardness[..., None] * k * (2 * f[..., None] - k)
                inside = (nearest[..., None] + k).abs() <= max_level
                p = torch.softmax(logits.masked_fill(~inside, -torch.inf), -1)
                value = (p * levels).sum(-1) if wide else step * (nearest + (p * k).sum(-1))
                pixels = (dct.T @ value @ dct).transpose(3, 4)
                decoded.append(pixels.reshape(plane.shape))
            if (v, h) != (1, 1):
                decoded[1] = functional.interpolate(
                    decoded[1], scale_factor=(v, h), mode="bilinear", align_corners=False
                )
            rgb = torch.einsum("ij,njhw->nihw", back, torch.cat(decoded, 1)) + 128
            output = rgb[..., :height, :width]
            weights = torch.tensor(grad_output, dtype=dtype)
            gradients = torch.autograd.grad(output, leaves, weights)
            return tuple(part.detach().numpy().astype(image.dtype) for part in (output, *gradients))

        return fn

    return factory


def _offsets(nearest: Any, max_level: int, window: int | None, least: float) -> Any:
    """Offsets of the levels that count from the nearest one."""
    import torch

    if window is not None:
        first = (nearest - window // 2).clamp(-max_level, max_level - window + 1)
        return (first - nearest)[..., None] + torch.arange(window).to(nearest)
    # What is further away weighs less than exp(-800), wherever the coefficient is.
    reach = min(2 * max_level, int(np.sqrt(800 / least)) + 2)
    return torch.arange(-reach, reach + 1).to(nearest).expand(*nearest.shape, -1)


def constant_cost_planes(window: int | None, subsampling: str) -> LayerFunction:
    """Planes with the constant-cost quantizer; it has no window, so a softmax then."""
    chosen = sound.constant_cost if window is None else sound.softmax_unscaled
    return planes(chosen)(window, subsampling)


LAYER_SOUND: dict[str, LayerFactory] = {
    "float64 rounded": rounded_reference,
    "planes, softmax in z/q": planes(sound.softmax_scaled),
    "planes, constant cost": constant_cost_planes,
    "planes, sequential sums": planes(sound.sequential_sums),
    "tensordot, softmax in z": tensordot(sound.softmax_unscaled),
    "tensordot, torch softmax": tensordot(sound.torch_softmax_closed_form),
    "torch autograd, local": _torch_layer(wide=False),
    "torch float64 autograd": _torch_layer(wide=True),
}
