"""The JPEG layer under test, the cases it is asked for, and how its results are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import call_checked
from oracles.findings import Findings
from oracles.layer.bounds import layer_bounds
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS

__all__ = [
    "LAYER_OUTPUTS",
    "Array",
    "LayerCase",
    "LayerFindings",
    "LayerFunction",
    "LayerInputs",
    "LayerResult",
    "LayerSubject",
]

Array = NDArray[np.float64]

#: ``fn(image, q, alpha, grad_output, max_level) -> (output, grad_image, grad_q, grad_alpha)``:
#: image and grad_output (N, 3, H, W), RGB in [0, 255] and the weights of the output; q and alpha
#: (2, 8, 8), [0] luma and [1] chroma, natural order; the gradients are those of
#: sum(grad_output * output). All arrays are of the dtype under test, outputs at least that wide.
LayerFunction = Callable[[Any, Any, Any, Any, int], Any]

#: Names of the outputs, in their order.
LAYER_OUTPUTS = ("output", "grad_image", "grad_q", "grad_alpha")

_TINY = float(np.finfo(np.float64).tiny)
_TABLES = ("luma", "chroma")


class LayerInputs(NamedTuple):
    """One call's arrays, in float64 but representable in the dtype under test.

    Parameters
    ----------
    image : ndarray, shape (N, 3, H, W)
        RGB in [0, 255].
    q, alpha : ndarray, shape (2, 8, 8)
        Quantization steps and scaling factors, positive.
    grad_output : ndarray, shape (N, 3, H, W)
        Weights of the output.
    """

    image: Array
    q: Array
    alpha: Array
    grad_output: Array


class LayerResult(NamedTuple):
    """What a call gives, or what it may be off by.

    Parameters
    ----------
    output, grad_image : ndarray, shape (N, 3, H, W)
    grad_q, grad_alpha : ndarray, shape (2, 8, 8)
    """

    output: Array
    grad_image: Array
    grad_q: Array
    grad_alpha: Array

    def plus(self, other: LayerResult, *, factors: tuple[float, ...] = (1, 1, 1, 1)) -> LayerResult:
        """Sum of this and, entry by entry, `factors` times the other."""
        return LayerResult(*(a + f * b for a, b, f in zip(self, other, factors, strict=True)))

    def times(self, *factors: float) -> LayerResult:
        """Each output times its factor."""
        return LayerResult(*(f * a for a, f in zip(self, factors, strict=True)))


@dataclass(frozen=True)
class LayerCase:
    """A call to make.

    Parameters
    ----------
    name : str
        Regime, for the report.
    inputs : LayerInputs
        The arrays.
    max_level : int
        L.
    """

    name: str
    inputs: LayerInputs
    max_level: int

    def replace(self, **arrays: Array) -> LayerCase:
        """Return the same case with other arrays."""
        return LayerCase(self.name, self.inputs._replace(**arrays), self.max_level)


@dataclass(frozen=True)
class LayerSubject:
    """A JPEG layer under test.

    Parameters
    ----------
    fn : callable
        The function under test.
    window : int or None
        Support that it claims.
    subsampling : str
        Chroma subsampling that it claims.
    dtype : numpy.dtype
        Working dtype.
    """

    fn: LayerFunction
    window: int | None
    subsampling: str
    dtype: np.dtype[Any]

    @property
    def factors(self) -> tuple[int, int]:
        """Chroma factors (vertical, horizontal)."""
        return SUBSAMPLINGS[self.subsampling]

    def __call__(
        self,
        case: LayerCase,
        *,
        arrange: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        poison: float = np.nan,
    ) -> LayerResult:
        """Call the function; raises ContractError.

        Parameters
        ----------
        case : LayerCase
            What to call it with.
        arrange : callable, optional
            Gives each array other strides.
        poison : float
            What freed memory is filled with beforehand.

        Returns
        -------
        LayerResult
        """
        arguments = tuple(np.array(array, dtype=self.dtype) for array in case.inputs)
        if arrange is not None:
            arguments = tuple(arrange(array) for array in arguments)
        image, table = case.inputs.image.shape, case.inputs.q.shape
        shapes = dict(zip(LAYER_OUTPUTS, (image, image, table, table), strict=True))
        found = call_checked(
            self.fn, arguments, case.max_level, shapes, dtype=self.dtype, poison=poison
        )
        return LayerResult(*found)

    def round(self, array: Array) -> Array:
        """Return the array rounded to the working dtype."""
        return np.asarray(array.astype(self.dtype).astype(np.float64))

    def expected(self, case: LayerCase) -> LayerResult:
        """What the reference says."""
        image, q, alpha, grad_output = case.inputs
        options: dict[str, Any] = {
            "max_level": case.max_level,
            "window": self.window,
            "subsampling": self.subsampling,
            "compiled": True,
        }
        output = jpeg_layer(image, q, alpha, **options)
        return LayerResult(output, *jpeg_layer_vjp(image, q, alpha, grad_output, **options))

    def tolerance(self, case: LayerCase) -> LayerResult:
        """Largest acceptable errors."""
        bounds = layer_bounds(
            *case.inputs,
            max_level=case.max_level,
            window=self.window,
            subsampling=self.subsampling,
            dtype=self.dtype,
        )
        found = (bounds.output, *bounds.gradients)
        # Positive also where a gradient is zero by necessity.
        return LayerResult(*(np.maximum(bound, _TINY) for bound in found))


class LayerFindings(Findings):
    """Findings whose elements are pixels and table entries."""

    def compare(
        self,
        evidence: str,
        case: LayerCase,
        *,
        got: LayerResult,
        expected: LayerResult,
        tolerance: LayerResult,
        outputs: tuple[str, ...] = LAYER_OUTPUTS,
    ) -> None:
        """Judge the named outputs, each on its own, entry by entry.

        Parameters
        ----------
        evidence : str
            Name for the report.
        case : LayerCase
            What the call was made with.
        got, expected, tolerance : LayerResult
            A NaN anywhere counts as infinitely wrong.
        outputs : tuple of str
            Outputs to judge.
        """
        for name in outputs:
            found: Array = getattr(got, name)

            def describe(i: int, shape: tuple[int, ...] = found.shape) -> dict[str, Any]:
                return place(case, shape, i)

            self.add(
                evidence,
                case.name,
                name,
                describe,
                got=found.ravel(),
                expected=getattr(expected, name).ravel(),
                tolerance=getattr(tolerance, name).ravel(),
            )

    def compare_number(
        self, evidence: str, case: LayerCase, output: str, got: float, expected: float, limit: float
    ) -> None:
        """Judge one number of a call, such as a sum over all pixels."""
        self.add(
            evidence,
            case.name,
            output,
            lambda _: {"case": case.name, "max_level": case.max_level},
            got=np.array([got]),
            expected=np.array([expected]),
            tolerance=np.array([limit]),
        )


def place(case: LayerCase, shape: tuple[int, ...], i: int) -> dict[str, float | int | str]:
    """Name the i-th entry of an array of the given shape: a pixel, or a table entry."""
    index = tuple(int(axis) for axis in np.unravel_index(i, shape))
    start: dict[str, float | int | str] = {"case": case.name, "max_level": case.max_level}
    if len(index) == 3:
        return start | {
            "table": _TABLES[index[0]],
            "u": index[1],
            "v": index[2],
            "q": float(case.inputs.q[index]),
            "alpha": float(case.inputs.alpha[index]),
        }
    names = ("image", "channel", "row", "column")
    size = "x".join(str(side) for side in shape)
    return start | {"size": size} | dict(zip(names, index, strict=True))
