"""The arbiter of JPEG layers: output and vector-Jacobian product to many digits, with mpmath.

Written from the definitions, and independently of `reference.jpeg_layer`: the cosines of the DCT,
the luma weights 0.299, 0.587 and 0.114 as the decimals that they are, and every linear step as a
table of weights. A step and its adjoint read the same table, so no adjoint is written down.
Scalar and slow: for pictures of a few blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray

from reference._validation import as_int, as_positive, as_real, check_max_level, check_window
from reference.high_precision import HighPrecisionPartials, rational_partials

__all__ = ["HighPrecisionLayer", "jpeg_layer_vjp"]

# Where a number stands: (plane, row, column).
_Place = tuple[int, int, int]
_Plane = dict[_Place, Any]
_Weights = Iterable[tuple[Any, _Place]]

_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
_LUMA, _CB, _CR = 0, 1, 2
_GUARD_DIGITS = 20


class HighPrecisionLayer(NamedTuple):
    """Output and gradients, arrays of mpmath numbers.

    Parameters
    ----------
    output, image : ndarray of object, shape (3, H, W)
        RGB, and the gradient with respect to the image.
    q, alpha : ndarray of object, shape (2, 8, 8)
        Gradients with respect to the tables.
    """

    output: NDArray[np.object_]
    image: NDArray[np.object_]
    q: NDArray[np.object_]
    alpha: NDArray[np.object_]


class _Linear(NamedTuple):
    """A linear step: for each place of its result, the weights and places that it sums over."""

    rows: dict[_Place, list[tuple[Any, _Place]]]

    def apply(self, plane: _Plane) -> _Plane:
        return {
            place: mpmath.fsum(weight * plane[source] for weight, source in row)
            for place, row in self.rows.items()
        }

    def adjoint(self, gradient: _Plane) -> _Plane:
        terms: dict[_Place, list[Any]] = {}
        for place, row in self.rows.items():
            # What is cropped has no influence: it is missing from the gradient.
            share = gradient.get(place, 0)
            for weight, source in row:
                terms.setdefault(source, []).append(weight * share)
        return {source: mpmath.fsum(parts) for source, parts in terms.items()}


class _Geometry(NamedTuple):
    height: int
    width: int
    factors: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """Sides in pixels, whole MCUs."""
        down, across = (8 * factor for factor in self.factors)
        return -(-self.height // down) * down, -(-self.width // across) * across

    def sides(self, plane: int) -> tuple[int, int]:
        """Sides of a component as it is coded."""
        height, width = self.padded
        if plane == _LUMA:
            return height, width
        return height // self.factors[0], width // self.factors[1]

    def pixels(self) -> Iterator[_Place]:
        yield from _places((3, *self.padded))

    def samples(self) -> Iterator[_Place]:
        for plane in (_LUMA, _CB, _CR):
            for _, row, column in _places((1, *self.sides(plane))):
                yield plane, row, column


def jpeg_layer_vjp(
    image: Any,
    q: Any,
    alpha: Any,
    grad_output: Any,
    *,
    max_level: int,
    window: int | None = None,
    subsampling: str = "4:4:4",
    digits: int = 30,
) -> HighPrecisionLayer:
    """Output of the JPEG layer and gradients of sum(grad_output * output).

    Parameters
    ----------
    image : array_like, shape (3, H, W)
        RGB in [0, 255], finite; one picture.
    q, alpha : array_like, shape (2, 8, 8)
        Quantization steps and scaling factors, positive; [0] luma, [1] chroma, natural order.
    grad_output : array_like, shape (3, H, W)
        Weights of the output.
    max_level : int
        L; the index set of every coefficient is {-L..L}.
    window : int, optional
        Odd number of levels of the masked CPMF; None for the full space.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Sampling of chroma.
    digits : int
        Decimal digits carried beyond the point, at least 1. A coefficient nearer than 10^-digits
        to zero, or to a tie of the quantizer, is taken to lie there: so flat pictures have
        coefficients that are zero.

    Returns
    -------
    HighPrecisionLayer

    Raises
    ------
    ValueError
        If a shape, a table entry or a name is not one of those above.
    TypeError
        If an integer argument is not an integer.

    References
    ----------
    JPEG-DL, section 3.3 and Fig. 1; ITU-T T.81, A.3.3 (DCT); ITU-T T.871, clause 7 (colour).
    """
    picture, weights = (as_real(n, a) for n, a in (("image", image), ("grad_output", grad_output)))
    if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
        raise ValueError(f"image must have shape (3, H, W), got {picture.shape}; take one picture")
    if weights.shape != picture.shape:
        raise ValueError(
            f"grad_output must have the shape of image, {picture.shape}, got {weights.shape}"
        )
    if not (np.isfinite(picture).all() and np.isfinite(weights).all()):
        raise ValueError("image and grad_output must be finite: nothing else has a DCT")
    tables = np.array([_table("q", q), _table("alpha", alpha)])
    if subsampling not in _FACTORS:
        raise ValueError(f"subsampling must be one of {list(_FACTORS)}, got {subsampling!r}")
    level = check_max_level(max_level)
    width = check_window(window, level)
    digits = as_int("digits", digits)
    if digits < 1:
        raise ValueError(f"digits must be at least 1, got {digits}")

    geometry = _Geometry(picture.shape[1], picture.shape[2], _FACTORS[subsampling])
    with mpmath.workdps(digits + _GUARD_DIGITS):
        forth = [_pad(geometry), _to_ycbcr(geometry), _downsample(geometry), *_dct(geometry)]
        # An orthonormal transform has its transpose for an inverse, so the inverse DCT is the
        # adjoint of the DCT.
        back = [_upsample(geometry), _to_rgb(geometry), _crop(geometry)]

        z: _Plane = {p: mpmath.mpf(float(picture[p])) - 128 for p in np.ndindex(picture.shape)}
        for step in forth:
            z = step.apply(z)
        partials = {
            place: _quantize(number, *_entries(tables, place), level, width, digits)
            for place, number in z.items()
        }
        plane: _Plane = {place: part.value for place, part in partials.items()}
        for step in reversed(_dct(geometry)):
            plane = step.adjoint(plane)
        for step in back:
            plane = step.apply(plane)
        output = _as_array({place: number + 128 for place, number in plane.items()}, picture.shape)

        gradient: _Plane = {p: mpmath.mpf(float(weights[p])) for p in np.ndindex(weights.shape)}
        for step in reversed(back):
            gradient = step.adjoint(gradient)
        for step in _dct(geometry):
            gradient = step.apply(gradient)
        grad_q, grad_alpha = _table_gradients(gradient, partials)
        gradient = {place: number * partials[place].dz for place, number in gradient.items()}
        for step in reversed(forth):
            gradient = step.adjoint(gradient)
        return HighPrecisionLayer(output, _as_array(gradient, picture.shape), grad_q, grad_alpha)


def _places(shape: tuple[int, int, int]) -> Iterator[_Place]:
    yield from np.ndindex(shape)


def _linear(places: Iterable[_Place], weights: Callable[[_Place], _Weights]) -> _Linear:
    return _Linear({place: list(weights(place)) for place in places})


def _pad(geometry: _Geometry) -> _Linear:
    """Repeat the last row and column up to whole MCUs."""
    bottom, right = geometry.height - 1, geometry.width - 1
    return _linear(geometry.pixels(), lambda p: [(1, (p[0], min(p[1], bottom), min(p[2], right)))])


def _crop(geometry: _Geometry) -> _Linear:
    return _Linear({p: [(1, p)] for p in _places((3, geometry.height, geometry.width))})


def _luma_weights() -> tuple[Any, Any, Any]:
    red, green, blue = (mpmath.mpf(text) for text in ("0.299", "0.587", "0.114"))
    return red, green, blue


def _to_ycbcr(geometry: _Geometry) -> _Linear:
    """Y = sum of K X over R, G, B; Cb = (B - Y) / (2 - 2 K_b), Cr = (R - Y) / (2 - 2 K_r)."""
    luma = _luma_weights()

    def weights(place: _Place) -> _Weights:
        plane, row, column = place
        own = {_LUMA: None, _CB: 2, _CR: 0}[plane]  # the colour that Y is taken from
        for colour, share in enumerate(luma):
            if own is None:
                yield share, (colour, row, column)
            else:
                yield ((colour == own) - share) / (2 - 2 * luma[own]), (colour, row, column)

    return _linear(geometry.pixels(), weights)


def _to_rgb(geometry: _Geometry) -> _Linear:
    """R = Y + (2 - 2 K_r) Cr, B = Y + (2 - 2 K_b) Cb, and G from the definition of Y."""
    red, green, blue = _luma_weights()
    to_red, to_blue = 2 - 2 * red, 2 - 2 * blue
    matrix = (
        {_LUMA: 1, _CR: to_red},
        {_LUMA: (1 - red - blue) / green, _CB: -blue * to_blue / green, _CR: -red * to_red / green},
        {_LUMA: 1, _CB: to_blue},
    )

    def weights(place: _Place) -> _Weights:
        colour, row, column = place
        return [(share, (plane, row, column)) for plane, share in matrix[colour].items()]

    return _linear(geometry.pixels(), weights)


def _downsample(geometry: _Geometry) -> _Linear:
    """Chroma: the mean over each cell of pixels."""
    down, across = geometry.factors

    def weights(place: _Place) -> _Weights:
        plane, row, column = place
        if plane == _LUMA:
            return [(1, place)]
        cell = [(down * row + i, across * column + j) for i in range(down) for j in range(across)]
        return [(mpmath.mpf(1) / len(cell), (plane, *pixel)) for pixel in cell]

    return _linear(geometry.samples(), weights)


def _upsample(geometry: _Geometry) -> _Linear:
    """Chroma: linear interpolation between sample centres, which lie at half-integers."""

    def along(fine: int, factor: int, side: int) -> list[tuple[Any, int]]:
        if factor == 1:
            return [(1, fine)]
        position = (Fraction(fine) + Fraction(1, 2)) / factor - Fraction(1, 2)
        before = position.numerator // position.denominator
        share = position - before
        ends = (1 - share, before), (share, before + 1)
        # Beyond the edge the outermost sample is repeated.
        return [(_mp(part), min(max(sample, 0), side - 1)) for part, sample in ends]

    def weights(place: _Place) -> _Weights:
        plane, row, column = place
        if plane == _LUMA:
            return [(1, place)]
        height, width = geometry.sides(plane)
        return [
            (a * b, (plane, i, j))
            for a, i in along(row, geometry.factors[0], height)
            for b, j in along(column, geometry.factors[1], width)
        ]

    return _linear(geometry.pixels(), weights)


def _dct(geometry: _Geometry) -> list[_Linear]:
    """F(u) = c(u)/2 sum over x of f(x) cos((2x + 1) u pi / 16) along columns, then along rows.

    The coefficient (u, v) of a block takes the place of its sample (u, v).
    """

    def weight(frequency: int, position: int) -> Any:
        norm = mpmath.sqrt(mpmath.mpf(1) / 2) if frequency == 0 else mpmath.mpf(1)
        return norm / 2 * mpmath.cos((2 * position + 1) * frequency * mpmath.pi / 16)

    cosines = [[weight(u, x) for x in range(8)] for u in range(8)]

    def down(place: _Place) -> _Weights:
        plane, row, column = place
        start = row - row % 8
        return [(cosines[row % 8][x], (plane, start + x, column)) for x in range(8)]

    def across(place: _Place) -> _Weights:
        plane, row, column = place
        start = column - column % 8
        return [(cosines[column % 8][x], (plane, row, start + x)) for x in range(8)]

    samples = list(geometry.samples())
    return [_linear(samples, down), _linear(samples, across)]


def _quantize(
    z: Any, q: float, alpha: float, max_level: int, window: int | None, digits: int
) -> HighPrecisionPartials:
    step, exact = Fraction(q), _fraction(z)
    # In units of a half step zero and the ties are whole numbers. Rounding of the working
    # precision must not decide on which side of a tie a coefficient lies.
    halves = round(2 * exact / step)
    if (halves % 2 or halves == 0) and abs(exact - halves * step / 2) < Fraction(10) ** -digits:
        exact = halves * step / 2
    return rational_partials(
        exact, step, Fraction(alpha), max_level=max_level, window=window, digits=mpmath.mp.dps
    )


def _table_gradients(
    gradient: _Plane, partials: dict[_Place, HighPrecisionPartials]
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Every coefficient that an entry quantizes adds to the gradient of that entry."""
    terms: dict[_Place, tuple[list[Any], list[Any]]] = {p: ([], []) for p in _places((2, 8, 8))}
    for place, weight in gradient.items():
        of_q, of_alpha = terms[_entry(place)]
        of_q.append(weight * partials[place].dq)
        of_alpha.append(weight * partials[place].dalpha)
    sums = [{p: mpmath.fsum(parts[i]) for p, parts in terms.items()} for i in (0, 1)]
    return _as_array(sums[0], (2, 8, 8)), _as_array(sums[1], (2, 8, 8))


def _entry(place: _Place) -> _Place:
    """Table entry of a coefficient."""
    plane, row, column = place
    return min(plane, 1), row % 8, column % 8


def _entries(tables: NDArray[np.float64], place: _Place) -> tuple[float, float]:
    q, alpha = (float(table[_entry(place)]) for table in tables)
    return q, alpha


def _table(name: str, value: Any) -> NDArray[np.float64]:
    table = as_positive(name, value)
    if table.shape != (2, 8, 8):
        raise ValueError(f"{name} must have shape (2, 8, 8), got {table.shape}")
    return table


def _as_array(plane: _Plane, shape: tuple[int, ...]) -> NDArray[np.object_]:
    array = np.empty(shape, dtype=object)
    for place, number in plane.items():
        array[place] = number
    return array


def _fraction(number: Any) -> Fraction:
    """Exact value of an mpmath number."""
    sign, mantissa, exponent, _ = number._mpf_
    return (-1) ** sign * int(mantissa) * Fraction(2) ** exponent


def _mp(number: Fraction) -> Any:
    return mpmath.mpf(number.numerator) / number.denominator
