"""All figures by name: what each needs, and how it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from trainer._checks import nearest
from trainer.data import ImageSource, load_data
from trainer.errors import RunFolderError
from trainer.figures import draw_quantizer, draw_runs
from trainer.figures._drawing import save
from trainer.figures.chosen_image import ChosenImage, image_from_file, telling_image
from trainer.figures.feature_maps import default_cam_layer, default_layer, feature_maps
from trainer.figures.grad_cam import grad_cam
from trainer.figures.inference_time import inference_times, table_11
from trainer.figures.run_tables import sensitivity_of_run, tables_of_run
from trainer.networks import make_network
from trainer.run_folder import prepare_folder, write_atomically
from trainer.saved_run import SavedRun, load_run

DEFAULT_NETWORK = "preact_resnet18"
DEFAULT_SIDE = 224
_CLASSES = 1000


@dataclass(frozen=True)
class Request:
    """What the figures are made from.

    Parameters
    ----------
    run
        Folder of a JPEG-DL run.
    baseline
        Folder of a baseline run on the same data.
    image
        File for the feature maps and Grad-CAM++; None for a validation image of the run.
    layer, cam_layer
        Dotted names of modules of the network; None for the defaults.
    images
        Training images over which sensitivity is measured, >= 1.
    network, side
        Of Table 11: a name for ``make_network``, and the side of its images in pixels.
    device
        Of Table 11: "cpu" or "cuda".
    repetitions
        Forward passes per row of Table 11.
    """

    run: Path | None = None
    baseline: Path | None = None
    image: Path | None = None
    layer: str | None = None
    cam_layer: str | None = None
    images: int = 10_000
    network: str = DEFAULT_NETWORK
    side: int = DEFAULT_SIDE
    device: str = "cpu"
    repetitions: int = 20


class _Sources:
    """Runs, data and the image of a request, read when a figure first needs them."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @cached_property
    def run(self) -> SavedRun:
        run = load_run(_given(self.request.run))
        if run.config.method == "baseline":
            raise RunFolderError(
                f"--run must be a JPEG-DL run, {run.folder} is a baseline: give it as --baseline"
            )
        return run

    @cached_property
    def baseline(self) -> SavedRun:
        run = load_run(_given(self.request.baseline))
        if run.config.method != "baseline":
            raise RunFolderError(
                f"--baseline must be a baseline run, {run.folder} is a run of "
                f"{run.config.method!r}: give it as --run"
            )
        return run

    @cached_property
    def pair(self) -> tuple[SavedRun, SavedRun]:
        """Both runs, of which one image is asked."""
        if self.run.size != self.baseline.size or self.run.classes != self.baseline.classes:
            raise RunFolderError(
                f"runs {self.run.folder} and {self.baseline.folder} have different classes or "
                "image sizes: give two runs on the same data"
            )
        return self.run, self.baseline

    @cached_property
    def data(self) -> ImageSource:
        given = self.request.run or self.request.baseline
        return load_data((self.run if given == self.request.run else self.baseline).config)

    @cached_property
    def image(self) -> ChosenImage:
        run, baseline = self.pair
        if self.request.image is not None:
            return image_from_file(self.request.image, run.size)
        return telling_image(run, baseline, self.data)


def _given(folder: Path | None) -> Path:
    if folder is None:
        raise ValueError("a run folder is needed")
    return folder


def _tables(sources: _Sources, folder: Path) -> list[Path]:
    run = sources.run
    return save(draw_runs.draw_tables(tables_of_run(run), run.folder.name), folder, "fig4")


def _sensitivity(sources: _Sources, folder: Path) -> list[Path]:
    measured = {}
    request = sources.request
    if request.baseline is not None:
        measured["baseline"] = sources.baseline
    if request.run is not None:
        measured["JPEG-DL, through its layer"] = sources.run
    panels = {
        title: sensitivity_of_run(
            run, sources.data, images=request.images, progress=sys.stderr.isatty()
        )
        for title, run in measured.items()
    }
    return save(draw_runs.draw_sensitivity(panels), folder, "fig10")


def _predicted(run: SavedRun, image: ChosenImage) -> str:
    with torch.no_grad():
        return run.classes[int(run.model(image.pixels).argmax(1))]


def _feature_maps(sources: _Sources, folder: Path) -> list[Path]:
    run, baseline = sources.pair
    image = sources.image
    layer = sources.request.layer or default_layer(run.model, image.pixels)
    jpeg_dl, plain = (
        draw_runs.Shown(title, _predicted(one, image), feature_maps(one.model, image.pixels, layer))
        for title, one in (("JPEG-DL", run), ("baseline", baseline))
    )
    return save(draw_runs.draw_feature_maps(image, jpeg_dl, plain, layer), folder, "fig5")


def _activation_maps(sources: _Sources, folder: Path) -> list[Path]:
    run, baseline = sources.pair
    image = sources.image
    layer = sources.request.cam_layer or default_cam_layer(run.model, image.pixels)
    plain, jpeg_dl = (
        _activation(title, one, image, layer)
        for title, one in (("baseline", baseline), ("JPEG-DL", run))
    )
    return save(draw_runs.draw_activation_maps(image, plain, jpeg_dl, layer), folder, "fig6")


def _activation(title: str, run: SavedRun, image: ChosenImage, layer: str) -> draw_runs.Shown:
    cam, target = grad_cam(run.model, image.pixels, layer)
    return draw_runs.Shown(title, run.classes[target], cam)


def _table_10(_: _Sources, folder: Path) -> list[Path]:
    return _text(folder, "table10", draw_quantizer.table_10())


def _table_11(sources: _Sources, folder: Path) -> list[Path]:
    request = sources.request
    if request.device == "cuda" and not torch.cuda.is_available():
        raise ValueError('device must be "cpu" here: torch sees no CUDA device')
    size = (request.side, request.side)
    with torch.random.fork_rng(devices=[]):
        network = make_network(request.network, _CLASSES)
    device, repetitions = request.device, request.repetitions
    times = inference_times(network, size, device=device, repetitions=repetitions)
    text = table_11(
        times, network=request.network, size=size, device=device, repetitions=repetitions
    )
    return _text(folder, "table11", text)


def _text(folder: Path, name: str, text: str) -> list[Path]:
    path = folder / f"{name}.txt"
    write_atomically(path, text.encode())
    return [path]


@dataclass(frozen=True)
class Entry:
    """A figure or table.

    Parameters
    ----------
    title
        What it shows, for lists.
    make
        Writes it into a folder and gives the files.
    needs
        Options of `Request` that it needs, all of them.
    either
        Options of which it needs one at least.
    """

    title: str
    make: Callable[[_Sources, Path], list[Path]]
    needs: tuple[str, ...] = ()
    either: tuple[str, ...] = field(default=())

    def lacks(self, request: Request) -> str | None:
        """What is missing, such as "--run"; None if nothing is."""
        missing = [name for name in self.needs if getattr(request, name) is None]
        if missing:
            return " and ".join(f"--{name}" for name in missing)
        if self.either and all(getattr(request, name) is None for name in self.either):
            return " or ".join(f"--{name}" for name in self.either)
        return None


def _drawn(name: str, draw: Callable[[], object]) -> Callable[[_Sources, Path], list[Path]]:
    return lambda _, folder: save(draw(), folder, name)  # type: ignore[arg-type]


FIGURES: dict[str, Entry] = {
    "fig2": Entry("Q_u and Q_d", _drawn("fig2", draw_quantizer.draw_quantizers)),
    "fig4": Entry("initial and final tables of a run", _tables, needs=("run",)),
    "fig5": Entry("feature maps", _feature_maps, needs=("run", "baseline")),
    "fig6": Entry("Grad-CAM++", _activation_maps, needs=("run", "baseline")),
    "fig7": Entry("dQ/dalpha", _drawn("fig7", draw_quantizer.draw_alpha_gradients)),
    "fig8": Entry("dQ/dq over q and alpha", _drawn("fig8", draw_quantizer.draw_q_gradients)),
    "fig9": Entry("dQ/dq at one hbar", _drawn("fig9", draw_quantizer.draw_matched_gradients)),
    "fig10": Entry("sensitivity of a run", _sensitivity, either=("run", "baseline")),
    "fig13": Entry("CPMF at a tie", _drawn("fig13", draw_quantizer.draw_masses)),
    "table10": Entry("full space against masked", _table_10),
    "table11": Entry("inference time", _table_11),
}
"""By the number in the paper."""
ALIASES = {"fig8a": "fig8", "fig8b": "fig8", "fig11": "fig4", "fig12": "fig5"}
"""Figures of the appendix that show the same as another one, or a panel of it."""


def chosen_figures(names: Iterable[str]) -> list[str]:
    """Keys of `FIGURES` that some names mean, each once, in the order of the paper.

    Raises
    ------
    ValueError
        If there is no such figure; the message has the nearest name.
    """
    known = [*FIGURES, *ALIASES]
    wanted = set()
    for name in names:
        if name not in known:
            raise ValueError(
                f"--only: there is no figure {name!r}{nearest(name, known)} "
                f"Known are {', '.join(known)}"
            )
        wanted.add(ALIASES.get(name, name))
    return [name for name in FIGURES if name in wanted]


def make_figures(
    folder: Path,
    request: Request,
    *,
    only: Iterable[str] = (),
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write figures and tables, each as soon as it is made.

    Parameters
    ----------
    folder
        Made if it is not there.
    request
        Runs and options.
    only
        Names; none for all. Without `only`, figures whose runs are not given are skipped, and
        `say` tells so.
    say
        Gets one line for each figure.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If there is no figure of a name, or one that was asked for by name lacks its runs.
    TrainerError
        If a run, its data or an image cannot be read.
    """
    named = chosen_figures(only)
    for name in named:
        if lack := FIGURES[name].lacks(request):
            raise ValueError(f"{name} ({FIGURES[name].title}) needs {lack}")
    prepare_folder(folder, option="OUT")
    sources = _Sources(request)
    written: list[Path] = []
    for name in named or FIGURES:
        entry = FIGURES[name]
        if lack := entry.lacks(request):
            say(f"{name} ({entry.title}): skipped, give {lack}")
            continue
        paths = entry.make(sources, folder)
        written += paths
        say(f"{name}: {', '.join(str(path) for path in paths)}")
    return written
