"""What a run starts from, where that is measured or comes from another run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_impl import measure_coefficients, measure_sensitivity, standard_tables, unit_tables
from trainer.batches import Share, as_float, train_batches
from trainer.config import TrainConfig
from trainer.data import ImageSource
from trainer.errors import CheckpointError, RunFolderError, TrainerError
from trainer.saved_run import SavedRun, load_run

if TYPE_CHECKING:
    from trainer.networks import ImageClassifier


def initial_tables(
    config: TrainConfig,
    data: ImageSource,
    *,
    share: Share,
    device: torch.device,
    progress: Callable[[int, int | None], None],
) -> Tensor | None:
    """Quantization tables that a run starts from: a function of configuration and data.

    Parameters
    ----------
    config
        Whose ``tables`` says how.
    data
        Training images to measure, augmented as in training.
    share
        Of this process; several processes measure together.
    device
        That measures.
    progress
        Called with images done and images expected.

    Returns
    -------
    Tensor or None
        (2, 8, 8) float32 in natural order; None without a JPEG layer before the network.

    Raises
    ------
    RunFolderError, CheckpointError
        If ``tables_from`` is no finished baseline run with these classes.
    TrainerError
        If no tables follow from the measurement, or b is no whole number.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), section 4, appendices A.5 and A.10.
    """
    if config.method == "baseline" or config.placement != "input":
        return None
    if config.tables == "constant":
        return config.q_initial * unit_tables()
    if config.tables == "standard":
        return standard_tables(config.quality)
    bits = _bits(config) if config.tables == "coefficients" else 0
    run = _baseline(config, data) if config.tables == "sensitivity" else None
    batches = _measured_batches(config, data, share, device)
    limit = config.tables_images
    try:
        if run is None:
            means = measure_coefficients(batches, max_images=limit, progress=progress)
            return means.tables(bits)
        model = run.model.to(device)
        sensitivity = measure_sensitivity(model, batches, max_images=limit, progress=progress)
        return sensitivity.tables(config.q_max)
    except ValueError as error:
        raise TrainerError(
            f'tables "{config.tables}" cannot be measured: {error}. tables="constant" starts from '
            "q_initial instead"
        ) from error


def _bits(config: TrainConfig) -> int:
    """Number of bits b, where L = 2^(b-1) - 1."""
    levels = config.max_level + 1
    if levels & (levels - 1):
        raise TrainerError(
            f'tables "coefficients" needs max_level = 2^(b-1) - 1 for a whole number b, such as '
            f"127 or 1023, got {config.max_level}"
        )
    return levels.bit_length()


def _baseline(config: TrainConfig, data: ImageSource) -> SavedRun:
    run = _other_run("tables_from", config.tables_from, data)
    if run.config.method != "baseline":
        raise RunFolderError(
            f"tables_from = {run.folder} is a run of method {run.config.method!r}; the sensitivity "
            "is that of a network trained without the layer: give a finished baseline run"
        )
    return run


def _other_run(option: str, folder: str | None, data: ImageSource) -> SavedRun:
    """A finished run on the same classes."""
    assert folder is not None  # the configuration has seen to it
    run = load_run(folder)
    if not run.finished:
        raise RunFolderError(
            f"{option} = {folder} has done {len(run.history)} of {run.config.epochs} epochs; "
            "finish that run first"
        )
    if run.classes != tuple(data.classes):
        raise RunFolderError(
            f"{option} = {folder} was trained on other classes: {len(run.classes)} "
            f"({', '.join(run.classes[:3])}, ...), and these images have {len(data.classes)} "
            f"({', '.join(data.classes[:3])}, ...)"
        )
    return run


def _measured_batches(
    config: TrainConfig, data: ImageSource, share: Share, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented training batches, pass after pass, with other random numbers than training's."""
    steps = len(data.train_labels) // config.batch_size
    for epoch in count():
        numbers = range(epoch * steps, (epoch + 1) * steps)
        for batch in train_batches(data, config, share, numbers, purpose="tables"):
            yield as_float(batch.image, device), batch.label.to(device)


def load_pretrained(config: TrainConfig, model: ImageClassifier, data: ImageSource) -> None:
    """Put the network of the run in ``config.pretrained`` into a new model.

    Preprocessing and tables stay as they are.

    Raises
    ------
    RunFolderError, CheckpointError
        If it is no finished run of the same network with these classes.
    """
    run = _other_run("pretrained", config.pretrained, data)
    own, others = _weights(model), _weights(run.model)
    shapes = {name: tensor.shape for name, tensor in own.items()}
    if shapes != {name: tensor.shape for name, tensor in others.items()}:
        raise CheckpointError(
            f"pretrained = {run.folder} holds network {run.config.network!r}, whose weights do not "
            f"fit into {config.network!r} of this run; choose the same network and width"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(others[name])


def _weights(model: ImageClassifier) -> dict[str, Tensor]:
    """State of the network, without tables inside it."""
    quantizer = model.quantizer
    tables = {id(t) for t in quantizer.state_dict(keep_vars=True).values()} if quantizer else set()
    state = model.network.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if id(tensor) not in tables}
