"""The codec under test, what a call has to keep to, and findings about pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.codec.cases import Case
from oracles.codec.claim import takes
from oracles.contract import ContractError
from oracles.findings import Findings
from oracles.poison import poisoned_memory

__all__ = ["CodecFindings", "CodecFunction", "CodecSubject"]

Array = NDArray[np.float64]

#: ``fn(image, *, quality, qtables, subsampling) -> image``; of quality and qtables one is given,
#: and the sampling where the function takes it.
CodecFunction = Callable[..., Any]


@dataclass(frozen=True)
class CodecSubject:
    """A codec under test.

    Parameters
    ----------
    fn : callable
        The function under test.
    exact : bool
        Whether it claims to be libjpeg, and so gives whole numbers.
    multiple : int
        Of which sides have to be multiples.
    """

    fn: CodecFunction
    exact: bool
    multiple: int = 1

    def __call__(self, case: Case, image: NDArray[Any] | None = None) -> Array:
        """Code the image of a case, or another one with its options.

        Raises
        ------
        ContractError
            It raised, changed an argument, or gave no image of that shape.
        """
        given = case.image.copy() if image is None else image
        result = np.asarray(self.raw(given, case))
        if result.shape != given.shape:
            raise ContractError(f"the coded image has shape {result.shape}, not {given.shape}")
        if result.dtype != np.uint8 and not np.issubdtype(result.dtype, np.floating):
            raise ContractError(f"the coded image has dtype {result.dtype}; return uint8 or float")
        found = np.array(result, dtype=np.float64)
        if not np.isfinite(found).all():
            raise ContractError("the coded image holds NaN or infinity")
        if self.exact and (found != np.floor(found)).any():
            raise ContractError("the coded image holds fractions, which libjpeg's does not")
        return found

    def raw(self, image: NDArray[Any], case: Case) -> Any:
        """Call the function once and see that it leaves its arguments alone."""
        options = case.options
        if not takes(self.fn, "subsampling"):
            del options["subsampling"]
        arrays = [image, *(value for value in options.values() if isinstance(value, np.ndarray))]
        before = [array.tobytes() for array in arrays]
        with (
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
            poisoned_memory([image.nbytes], np.nan),
        ):
            warnings.simplefilter("ignore")  # what it handles is its own business
            try:
                result = self.fn(image, **options)
            except ContractError:
                raise
            except (Exception, SystemExit) as error:
                raise ContractError(
                    f"the function raised {type(error).__name__}: {error}"
                ) from error
        if [array.tobytes() for array in arrays] != before:
            raise ContractError("the function changed its input arrays; work on copies")
        return result


class CodecFindings(Findings):
    """Findings whose elements are pixels of cases."""

    def pixels(
        self,
        case: Case,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
        evidence: str = "",
        place: NDArray[np.intp] | None = None,
    ) -> None:
        """Judge |got - expected| <= tolerance for every pixel.

        Parameters
        ----------
        case : Case
            What was coded.
        got, expected, tolerance : ndarray
            Of one shape, that of the image unless `place` says otherwise.
        evidence : str
            Kind of evidence, if it is not the case's own.
        place : ndarray of int, optional
            Flat position in the image of each element.
        """
        shape = case.image.shape
        flat = tuple(np.ravel(array) for array in (got, expected, tolerance))
        with np.errstate(all="ignore"):
            wrong = np.flatnonzero(~(np.abs(flat[0] - flat[1]) <= flat[2]))

        def where(i: int) -> str:
            position = int(i if place is None else place.ravel()[i])
            return ", ".join(map(str, np.unravel_index(position, shape)))

        def describe(i: int) -> dict[str, float | int | str]:
            found = {**case.about, "pixel": f"({where(i)})"}
            if wrong.size:
                first = int(wrong[0])
                values = f"got {flat[0][first]:g}, expected {flat[1][first]:g}"
                found["first"] = f"({where(first)}) {values}"
                found["wrong"] = f"{wrong.size} of {flat[0].size}"
            return found

        self.add(
            evidence or case.evidence,
            case.regime,
            "pixels",
            describe,
            got=flat[0],
            expected=flat[1],
            tolerance=flat[2],
        )
