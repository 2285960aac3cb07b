"""The differentiable JPEG under test, what it is asked for, and findings about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError, call_checked
from oracles.findings import Findings
from reference.diff_jpeg import diff_jpeg, diff_jpeg_vjp
from reference.jpeg_codec import roundtrip
from reference.surrogates import CLIP_SLOPE

__all__ = [
    "CODING_OUTPUTS",
    "Claim",
    "CodingCase",
    "CodingFindings",
    "CodingFunction",
    "CodingInputs",
    "CodingResult",
    "CodingSubject",
    "whole_tables",
]

Array = NDArray[np.float64]

#: ``fn(images, quality, qtables, grad_output) -> (value, d_images, d_quality, d_qtables)``.
CodingFunction = Callable[..., Any]

#: Names of the outputs, in their order.
CODING_OUTPUTS = ("value", "d_images", "d_quality", "d_qtables")


@dataclass(frozen=True)
class Claim:
    """What the function under test claims to be: the keywords of :func:`reference.diff_jpeg`."""

    subsampling: str = "4:2:0"
    straight_through: bool = False
    rounding: str = "cubic"
    scale_floor: str | None = "same"
    table_floor: str | None = "same"
    qtable_rounding: str | None = "straight_through"
    table_slope: float | None = CLIP_SLOPE
    output_slope: float | None = CLIP_SLOPE

    def options(self) -> dict[str, Any]:
        """As keywords."""
        return asdict(self)

    def floor(self, kind: str | None) -> str | None:
        """A floor, "same" resolved."""
        return self.rounding if kind == "same" else kind


class CodingInputs(NamedTuple):
    """One call's arrays, in float64 but representable in the dtype under test.

    Parameters
    ----------
    images, grad_output : ndarray, shape (N, 3, H, W)
        RGB in [0, 255], and weights of the output.
    quality : ndarray, shape () or (N,), or None
        In [1, 100].
    qtables : ndarray, shape (2, 8, 8) or (N, 2, 8, 8), or None
        In [1, 255]; None if there is a quality.
    """

    images: Array
    quality: Array | None
    qtables: Array | None
    grad_output: Array

    def take(self, index: Any) -> CodingInputs:
        """Some of the images, with what belongs to them."""
        quality, qtables = self.quality, self.qtables
        return CodingInputs(
            self.images[index],
            quality if quality is None or not quality.ndim else quality[index],
            qtables if qtables is None or qtables.ndim == 3 else qtables[index],
            self.grad_output[index],
        )


class CodingResult(NamedTuple):
    """What a call gives, or what it may be off by; None for what was not given."""

    value: Array
    d_images: Array
    d_quality: Array | None
    d_qtables: Array | None

    def times(self, factor: float) -> CodingResult:
        """Every number times `factor`."""
        return CodingResult._make(None if part is None else factor * part for part in self)

    def plus(self, other: CodingResult) -> CodingResult:
        """The sum, part by part."""
        pairs = zip(self, other, strict=True)
        return CodingResult._make(None if a is None or b is None else a + b for a, b in pairs)


class CodingCase(NamedTuple):
    """A call with a name."""

    name: str
    inputs: CodingInputs


@dataclass(frozen=True)
class CodingSubject:
    """A differentiable JPEG under test.

    Parameters
    ----------
    fn : callable
        The function under test.
    claim : Claim
        What it claims to be.
    dtype : numpy.dtype
        Working dtype.
    """

    fn: CodingFunction
    claim: Claim
    dtype: np.dtype[Any]

    def __call__(
        self,
        inputs: CodingInputs,
        *,
        poison: float = np.nan,
        arrange: Callable[[NDArray[Any]], NDArray[Any]] = np.array,
    ) -> CodingResult:
        """Value and gradients; raises ContractError."""
        given = [None if a is None else arrange(a.astype(self.dtype)) for a in inputs]
        shapes = {"value": inputs.images.shape, "d_images": inputs.images.shape}
        for name, array in (("d_quality", inputs.quality), ("d_qtables", inputs.qtables)):
            if array is not None:
                shapes[name] = array.shape

        def fn(*arrays: Any) -> Any:
            stack = iter(arrays)
            result = self.fn(*(None if a is None else next(stack) for a in given))
            if not isinstance(result, tuple | list):
                return result
            if len(result) != len(CODING_OUTPUTS):
                raise ContractError(
                    f"the function returned {len(result)} outputs; "
                    f"return {len(CODING_OUTPUTS)}: {', '.join(CODING_OUTPUTS)}"
                )
            pairs = zip(CODING_OUTPUTS, result, strict=True)
            # A scalar quality may have a NumPy number for its gradient.
            return [_as_array(part) for name, part in pairs if name in shapes]

        arguments = tuple(array for array in given if array is not None)
        found = dict(
            zip(
                shapes,
                call_checked(fn, arguments, 0, shapes, dtype=self.dtype, poison=poison),
                strict=True,
            )
        )
        return CodingResult._make(found.get(name) for name in CODING_OUTPUTS)

    def expected(self, inputs: CodingInputs) -> CodingResult:
        """What the float64 twin says; in the straight-through form, the exact codec."""
        images, quality, qtables, grad_output = inputs
        options = {"quality": quality, "qtables": qtables, **self.claim.options()}
        value = self.file(inputs) if self.claim.straight_through else diff_jpeg(images, **options)
        found = diff_jpeg_vjp(images, grad_output, **options)
        gradients = (
            None if part is None else np.asarray(part, dtype=np.float64)
            for part in (found.images, found.quality, found.qtables)
        )
        return CodingResult._make((value, *gradients))

    def file(self, inputs: CodingInputs) -> Array:
        """What libjpeg makes of the images: rounded, saturated, with tables of whole numbers."""
        count = len(inputs.images)
        tables = np.broadcast_to(whole_tables(inputs), (count, 2, 8, 8))
        pixels = np.ceil(np.floor(2 * inputs.images) / 2).clip(0, 255).astype(np.uint8)
        coded = [
            roundtrip(
                image.transpose(1, 2, 0), qtables=table, subsampling=self.claim.subsampling
            ).transpose(2, 0, 1)
            for image, table in zip(pixels, tables, strict=True)
        ]
        return np.array(coded, dtype=np.float64)


def whole_tables(inputs: CodingInputs) -> NDArray[np.int64]:
    """Tables that stand in the file, (1 or N, 2, 8, 8): libjpeg's own integer arithmetic."""
    from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE

    if inputs.qtables is not None:
        tables = np.ceil(np.floor(2 * inputs.qtables) / 2).astype(np.int64)
        return tables.reshape(-1, 2, 8, 8)
    assert inputs.quality is not None
    q = inputs.quality.reshape(-1, 1, 1, 1)
    percent = np.floor(np.where(q < 50, 5000 / q, 200 - 2 * q)).astype(np.int64)
    base = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(np.int64)
    return np.asarray(((base * percent + 50) // 100).clip(1, 255))


def _as_array(part: Any) -> Any:
    return np.asarray(part) if isinstance(part, np.floating) else part


class CodingFindings(Findings):
    """Findings whose elements are places in the arrays of a call."""

    def compare(
        self,
        evidence: str,
        case: CodingCase,
        *,
        got: CodingResult,
        expected: CodingResult,
        tolerance: CodingResult,
        outputs: tuple[str, ...] = CODING_OUTPUTS,
    ) -> None:
        """Judge every number of the named outputs."""
        for name in outputs:
            found, want, allowed = (getattr(part, name) for part in (got, expected, tolerance))
            if want is None:
                continue

            def describe(i: int, name: str = name, shape: Any = want.shape) -> dict[str, Any]:
                place = tuple(int(k) for k in np.unravel_index(i, shape)) if shape else ()
                return {"case": case.name, "place": f"{name}{list(place)}"} | _given(case, place)

            self.add(
                evidence,
                case.name,
                name,
                describe,
                got=np.ravel(found),
                expected=np.ravel(want),
                tolerance=np.ravel(allowed),
            )


def _given(case: CodingCase, place: tuple[int, ...]) -> dict[str, Any]:
    quality = case.inputs.quality
    if quality is None:
        return {}
    return {"quality": float(quality[place[0]] if quality.ndim else quality)}
