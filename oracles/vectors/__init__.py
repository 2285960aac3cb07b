"""Golden vectors: a versioned conformance set, computed with mpmath.

The files lie in ``data`` and need no Python: see docs/vectors.md. From Python, load them, or let
them judge a function, or a file of results.
"""

from __future__ import annotations

from oracles.vectors.judge import verify_layer_vectors, verify_results, verify_vectors
from oracles.vectors.tables import (
    DATA,
    LayerVector,
    QuantizerVectors,
    load_layer,
    load_quantizer,
)

__all__ = [
    "DATA",
    "LayerVector",
    "QuantizerVectors",
    "load_layer",
    "load_quantizer",
    "verify_layer_vectors",
    "verify_results",
    "verify_vectors",
]
