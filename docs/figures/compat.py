"""Regenerate the table of docs/compat.md: what each difference from JPEGLayer is worth.

``python docs/figures/compat.py`` rewrites the table in place; a test checks that it is current.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from reference import annex_k_tables, jpeg_layer
from reference import jpeg_dl_code as code
from reference.blocks import pad_edges

Array = NDArray[np.float64]

PAGE = Path(__file__).parent.parent / "compat.md"
BEGIN, END = "<!-- table: docs/figures/compat.py -->", "<!-- end of table -->"
BITS = 11
LEVELS = {"max_level": 2 ** (BITS - 1) - 1, "compiled": True}


def photograph() -> Array:
    """126 x 163 pixels of the astronaut: sides that 8 does not divide."""
    return np.moveaxis(data.astronaut()[60:186, 150:313], -1, 0)[None].astype(np.float64)


def grey(image: Array) -> Array:
    """All three components equal: chroma DC coefficients are the offset alone."""
    return np.repeat(image[:, 1:2], 3, axis=1)


@contextmanager
def without(**changes: Any) -> Iterator[None]:
    """The authors' code with one of its steps replaced."""
    before = {name: getattr(code, name) for name in changes}
    try:
        for name, value in changes.items():
            setattr(code, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(code, name, value)


def differences(image: Array, q: Array, alpha: Array) -> list[tuple[str, Array]]:
    """Output of the authors' code less that of the layer without one of its peculiarities."""
    ours = code.jpeg_dl_code(image, q, alpha, bits=BITS)

    def changed(**changes: Any) -> Array:
        with without(**changes):
            return ours - code.jpeg_dl_code(image, q, alpha, bits=BITS)

    return [
        ("no 1/2 added to Cb and Cr", changed(CHROMA_OFFSET=0.0)),
        ("edges repeated, not zeros", changed(_pad=lambda plane: pad_edges(plane, (8, 8)))),
        ("ties half-up, not half-to-even", changed(_round=lambda c: np.floor(c + 0.5))),
        (
            "`JPEGLayer(window=5)`, these three",
            ours - jpeg_layer(image, q, alpha, window=5, **LEVELS),
        ),
        (
            "`JPEGLayer()`, and the full space",
            ours - jpeg_layer(image, q, alpha, **LEVELS),
        ),
    ]


def settings() -> list[tuple[Array, Array, Array]]:
    """Image, q and alpha of each pair of columns."""
    q = annex_k_tables(75)
    eight = np.full((2, 8, 8), 8.0)
    image = photograph()
    return [
        (image, q, 0.7 / q**2),
        (image, q, np.full_like(q, 5.0)),
        (grey(image), eight, 0.7 / eight**2),
    ]


def rows() -> list[tuple[str, list[float]]]:
    """Name of each difference, and its largest and mean size in each setting."""
    columns = [differences(*setting) for setting in settings()]
    table = []
    for same in zip(*columns, strict=True):
        sizes = [np.abs(difference) for _, difference in same]
        table.append((same[0][0], [float(f(s)) for s in sizes for f in (np.max, np.mean)]))
    return table


def markdown() -> str:
    """Return the table of the page."""
    lines = [
        "| changed | hbar = 0.7: largest | mean | alpha = 5: largest | mean "
        "| grey, q = 8, hbar = 0.7: largest | mean |",
        "|---" * 7 + "|",
    ]
    lines += [
        f"| {name} | " + " | ".join(f"{x:.1e}" for x in numbers) + " |" for name, numbers in rows()
    ]
    return "\n".join(lines)


def main() -> None:
    """Rewrite the table between the marks."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}")


if __name__ == "__main__":
    main()
