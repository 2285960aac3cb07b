"""One file that holds everything a run needs to go on: safetensors with a checked header.

The tensors are the model's and the optimizers'; the rest (progress, metrics, versions) is JSON
in the file's header, together with a SHA-256 over both. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from trainer.errors import CheckpointError, DivergenceError
from trainer.run_folder import write_atomically

CHECKPOINT_FILE = "checkpoint.safetensors"
_FORMAT = "jpegdl-checkpoint-2"
INITIAL_Q = "initial.q"


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after a whole number of steps.

    Parameters
    ----------
    tensors
        By name: ``model.*``, ``optimizer.*`` and, with a JPEG layer, ``initial.q``.
    progress
        JSON values: steps done, metrics of each epoch, sums of the epoch begun, data
        fingerprint, versions.
    """

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before.

    Raises
    ------
    DivergenceError
        If a tensor holds NaN or infinity; the checkpoint before stays, as the last good one.
    RunFolderError
        If the file cannot be written.
    """
    for name, tensor in checkpoint.tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DivergenceError(f"{name} holds NaN or infinity; the checkpoint before was kept")
    # Copies: the format knows no two names for one memory, as networks with tied weights have.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in checkpoint.tensors.items()
    }
    progress = json.dumps(checkpoint.progress)
    header = {"format": _FORMAT, "progress": progress, "sha256": _digest(tensors, progress)}
    write_atomically(path, save(tensors, metadata=header))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check it as a whole.

    Raises
    ------
    CheckpointError
        If the file is cut off, changed, or not a checkpoint of this trainer. The message says
        what to do; nothing is restarted behind the user's back.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    if header.get("format") != _FORMAT:
        raise _damaged(path, f"its format is {header.get('format')!r}, not {_FORMAT!r}")
    progress = header.get("progress", "")
    if _digest(tensors, progress) != header.get("sha256"):
        raise _damaged(path, "its content does not match its checksum")
    return Checkpoint(tensors, json.loads(progress))


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path} is damaged ({reason}). Put back a good copy, or remove "
        f"the folder {path.parent} to train this run again from the start"
    )


def _digest(tensors: dict[str, Tensor], progress: str) -> str:
    digest = hashlib.sha256(progress.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def collect_tensors(
    model: torch.nn.Module, optimizers: dict[str, torch.optim.Optimizer]
) -> dict[str, Tensor]:
    """All tensors of a model and its optimizers under unique names."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for role, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if value is not None:  # SGD without momentum keeps a None
                    tensors[f"optimizer.{role}.{index}.{key}"] = value
    return tensors


def state_counts(optimizers: dict[str, torch.optim.Optimizer]) -> dict[str, int]:
    """Of how many parameters each optimizer keeps a state: those that had a gradient so far."""
    return {role: len(optimizer.state) for role, optimizer in optimizers.items()}


def restore_tensors(
    tensors: dict[str, Tensor],
    model: torch.nn.Module,
    optimizers: dict[str, torch.optim.Optimizer],
    counts: dict[str, int],
    path: Path,
) -> None:
    """Put tensors back into a model and optimizers built by the same configuration.

    Parameters
    ----------
    tensors
        Of a checkpoint.
    model, optimizers
        What they are put into.
    counts
        ``state_counts`` when the checkpoint was written.
    path
        Of the checkpoint, for messages.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unknown or of another shape. Nothing is changed then.
    """
    found = _fitting(tensors, model, path)
    states = {
        role: _optimizer_state(tensors, role, optimizer, counts.get(role, 0), path)
        for role, optimizer in optimizers.items()
    }
    model.load_state_dict(found)
    for role, optimizer in optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states[role], "param_groups": groups})


def restore_model(tensors: dict[str, Tensor], model: torch.nn.Module, path: Path) -> None:
    """Put the tensors of a checkpoint's model into one built by the same configuration.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unknown or of another shape. Nothing is changed then.
    """
    model.load_state_dict(_fitting(tensors, model, path))


def _fitting(tensors: dict[str, Tensor], model: torch.nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of the model under its own names, if they are all there and fit."""
    expected = model.state_dict()
    found = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    if different := sorted(set(expected) ^ set(found)):
        raise _damaged(path, f"model tensors missing or unknown: {', '.join(different)}")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape or tensor.dtype != found[name].dtype:
            raise _damaged(
                path,
                f"{name} is {found[name].dtype} {tuple(found[name].shape)}, "
                f"the model needs {tensor.dtype} {tuple(tensor.shape)}",
            )
    return found


def _optimizer_state(
    tensors: dict[str, Tensor],
    role: str,
    optimizer: torch.optim.Optimizer,
    count: int,
    path: Path,
) -> dict[int, dict[str, Tensor]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    prefix = f"optimizer.{role}."
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not name.startswith(prefix):
            continue
        number, _, key = name.removeprefix(prefix).partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise _damaged(path, f"{name} fits no parameter")
        shape = parameters[int(number)].shape
        if tensor.shape not in (shape, torch.Size([])):  # a scalar counts steps
            raise _damaged(path, f"{name} is {tuple(tensor.shape)}, its parameter {tuple(shape)}")
        state.setdefault(int(number), {})[key] = tensor
    if len(state) != count:
        raise _damaged(path, f"{role} optimizer state of {count - len(state)} missing")
    return state
