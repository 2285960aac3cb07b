"""How many processes train together: what ``torchrun`` or SLURM tells each in its environment.

Without either there is one. The rules are those of Lightning Fabric.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from trainer.errors import TrainerError


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as the environment tells.

    Parameters
    ----------
    rank
        Of this process, from 0.
    world
        Number of all processes.
    nodes
        Number of machines; as many processes on each.
    """

    rank: int = 0
    world: int = 1
    nodes: int = 1


def processes() -> Processes:
    """The processes that ``torchrun`` or SLURM started.

    Raises
    ------
    TrainerError
        If SLURM runs a different number of them on each machine.
    """
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        world = int(os.environ["WORLD_SIZE"])
        return Processes(
            int(os.environ["RANK"]), world, world // int(os.environ["LOCAL_WORLD_SIZE"])
        )
    if "SLURM_NTASKS" in os.environ and _under_srun():
        world = int(os.environ["SLURM_NTASKS"])
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        if world % nodes:
            raise TrainerError(
                f"SLURM runs {world} tasks on {nodes} nodes; give --ntasks-per-node, so that each "
                "node has as many"
            )
        return Processes(int(os.environ["SLURM_PROCID"]), world, nodes)
    return Processes()


def _under_srun() -> bool:
    """Whether SLURM started this process, and not somebody in an interactive shell of it."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    return SLURMEnvironment.detect()
