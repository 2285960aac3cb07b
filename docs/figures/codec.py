"""Regenerate the tables of docs/codec.md: how far the integer codec is from the float64 pipeline.

``python docs/figures/codec.py`` rewrites them in place. Pictures are those of scikit-image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from reference import blocks, color, sampling
from reference.jpeg_codec import coefficients, roundtrip
from reference.jpeg_codec import color as integer_color
from reference.jpeg_codec import sampling as integer_sampling
from reference.jpeg_codec.dct import decoded_plane, quantized_blocks
from reference.jpeg_layer import jpeg_layer
from reference.layer_steps import analyse
from reference.standard import SUBSAMPLINGS, annex_k_tables

PAGE = Path(__file__).parent.parent / "codec.md"
NAMES = ("astronaut", "chelsea", "coffee", "rocket")
SIDES = 288, 448
"""Whole MCUs, so that the edges, which the two pipelines pad in different ways, are left out."""
QUALITIES = (1, 10, 30, 50, 75, 90, 95, 100)

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def pictures() -> list[Pixels]:
    """The same part of each picture."""
    return [np.ascontiguousarray(getattr(data, name)()[: SIDES[0], : SIDES[1]]) for name in NAMES]


def _rounded(x: Array) -> Array:
    return np.clip(np.rint(x), 0, 255)


def rooms(quality: int = 75) -> list[tuple[str, Array, Array]]:
    """Each step on the same integer input: (name, integers, float64 rounded to integers)."""
    tables = annex_k_tables(quality)
    found: dict[str, tuple[list[Array], list[Array]]] = {}

    def compare(name: str, integer: NDArray[np.integer], exact: Array) -> None:
        pair = found.setdefault(name, ([], []))
        pair[0].append(np.asarray(integer, float).ravel())
        pair[1].append(np.asarray(exact, float).ravel())

    shift = np.array([0, 128, 128])[:, None, None]
    for picture in pictures():
        planes = integer_color.rgb_to_ycbcr(picture)
        exact = color.rgb_to_ycbcr(np.moveaxis(picture, -1, 0)[None].astype(float))[0] + shift
        compare("RGB to YCbCr", planes, _rounded(exact))
        height, width = (side // 2 for side in SIDES)
        chroma = integer_sampling.downsample(planes[1], 2, 2, height, width)
        mean = sampling.downsample(planes[1].astype(float)[None, None], (2, 2))[0, 0]
        compare("mean of 2 x 2", chroma, _rounded(mean))
        levels = quantized_blocks(planes[0], tables[0].astype(np.int32))
        split = blocks.split_blocks(planes[0].astype(float) - 128)
        compare("DCT and quantization, levels", levels, np.rint(blocks.dct2(split) / tables[0]))
        decoded = decoded_plane(levels, tables[0].astype(np.int32))
        merged = blocks.merge_blocks(blocks.idct2(levels * tables[0])) + 128
        compare("inverse DCT", decoded, _rounded(merged))
        wide = integer_sampling.upsample(chroma, height, width, 2, 2, *SIDES)
        smooth = sampling.upsample(chroma.astype(float)[None, None], (2, 2))[0, 0]
        compare("triangle filter", wide, _rounded(smooth))
        back = integer_color.ycbcr_to_rgb(*planes)
        exact = color.ycbcr_to_rgb((planes - shift)[None].astype(float))[0]
        compare("YCbCr to RGB", np.moveaxis(back, -1, 0), _rounded(exact))
    return [(name, np.concatenate(a), np.concatenate(b)) for name, (a, b) in found.items()]


def rooms_table() -> list[str]:
    """Rows of the first table."""
    lines = ["| step | differs | by at most | mean difference |", "|---|---|---|---|"]
    for name, integer, exact in rooms():
        off = integer - exact
        share, largest = np.mean(off != 0), np.abs(off).max()
        lines.append(f"| {name} | {share:.2%} | {largest:g} | {off.mean():+.4f} |")
    return lines


def pipeline_table() -> list[str]:
    """Rows of the second table, over all pictures."""
    lines = [
        "| quality | sampling | levels that differ | pixels that differ | largest | mean | PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    for subsampling in ("4:4:4", "4:2:0"):
        for quality in QUALITIES:
            tables = annex_k_tables(quality)
            levels, off = [], []
            for picture in pictures():
                image = np.moveaxis(picture, -1, 0)[None].astype(float)
                z = analyse(image, SUBSAMPLINGS[subsampling])
                exact = [z.luma[0, 0], *z.chroma[0]]
                integer = coefficients(picture, quality=quality, subsampling=subsampling)
                for index, (a, b) in enumerate(zip(integer, exact, strict=True)):
                    levels.append((a != np.rint(b / tables[min(index, 1)])).ravel())
                soft = jpeg_layer(
                    image, tables, max_level=1024, subsampling=subsampling, quantizer="hard"
                )
                coded = roundtrip(picture, quality=quality, subsampling=subsampling)
                off.append((coded - _rounded(np.moveaxis(soft[0], 0, -1))).ravel())
            difference = np.concatenate(off)
            psnr = 10 * np.log10(255**2 / np.mean(difference**2))
            lines.append(
                f"| {quality} | {subsampling} | {np.mean(np.concatenate(levels)):.2%} "
                f"| {np.mean(difference != 0):.1%} | {np.abs(difference).max():.0f} "
                f"| {np.abs(difference).mean():.3f} | {psnr:.1f} dB |"
            )
    return lines


def decoder_table(quality: int = 75) -> list[str]:
    """Rows of the third table: the codec's own levels, decoded in float64, 4:4:4."""
    tables = annex_k_tables(quality)
    differences: dict[str, list[Array]] = {}
    for picture in pictures():
        coded = np.moveaxis(roundtrip(picture, quality=quality, subsampling="4:4:4"), -1, 0)
        levels = coefficients(picture, quality=quality, subsampling="4:4:4")
        planes = np.stack(
            [
                blocks.merge_blocks(blocks.idct2(level * tables[min(index, 1)]))
                for index, level in enumerate(levels)
            ]
        )
        centre = np.array([0, 128, 128])[:, None, None]
        whole = _rounded(planes + 128) - 128
        clipped = np.clip(planes, -128, 127)
        for name, given in (
            ("as they are", planes),
            ("clipped to 0..255", clipped),
            ("rounded and clipped", whole),
        ):
            exact = color.ycbcr_to_rgb((given + 128 - centre)[None])[0]
            differences.setdefault(name, []).append((coded - _rounded(exact)).ravel())
    lines = ["| decoded planes | pixels that differ | largest | PSNR |", "|---|---|---|---|"]
    for name, parts in differences.items():
        off = np.concatenate(parts)
        psnr = 10 * np.log10(255**2 / np.mean(off**2))
        lines.append(
            f"| {name} | {np.mean(off != 0):.1%} | {np.abs(off).max():.0f} | {psnr:.1f} dB |"
        )
    return lines


def main() -> None:
    """Put the tables into the page."""
    text = PAGE.read_text()
    tables = {"rooms": rooms_table, "pipeline": pipeline_table, "decoder": decoder_table}
    for name, table in tables.items():
        rows = table()
        begin, end = f"<!-- table: docs/figures/codec.py {name} -->", "<!-- end of table -->"
        head, rest = text.split(begin)
        _, tail = rest.split(end, 1)
        text = "\n".join([head + begin, *rows, end + tail])
        print("\n".join(rows))
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
