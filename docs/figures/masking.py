"""Regenerate the table of docs/masking.md: how far the masked CPMF is from the full space.

``python docs/figures/masking.py`` rewrites the table in place; a test checks that it is current.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reference import soft_quantize_partials

PAGE = Path(__file__).parent.parent / "masking.md"
BEGIN, END = "<!-- table: docs/figures/masking.py -->", "<!-- end of table -->"
HARDNESS = (0.1, 0.3, 0.7, 1.0, 2.0, np.pi, 5.0)
MAX_LEVEL = 200
"""Far more levels than any h of the table can see from the middle."""


def rows(window: int = 5) -> list[tuple[float, float, float, float, float]]:
    """Largest differences over one period of c = z/q, both sides of the jump included.

    Returns
    -------
    list of (h, |masked - full| / q, |full - identity| / q, max |dq masked|, max |dq full|)
        dq is taken at 0 <= c < 10, in the interior of the index set.
    """
    period = np.unique(np.concatenate([np.linspace(-0.5, 0.5, 2001), [np.nextafter(0.5, 0.0)]]))
    c = (np.arange(10)[:, None] + period).ravel()
    table = []
    for h in HARDNESS:
        full = soft_quantize_partials(c, 1.0, h, max_level=MAX_LEVEL)
        masked = soft_quantize_partials(c, 1.0, h, max_level=MAX_LEVEL, window=window)
        table.append(
            (
                h,
                float(np.abs(masked.value - full.value).max()),
                float(np.abs(full.value - c).max()),
                float(np.abs(masked.dq).max()),
                float(np.abs(full.dq).max()),
            )
        )
    return table


def markdown() -> str:
    """Return the table of the page."""
    lines = [
        "| h = alpha q^2 | masked(5) - full, in q | full - identity, in q "
        "| largest d/dq, masked | largest d/dq, full |",
        "|---|---|---|---|---|",
    ]
    for h, masked, identity, dq_masked, dq_full in rows():
        name = "pi" if h == np.pi else f"{h:g}"
        lines.append(
            f"| {name} | {masked:.1e} | {identity:.1e} | {dq_masked:.1e} | {dq_full:.1e} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Rewrite the table between the marks."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}")


if __name__ == "__main__":
    main()
