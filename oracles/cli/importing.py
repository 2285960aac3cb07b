"""Functions by name, and their parameters."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["parameters", "resolve"]


def resolve(target: str) -> Any:
    """Import ``package.module:function``, the working directory included.

    Parameters
    ----------
    target : str
        What to import.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such module or function, or the module cannot be imported.
    TypeError
        If it is not callable.
    """
    module_name, separator, name = target.partition(":")
    if not (module_name and separator and name):
        raise ValueError(f"target must be package.module:function, got {target!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not see the directory it is called from.
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"cannot import module {module_name!r}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"cannot import module {module_name!r}: it raised {type(error).__name__}: {error}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"module {module_name!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target!r} is not callable but {type(found).__name__}")
    return found


def parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """Parameters of a function by name; none where they cannot be told."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
