"""Cases: an image, tables and a sampling, each with the pixels that are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.codec.claim import FACTORS, Claim, make_claim
from oracles.codec.images import IMAGES, Image, crafted
from oracles.codec.intervals import Pixels, acceptable
from reference import jpeg_codec
from reference.standard import annex_k_tables

__all__ = ["BUDGETS", "Case", "codec_case", "make_cases"]

Array = NDArray[np.float64]

#: By budget: rounds of draws; each quality is tried with so many samplings.
BUDGETS = {"quick": 1, "full": 8}

_SIZES = (
    *((1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 3), (3, 2), (4, 5), (5, 4), (7, 8), (8, 7)),
    *((8, 8), (9, 9), (15, 17), (17, 15), (16, 16), (18, 20), (17, 33), (33, 17), (5, 40), (40, 3)),
)


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a codec.

    Parameters
    ----------
    evidence, regime, kind : str
        Kind of evidence, regime in the report, and what the image is.
    image : ndarray of uint8
        (H, W, 3) or (H, W).
    tables : ndarray, shape (2, 8, 8)
        Quantization steps.
    quality : int or None
        What stands for the tables; None where they are handed over themselves.
    subsampling : str
        A key of :data:`oracles.codec.claim.FACTORS`.
    number : int
        Its place among the cases of the verdict, for :func:`codec_case`.
    """

    evidence: str
    regime: str
    kind: str
    image: Image
    tables: Array
    quality: int | None
    subsampling: str
    number: int = -1

    @property
    def about(self) -> dict[str, float | int | str]:
        """What a reader needs to know of it."""
        height, width = self.image.shape[:2]
        return {
            "case": self.number,
            "image": f"{self.kind} {height}x{width}{' grey' if self.image.ndim == 2 else ''}",
            "quality": "none, qtables" if self.quality is None else self.quality,
            "subsampling": self.subsampling,
        }

    def __str__(self) -> str:
        """In a few words, for a message."""
        words = self.about
        steps = "own tables" if self.quality is None else f"quality {self.quality}"
        return f"case {self.number} ({words['image']}, {steps}, {self.subsampling})"

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of the call."""
        chosen: dict[str, Any] = (
            {"qtables": self.tables.astype(np.int64)}
            if self.quality is None
            else {"quality": self.quality}
        )
        return {**chosen, "subsampling": self.subsampling}

    @cached_property
    def coded(self) -> Array:
        """What libjpeg-turbo gives."""
        found = jpeg_codec.roundtrip(self.image, **self.options)
        return found.astype(np.float64)

    @cached_property
    def pixels(self) -> Pixels:
        """What any sound codec may give."""
        return acceptable(self.image, self.tables, FACTORS[self.subsampling])

    def expected(self, *, exact: bool) -> tuple[Array, Array]:
        """Pixels, and how far from them a codec may be.

        Parameters
        ----------
        exact : bool
            Whether it claims to be libjpeg: then 1/2 for whole numbers, which is nothing.

        Returns
        -------
        expected, tolerance : ndarray
            Shape of the image.
        """
        if exact:
            return self.coded, np.full(self.coded.shape, 0.5)
        low, high = self.pixels[:2]
        return (low + high) / 2, (high - low) / 2 + 1e-3


@lru_cache(maxsize=8)
def make_cases(claim: Claim, seed: int, budget: str) -> tuple[Case, ...]:
    """All cases of a verdict; kept, for many codecs are judged by the same ones.

    Parameters
    ----------
    claim : Claim
        What is offered.
    seed : int
        Of the draw.
    budget : {"quick", "full"}
        How many.

    Returns
    -------
    tuple of Case
    """
    cases: list[Case] = []
    for turn in range(BUDGETS[budget]):
        maker = _Maker(claim, np.random.default_rng([seed, turn]), turn)
        if claim.qualities:
            cases += maker.qualities(len(claim.subsamplings) if budget == "full" else 1)
        cases += [*maker.images(), *maker.sizes(), *maker.extremes()]
        if claim.qtables:
            cases += maker.own_tables()
        if claim.grey:
            cases += maker.greys()
    return tuple(replace(case, number=number) for number, case in enumerate(cases))


@dataclass(frozen=True)
class _Maker:
    """Draws cases for a claim."""

    claim: Claim
    rng: np.random.Generator
    turn: int

    def case(
        self,
        evidence: str,
        regime: str,
        shape: tuple[int, int],
        subsampling: str,
        *,
        quality: int | None = None,
        tables: Array | None = None,
        grey: bool = False,
    ) -> Case:
        if tables is None:
            quality, tables = self.steps(50 if quality is None else quality)
        sides = self.claim.side(shape[0]), self.claim.side(shape[1])
        kind = regime if regime in IMAGES else "crafted"
        image = (
            IMAGES[kind](sides, self.rng)
            if kind in IMAGES
            else crafted(sides, tables, FACTORS[subsampling], self.rng)
        )
        image = np.ascontiguousarray(image[..., 1] if grey else image)
        for array in (image, tables):
            array.setflags(write=False)
        return Case(evidence, regime, kind, image, tables, quality, subsampling)

    def steps(self, quality: int) -> tuple[int | None, Array]:
        """The nearest quality on offer, or where there is none its tables."""
        if self.claim.qualities:
            quality = self.claim.nearest(quality)
            return quality, annex_k_tables(quality)
        return None, annex_k_tables(quality)

    def qualities(self, samplings: int) -> Iterator[Case]:
        offered = self.claim.subsamplings
        for quality in self.claim.qualities:
            for turn in range(samplings):
                subsampling = offered[(quality + self.turn + turn) % len(offered)]
                shape = (32, 16 if quality % 2 else 32)
                yield self.case("qualities", "crafted", shape, subsampling, quality=quality)

    def images(self) -> Iterator[Case]:
        for kind in ("crafted", "noise", "greys", "smooth", "saturated", "edges"):
            for subsampling in self.claim.subsamplings:
                for low, high in ((2, 40), (40, 70), (70, 96)):
                    quality = int(self.rng.integers(low, high))
                    yield self.case("reference", kind, (40, 56), subsampling, quality=quality)

    def sizes(self) -> Iterator[Case]:
        drawn = tuple((int(a), int(b)) for a, b in self.rng.integers(1, 50, (6, 2)))
        for number, shape in enumerate((*_SIZES, *drawn)):
            for subsampling in self.claim.subsamplings:
                if subsampling == "4:4:4" and number % 3:
                    continue  # edges of chroma are what goes wrong
                kind = ("crafted", "smooth", "crafted")[(number + self.turn) % 3]
                quality = int(self.rng.integers(30, 90))
                yield self.case("sizes", kind, shape, subsampling, quality=quality)

    def extremes(self) -> Iterator[Case]:
        for quality in (1, 50, 100):
            for number, kind in enumerate(("saturated", "flat", "edges", "noise")):
                offered = self.claim.subsamplings
                subsampling = offered[(number + quality + self.turn) % len(offered)]
                yield self.case("extremes", kind, (24, 32), subsampling, quality=quality)
            yield from self._corners(quality)

    def _corners(self, quality: int) -> Iterator[Case]:
        """Eight flat colours: black, white, primaries and their mixtures."""
        chosen, tables = self.steps(quality)
        side = self.claim.side(9)
        for number in range(8):
            colour = 255 * np.array([number & 4, number & 2, number & 1], bool).astype(np.uint8)
            image = np.ascontiguousarray(np.broadcast_to(colour, (side, side, 3)))
            subsampling = self.claim.subsamplings[number % len(self.claim.subsamplings)]
            name = f"flat {'-'.join(map(str, colour))}"
            yield Case("extremes", "corners", name, image, tables, chosen, subsampling)

    def own_tables(self) -> Iterator[Case]:
        """Tables of one's own: ends of the range, no symmetry, luma unlike chroma."""
        uneven = self.rng.integers(1, 256, (2, 8, 8)).astype(np.float64)
        middle = self.rng.integers(8, 40, (2, 8, 8)).astype(np.float64)
        rows = np.broadcast_to(np.linspace(9, 191, 8).round()[:, None], (8, 8))
        single = np.full((2, 8, 8), 255.0)
        single[0, 1, 6] = single[1, 5, 2] = 1
        drawn = {
            "uneven": uneven,
            "middle": middle,
            "rows and columns": np.stack([rows, rows.T]),
            "one 1": single,
            "ones": np.ones((2, 8, 8)),
            "255": np.full((2, 8, 8), 255.0),
        }
        for name, tables in drawn.items():
            for subsampling in self.claim.subsamplings:
                for kind in ("crafted", "noise"):
                    case = self.case("tables", kind, (32, 32), subsampling, tables=tables.copy())
                    yield replace(case, regime=name)

    def greys(self) -> Iterator[Case]:
        for shape in ((1, 1), (16, 16), (13, 21), (40, 9)):
            for quality in (10, 50, 75, 92):
                kind = "crafted" if quality % 4 else "greys"
                yield self.case(
                    "grey", kind, shape, self.claim.subsamplings[0], quality=quality, grey=True
                )


def codec_case(
    number: int, *, seed: int = 0, budget: str = "quick", **claim: Any
) -> tuple[Image, dict[str, Any]]:
    """The input of a finding, to look at it alone.

    Parameters
    ----------
    number : int
        ``case`` in the finding.
    seed : int
        Of the verdict.
    budget : {"quick", "full"}
        Of the verdict.
    **claim
        ``exact``, ``qualities``, ``subsamplings``, ``qtables``, ``grey``, ``multiple``, as the
        verdict was asked for.

    Returns
    -------
    image : ndarray of uint8
    options : dict
        ``fn(image, **options)`` is the call.

    Raises
    ------
    TypeError, ValueError
        If no case has the number, or an argument is wrong.

    Examples
    --------
    >>> image, options = codec_case(36)
    >>> image.shape, options
    ((32, 16, 3), {'quality': 37, 'subsampling': '4:2:2'})
    """
    cases = make_cases(make_claim(**{**DEFAULTS, **claim}), seed, budget)
    if not 0 <= number < len(cases):
        raise ValueError(f"number must lie in 0..{len(cases) - 1}, got {number}")
    case = cases[number]
    return case.image.copy(), case.options


#: What a codec claims unless it says otherwise.
DEFAULTS: dict[str, Any] = {
    "exact": True,
    "qualities": "1-100",
    "subsamplings": ("4:4:4", "4:2:2", "4:2:0"),
    "qtables": True,
    "grey": False,
    "multiple": 1,
}
