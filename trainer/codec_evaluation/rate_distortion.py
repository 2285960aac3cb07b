"""Size and quality of real JPEG files: the curves of Fig. 2.3 and 5.2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from trainer.codec_evaluation.approaches import Approach
from trainer.codec_evaluation.averages import by_approach, mean_and_deviation
from trainer.codec_evaluation.image_metrics import distance
from trainer.codec_evaluation.picture_sweep import Case, Key, Progress, Settings, sweep
from trainer.codec_evaluation.pictures import Picture
from trainer.figures._drawing import COLORS, new_figure, save, with_grid
from trainer.run_folder import prepare_folder, write_atomically

CSV_FILE, TEXT_FILE, FIGURE = "rate_distortion.csv", "rate_distortion.md", "rate_distortion"
LIBJPEG = Approach("libjpeg", "libjpeg-turbo")
_MEASURES = (
    ("bits_per_pixel", "bits per pixel", 3),
    ("kilobytes", "kB", 2),
    ("psnr", "PSNR (dB)", 2),
    ("ssim", "SSIM", 4),
)
_DEVIATIONS = 2


@dataclass(frozen=True)
class RateRow:
    """A JPEG file of a picture at a quality.

    Parameters
    ----------
    picture, approach, quality, fingerprint
        What was measured; the approach is the real codec.
    width, height
        Of the picture in pixels.
    size
        Of the file in bytes, with all of its headers.
    psnr, ssim
        Of the decoded picture against the original; infinite and 1 if they are equal.
    """

    picture: str
    approach: str
    quality: int
    fingerprint: str
    width: int
    height: int
    size: int
    psnr: float
    ssim: float

    @property
    def key(self) -> Key:
        """What was measured."""
        return self.picture, self.approach, self.quality, self.fingerprint

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole file."""
        return 8 * self.size / (self.width * self.height)

    @property
    def kilobytes(self) -> float:
        """Of 1,000 bytes."""
        return self.size / 1000


def evaluate_rate_distortion(
    pictures: Sequence[Picture],
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
) -> list[RateRow]:
    """Encode at each quality; writes ``rate_distortion.csv``, ``.md`` and plots.

    Parameters
    ----------
    pictures, settings
        What is coded.
    out
        Folder for the files.
    progress
        Called as the work gets on.

    Returns
    -------
    list of RateRow
        By picture and quality.

    Raises
    ------
    TrainerError
        If a picture cannot be read, or a file cannot be written or belongs to something else.

    References
    ----------
    Codec control thesis, section 2.1.3, Fig. 2.3, and section 5.1.4, Fig. 5.2.
    """
    prepare_folder(out, option="--out")

    def measure(case: Case, approach: Approach) -> RateRow:
        found = distance(case.coded, case.pixels)
        height, width = case.pixels.shape[:2]
        return RateRow(
            case.picture,
            approach.key,
            case.quality,
            case.fingerprint,
            width,
            height,
            case.size,
            found.psnr,
            found.ssim,
        )

    rows = sweep(pictures, [LIBJPEG], settings, out / CSV_FILE, RateRow, measure, progress)
    save(draw_rate_distortion(rows, settings.qualities), out, FIGURE)
    write_atomically(out / TEXT_FILE, rate_distortion_text(rows, settings).encode())
    return rows


def rate_distortion_text(rows: Sequence[RateRow], settings: Settings) -> str:
    """A Markdown table of mean and two standard deviations at ten qualities at most."""
    names = list(dict.fromkeys(row.picture for row in rows))
    what = ", ".join(names) if len(names) <= 8 else f"{len(names)} pictures"
    lines = [
        "# Rate and distortion",
        "",
        f"Pillow's libjpeg-turbo, {settings.subsampling}, on {what}: mean and two standard "
        "deviations over pictures. Sizes are those of whole files; PSNR and SSIM are against the "
        "original.",
        "",
        f"| quality | {' | '.join(title for _, title, _ in _MEASURES)} |",
        "|---" * (1 + len(_MEASURES)) + "|",
    ]
    values = {name: by_approach(rows, name)[LIBJPEG.key] for name, _, _ in _MEASURES}
    for quality in _spread(settings.qualities):
        cells = [str(quality)]
        for name, _, digits in _MEASURES:
            mean, deviation = mean_and_deviation(values[name][quality])
            number = f"{mean:.{digits}f} ± {_DEVIATIONS * deviation:.{digits}f}"
            cells.append("equal" if math.isnan(mean) else number)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_rate_distortion(rows: Sequence[RateRow], qualities: tuple[int, ...]) -> Figure:
    """File size over quality, SSIM and PSNR over mean file size; bands of two deviations."""
    values = {name: by_approach(rows, name)[LIBJPEG.key] for name, _, _ in _MEASURES}
    found = {
        name: [mean_and_deviation(of_measure[quality]) for quality in qualities]
        for name, of_measure in values.items()
    }
    rates = [mean for mean, _ in found["bits_per_pixel"]]
    figure = new_figure(12.0, 3.8)
    for axes, (across, name, xlabel, ylabel) in zip(
        figure.subplots(1, 3),
        (
            (list(qualities), "bits_per_pixel", "JPEG quality", "bits per pixel"),
            (rates, "ssim", "bits per pixel", "SSIM"),
            (rates, "psnr", "bits per pixel", "PSNR (dB)"),
        ),
        strict=True,
    ):
        means = [mean for mean, _ in found[name]]
        widths = [_DEVIATIONS * deviation for _, deviation in found[name]]
        axes.plot(across, means, color=COLORS[0], marker="o" if len(qualities) < 12 else None)
        axes.fill_between(
            across,
            [mean - width for mean, width in zip(means, widths, strict=True)],
            [mean + width for mean, width in zip(means, widths, strict=True)],
            color=COLORS[0],
            alpha=0.2,
            linewidth=0,
        )
        axes.set(xlabel=xlabel, ylabel=ylabel)
        with_grid(axes)
    return figure


def _spread(qualities: tuple[int, ...], most: int = 10) -> list[int]:
    """At most that many of them, the ends included."""
    if len(qualities) <= most:
        return list(qualities)
    last = len(qualities) - 1
    return [qualities[round(place * last / (most - 1))] for place in range(most)]
