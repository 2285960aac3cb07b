"""``jpegdl evaluate``: differentiable JPEG against the real one, forward and backward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer._limits import DEVICES, SUBSAMPLINGS
from trainer.cli._errors import clear_errors

if TYPE_CHECKING:
    from trainer.codec_evaluation.picture_sweep import Settings
    from trainer.codec_evaluation.pictures import Picture

evaluate = typer.Typer(
    help="Differentiable JPEG against the real one: values, gradients, attacks.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
_FOLDER = Path("evaluation")
_ALL = "1-99"

Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Folder of images of any size, or one image. Left out: astronaut, chelsea, coffee "
        "and rocket of scikit-image."
    ),
]
Qualities = Annotated[
    str, typer.Option(help="Whole qualities and ranges of them, such as 1-10,50,90.")
]
Crop = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Cut sides to multiples of this. Left out: 16 for the four photographs, as other "
        "people's figures have it, and 1 for --pictures.",
    ),
]
Subsampling = Annotated[str, typer.Option(metavar="|".join(SUBSAMPLINGS), help="Of chroma.")]
Out = Annotated[Path, typer.Option(help="Folder for the files, made if it is not there.")]
Device = Annotated[
    str,
    typer.Option(
        metavar="|".join(DEVICES),
        help="Where differentiable JPEG is computed; the real one is always on the CPU.",
    ),
]


@evaluate.command()
def forward(
    pictures: Pictures = None,
    qualities: Qualities = _ALL,
    crop: Crop = None,
    subsampling: Subsampling = "4:2:0",
    out: Out = _FOLDER,
    device: Device = "cpu",
) -> None:
    """PSNR, SSIM, MAE and MSE of every approach against libjpeg (Table 5.1, Fig. 5.3 to 5.6).

    Writes forward.csv, .md, .png and .svg. Interrupt it at any time: the same command takes what
    it has from forward.csv and goes on.
    """
    with clear_errors():
        from trainer.codec_evaluation.console import on_console
        from trainer.codec_evaluation.forward import evaluate_forward

        found, settings = _setting(pictures, qualities, crop, subsampling, device)
        on_console(lambda show: evaluate_forward(found, settings, out, show), out / "forward.md")


@evaluate.command()
def ablation(
    pictures: Pictures = None,
    qualities: Qualities = _ALL,
    crop: Crop = None,
    subsampling: Subsampling = "4:2:0",
    out: Out = _FOLDER,
    device: Device = "cpu",
) -> None:
    """What each part and each kind of rounding does to the same figures (Tables 5.1 and 5.5).

    Writes ablation.csv, .md, .png and .svg. Interrupt it at any time: the same command takes what
    it has from ablation.csv and goes on. For attacks: jpegdl evaluate attack --ablation.
    """
    with clear_errors():
        from trainer.codec_evaluation.console import on_console
        from trainer.codec_evaluation.forward import evaluate_ablation

        found, settings = _setting(pictures, qualities, crop, subsampling, device)
        on_console(lambda show: evaluate_ablation(found, settings, out, show), out / "ablation.md")


@evaluate.command()
def gradients(
    pictures: Pictures = None,
    qualities: Qualities = _ALL,
    crop: Crop = None,
    subsampling: Subsampling = "4:2:0",
    out: Out = _FOLDER,
    device: Device = "cpu",
) -> None:
    """Norms of gradients of the distance to libjpeg, which should vanish (Table 5.4).

    Writes gradients.csv, .md, .png and .svg. Interrupt it at any time: the same command takes what
    it has from gradients.csv and goes on.
    """
    with clear_errors():
        from trainer.codec_evaluation.console import on_console
        from trainer.codec_evaluation.gradients import TEXT_FILE, evaluate_gradients

        found, settings = _setting(pictures, qualities, crop, subsampling, device)
        on_console(lambda show: evaluate_gradients(found, settings, out, show), out / TEXT_FILE)


@evaluate.command(name="rate-distortion")
def rate_distortion(
    pictures: Pictures = None,
    qualities: Qualities = _ALL,
    crop: Crop = None,
    subsampling: Subsampling = "4:2:0",
    out: Out = _FOLDER,
) -> None:
    """Size, PSNR and SSIM of real JPEG files at every quality (Fig. 2.3 and 5.2).

    Writes rate_distortion.csv, .md, .png and .svg. Interrupt it at any time: the same command
    takes what it has from rate_distortion.csv and goes on.
    """
    with clear_errors():
        from trainer.codec_evaluation.console import on_console
        from trainer.codec_evaluation.rate_distortion import TEXT_FILE, evaluate_rate_distortion

        found, settings = _setting(pictures, qualities, crop, subsampling, "cpu")
        page = out / TEXT_FILE
        on_console(lambda show: evaluate_rate_distortion(found, settings, out, show), page)


@evaluate.command()
def attack(
    run: Annotated[
        Path | None,
        typer.Argument(help="Folder of a run; its validation images are attacked.", metavar="RUN"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="package.module:function instead of a run: it gets the number of classes and "
            "gives a network from RGB in [0, 255] to logits."
        ),
    ] = None,
    image_folder: Annotated[
        Path | None,
        typer.Option(help="Images for --network, in one folder for each class."),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Square in pixels that is cut from the middle of each of them. Left out: as they "
            "are.",
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images that are attacked, at most.")] = 300,
    qualities: Annotated[
        str | None,
        typer.Option(
            help="Whole qualities and ranges of them. Left out: nine that stand for 1-99, which "
            "takes eleven times as long."
        ),
    ] = None,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(
            help="Largest change of a pixel in units of 1/255; repeat for several. Default: 3, 9; "
            "with --ablation 3."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of IFGSM, each of epsilon / steps.")] = 10,
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation",
            help="IFGSM through each kind of rounding and two straight-through derivatives "
            "(Tables 5.6 and 5.7).",
        ),
    ] = False,
    subsampling: Subsampling = "4:2:0",
    out: Out = _FOLDER,
    device: Annotated[
        str, typer.Option(metavar="|".join(DEVICES), help="Where it is computed.")
    ] = "cpu",
) -> None:
    """FGSM and IFGSM through every approach, judged behind libjpeg (Tables 5.2, 5.3, Fig. 5.7).

    Writes codec_attack.csv, .md, .png and .svg, or with --ablation codec_attack_ablation. Interrupt
    it at any time: the same command takes what it has and goes on.
    """
    with clear_errors():
        from trainer.codec_evaluation import attack as work
        from trainer.codec_evaluation import attacked_images
        from trainer.codec_evaluation.console import on_console
        from trainer.codec_evaluation.qualities import parse_qualities

        strengths = epsilon or (list(work.EPSILONS[:1]) if ablation else list(work.EPSILONS))
        settings = work.AttackSettings(
            work.QUALITIES if qualities is None else parse_qualities(qualities),
            tuple(sorted(set(strengths))),
            steps,
            ablation,
            subsampling,
            device,
        )
        if (run is None) == (network is None):
            raise ValueError("give the folder of a run, or --network with --image-folder")
        if (network is None) != (image_folder is None):
            raise ValueError("--network and --image-folder go together; a run has its own images")
        if run is not None:
            if side is not None:
                raise ValueError("--side goes with --network; a run has its own size")
            attacked = attacked_images.images_of_run(run, images)
        else:
            assert network is not None
            assert image_folder is not None
            attacked = attacked_images.images_of_network(network, image_folder, images, side=side)
        name = work.ABLATION_FILES if ablation else work.FILES
        on_console(
            lambda show: work.evaluate_attack(attacked, settings, out, show), out / f"{name}.md"
        )


def _setting(
    pictures: Path | None, qualities: str, crop: int | None, subsampling: str, device: str
) -> tuple[list[Picture], Settings]:
    from trainer.codec_evaluation.picture_sweep import Settings
    from trainer.codec_evaluation.pictures import find_pictures
    from trainer.codec_evaluation.qualities import parse_qualities

    settings = Settings(parse_qualities(qualities), subsampling, device)
    return find_pictures(pictures, crop=crop), settings


__all__ = ["evaluate"]
