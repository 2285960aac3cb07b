"""Regenerate the tables of docs/diff_jpeg.md: how far the substitutes are from libjpeg.

``python docs/figures/diff_jpeg.py`` rewrites them in place, in about four minutes on one core.
Pictures are those of scikit-image, cropped to multiples of 16; 4:2:0.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from torch_impl import diff_jpeg
from torch_impl.surrogates import KINDS

PAGE = Path(__file__).parent.parent / "diff_jpeg.md"
NAMES = ("astronaut", "chelsea", "coffee", "rocket")
RANGES = {"1-10": range(1, 11), "11-99": range(11, 100)}
FORMS: dict[str, dict[str, object]] = {
    "nothing but cubic rounding": {
        "scale_floor": None,
        "table_floor": None,
        "table_slope": None,
        "output_slope": None,
    },
    "and clipped tables": {"scale_floor": None, "table_floor": None, "output_slope": None},
    "and the table floor": {"scale_floor": None, "output_slope": None},
    "and the scale floor": {"output_slope": None},
    "and clipped output: the default": {},
    "straight-through form": {"straight_through": True},
}


def pictures() -> list[np.ndarray]:
    """(H, W, 3) uint8, sides multiples of 16."""
    found = []
    for name in NAMES:
        picture = getattr(data, name)()
        height, width = (side // 16 * 16 for side in picture.shape[:2])
        found.append(np.ascontiguousarray(picture[:height, :width]))
    return found


def through_libjpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """What Pillow's libjpeg-turbo makes of it."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as coded:
        return np.array(coded)


def psnr(coded: Tensor, target: np.ndarray) -> float:
    """In dB, of images of 255 levels; infinite where they are equal."""
    difference = coded[0].permute(1, 2, 0).double().numpy() - target
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def mean_psnr(options: list[dict[str, object]]) -> list[dict[str, float]]:
    """Mean over pictures and qualities, one row for each set of options."""
    rows: list[dict[str, list[float]]] = [{name: [] for name in RANGES} for _ in options]
    for picture in pictures():
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        for name, qualities in RANGES.items():
            for quality in qualities:
                target = through_libjpeg(picture, quality)
                for row, chosen in zip(rows, options, strict=True):
                    coded = diff_jpeg(images, quality=quality, **chosen)  # type: ignore[arg-type]
                    row[name].append(psnr(coded, target))
    return [{name: _mean(values) for name, values in row.items()} for row in rows]


def _mean(values: list[float]) -> float:
    """Infinite only where every image is equal."""
    equal = np.isinf(values)
    if equal.any() and not equal.all():
        raise ValueError(f"{equal.sum()} of {len(values)} images are equal: no mean in dB")
    return float(np.mean(values))


def markdown(head: str, names: list[str], rows: list[dict[str, float]]) -> str:
    """A table of PSNR."""
    lines = [f"| {head} | PSNR 1-10 | PSNR 11-99 |", "|---|---|---|"]
    for name, row in zip(names, rows, strict=True):
        cells = ["equal" if np.isinf(row[key]) else f"{row[key]:.2f}" for key in RANGES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rewrite(name: str, table: str) -> None:
    """Put a table between its two comments."""
    begin, end = f"<!-- table: docs/figures/diff_jpeg.py {name} -->", "<!-- end -->"
    page = PAGE.read_text()
    before, rest = page.split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}")


def main() -> None:
    """Measure everything in one pass over the pictures."""
    torch.set_num_threads(1)
    kinds = [kind for kind in KINDS if kind != "cubic"]
    with torch.no_grad():
        rows = mean_psnr([*FORMS.values(), *({"rounding": kind} for kind in kinds)])
    rewrite("forms", markdown("form", list(FORMS), rows[: len(FORMS)]))
    default = list(FORMS).index("and clipped output: the default")
    rewrite(
        "kinds",
        markdown("rounding and floors", ["cubic", *kinds], [rows[default], *rows[len(FORMS) :]]),
    )


if __name__ == "__main__":
    main()
