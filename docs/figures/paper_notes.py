"""Regenerate the tables of docs/paper_notes.md from the code and from the paper's numbers.

``python docs/figures/paper_notes.py`` rewrites them in place; a test checks that they are current.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reference import learned_steps, soft_quantize, soft_quantize_partials

PAGE = Path(__file__).parent.parent / "paper_notes.md"
END = "<!-- end of table -->"
MAX_LEVEL = 200
"""Far more levels than any h of the table can see from the middle."""

HARDNESS = (0.3, 0.7, 1.0, 2.0, 5.0)

# Cell, accuracy, its baseline, and the difference as printed: those of Tables 1 to 9 that do not
# add up. All legible ones were checked.
SUMS = (
    ("Table 6, Esser et al., DenseNet-121, Flowers", 55.98, 51.32, 4.60),
    ("Table 8, JPEG-DL (4:2:2), DenseNet-121, Pets", 76.17, 70.26, 5.90),
    ("Table 9, learning rate 0.003, DenseNet-121, Pets", 75.83, 70.26, 5.56),
)


def masking() -> list[str]:
    """What five levels in the place of all of them do, over 0 <= z/q < 10."""
    period = np.unique(np.concatenate([np.linspace(-0.5, 0.5, 2001), [np.nextafter(0.5, 0.0)]]))
    c = (np.arange(10)[:, None] + period).ravel()
    lines = [
        "| h | masked - full, in q | full - identity, in q | jump of the masked, in q "
        "| dQ/dz - 1, masked | dQ/dz - 1, full | largest dQ/dq, masked over full |",
        "|---|---|---|---|---|---|---|",
    ]
    for h in HARDNESS:
        full = soft_quantize_partials(c, 1.0, h, max_level=MAX_LEVEL)
        masked = soft_quantize_partials(c, 1.0, h, max_level=MAX_LEVEL, window=5)
        # Both sides of the tie, where the window moves by one level.
        sides = soft_quantize([0.5, np.nextafter(0.5, 0.0)], 1.0, h, max_level=MAX_LEVEL, window=5)
        numbers = (
            np.abs(masked.value - full.value).max(),
            np.abs(full.value - c).max(),
            sides[0] - sides[1],
            np.abs(masked.dz - 1).max(),
            np.abs(full.dz - 1).max(),
            np.abs(masked.dq).max() / np.abs(full.dq).max(),
        )
        lines.append(f"| {h:g} | " + " | ".join(f"{x:.1e}" for x in numbers) + " |")
    return lines


def sums() -> list[str]:
    """Differences that do not add up."""
    lines = ["| where | accuracy | baseline | printed | difference |", "|---|---|---|---|---|"]
    lines += [
        f"| {where} | {value:.2f} | {base:.2f} | {printed:+.2f} | {value - base:+.2f} |"
        for where, value, base, printed in SUMS
    ]
    return lines


def levels() -> list[str]:
    """L and the number of levels, by what each place of the paper says."""
    rules = (
        ("eq. (3) with section 4, L = 2^(b-1)", lambda b: 2 ** (b - 1)),
        ("the authors' code, L = 2^(b-1) - 1", lambda b: 2 ** (b - 1) - 1),
    )
    lines = ["| | levels, b = 8 | levels, b = 11 |", "|---|---|---|"]
    lines += [f"| {name} | {2 * rule(8) + 1} | {2 * rule(11) + 1} |" for name, rule in rules]
    # A.12 prints these two numbers themselves.
    lines.append("| appendix A.12 | 513 | 2047 |")
    lines.append(f"| Fig. 13, L = 1023 | | {2 * 1023 + 1} |")
    return lines


def ties() -> list[str]:
    """Table 10's masked value at z = 1/2, q = 1, alpha = 1, by the rule for the tie."""
    up = float(soft_quantize(0.5, 1.0, 1.0, max_level=127, window=5))
    # Half to even: the window about level 0 is the whole space of L = 2.
    even = float(soft_quantize(0.5, 1.0, 1.0, max_level=2))
    return [
        "| rule | window | value |",
        "|---|---|---|",
        f"| half-up | -1 .. 3 | {up:.4f} |",
        f"| half to even | -2 .. 2 | {even:.4f} |",
        "| printed | | 0.5027 |",
    ]


def first_steps() -> list[str]:
    """First steps for mean|z| = 10, by the three rules."""
    lines = ["| rule | b = 8 | b = 11 |", "|---|---|---|"]
    rules = (
        ("2 mean / sqrt(2^(b-1)), JPEG-DL section 4", lambda b: 2 * 10 / 2 ** ((b - 1) / 2)),
        ("2 mean / sqrt(2^b - 1), JPEG-DL footnote 1", lambda b: float(learned_steps(10, bits=b))),
        ("2 mean / sqrt(2^(b-1) - 1), Esser et al.", lambda b: 20 / (2 ** (b - 1) - 1) ** 0.5),
    )
    lines += [f"| {name} | {rule(8):.3f} | {rule(11):.3f} |" for name, rule in rules]
    return lines


TABLES = {
    "masking": masking,
    "sums": sums,
    "levels": levels,
    "ties": ties,
    "first steps": first_steps,
}


def begin(name: str) -> str:
    """The mark before a table."""
    return f"<!-- table: docs/figures/paper_notes.py, {name} -->"


def stored(name: str) -> list[str]:
    """Lines of a table as the page has them."""
    return PAGE.read_text().split(begin(name))[1].split(END)[0].strip().splitlines()


def main() -> None:
    """Rewrite the tables between the marks."""
    page = PAGE.read_text()
    for name, table in TABLES.items():
        pattern = re.escape(begin(name)) + ".*?" + re.escape(END)
        fresh = "\n".join([begin(name), *table(), END])
        page, count = re.subn(pattern, lambda _, fresh=fresh: fresh, page, flags=re.DOTALL)
        assert count == 1, name
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
