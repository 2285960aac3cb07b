"""Pixels to quantized coefficients and back: colour, sampling, DCT, quantization, in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference.jpeg_codec.color import rgb_to_ycbcr, ycbcr_to_rgb
from reference.jpeg_codec.dct import decoded_plane, quantized_blocks
from reference.jpeg_codec.markers import Component, Frame
from reference.jpeg_codec.sampling import downsample, upsample
from reference.jpeg_codec.scan import Blocks


def frame_of_size(height: int, width: int, factors: tuple[int, int] | None) -> Frame:
    """The frame that libjpeg makes: Y, Cb, Cr with tables 0, 1, 1; grey if there are no factors."""
    if factors is None:
        return Frame(height, width, (Component(1, 1, 1, 0),))
    chroma = (Component(identifier, 1, 1, 1) for identifier in (2, 3))
    return Frame(height, width, (Component(1, *factors, 0), *chroma))


def quantize(image: NDArray[np.uint8], frame: Frame, tables: NDArray[np.int32]) -> list[Blocks]:
    """Quantized coefficients (R, C, 8, 8) of each component."""
    planes = image[None] if image.ndim == 2 else rgb_to_ycbcr(image)
    v, h = frame.largest
    found = []
    for component, plane in zip(frame.components, planes, strict=True):
        rows, columns = frame.own_blocks(component)
        vertical, horizontal = v // component.vertical, h // component.horizontal
        if (vertical, horizontal, *plane.shape) != (1, 1, 8 * rows, 8 * columns):
            plane = downsample(plane, vertical, horizontal, 8 * rows, 8 * columns)
        found.append(quantized_blocks(plane, tables[component.table]))
    return found


def reconstruct(
    frame: Frame,
    components: Sequence[Blocks],
    tables: Sequence[NDArray[np.int32]],
    *,
    rgb: bool = False,
) -> NDArray[np.uint8]:
    """Pixels from quantized coefficients; `tables` has one for each component."""
    v, h = frame.largest
    size = frame.height, frame.width
    planes = []
    for component, blocks, table in zip(frame.components, components, tables, strict=True):
        plane = decoded_plane(blocks, table)
        vertical, horizontal = v // component.vertical, h // component.horizontal
        if (vertical, horizontal, *plane.shape) != (1, 1, *size):
            plane = upsample(plane, *frame.own_size(component), vertical, horizontal, *size)
        planes.append(plane)
    if len(planes) == 1:
        return planes[0]
    return np.stack(planes, axis=-1) if rgb else ycbcr_to_rgb(*planes)
