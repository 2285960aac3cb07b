"""The bounds of codecs in real arithmetic: proved constants, wide enough and no wider."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.codec.cases import DEFAULTS, make_cases
from oracles.codec.claim import FACTORS, make_claim
from oracles.codec.images import IMAGES, crafted
from oracles.codec.intervals import CONSTANTS, INVERSE_ROUNDING, PASS_ROUNDING, acceptable
from oracles.mutants.codec_sound import PlainCodec, real_codec
from reference.blocks import dct2, idct2
from reference.jpeg_codec import roundtrip
from reference.standard import DCT_MATRIX, annex_k_tables


def _blocks(seed: int) -> np.ndarray:
    """Noise, and the signs of basis functions, for which worst cases add up."""
    rng = np.random.default_rng(seed)
    signs = np.sign(np.einsum("uy,vx->uvyx", DCT_MATRIX, DCT_MATRIX)).reshape(64, 8, 8)
    sizes = rng.integers(1, 128, (4, 64, 1, 1))
    return np.concatenate([rng.integers(-128, 128, (4000, 8, 8)), *(sizes * signs)])


def test_libjpeg_s_transform_is_within_the_bound_of_the_forward_error() -> None:
    blocks = _blocks(0)
    error = np.abs(PlainCodec().forward(blocks) / 8 - dct2(blocks)).max(axis=(-2, -1))
    bound = PASS_ROUNDING + 36 * CONSTANTS * np.abs(blocks).max(axis=(-2, -1))
    # Worst cases of every rounding at once do not come up; a fifth of the bound does.
    assert 0.2 < (error / bound).max() <= 1


def test_libjpeg_s_transform_is_within_the_bound_of_the_inverse_error() -> None:
    rng = np.random.default_rng(1)
    z = np.round(dct2(_blocks(1)) * (rng.random((4256, 8, 8)) < 0.3))
    codec = PlainCodec()
    columns = np.floor((codec.matrix.T @ z + 2**10) / 2**11)
    error = np.abs(columns @ codec.matrix / 2**18 - idct2(z)).max(axis=(-2, -1))
    total = np.abs(z).sum(axis=(-2, -1))
    bound = INVERSE_ROUNDING + np.sqrt(2) * CONSTANTS * total
    assert 0.1 < (error / bound).max() <= 1


@pytest.mark.parametrize("subsampling", FACTORS)
def test_integers_and_real_numbers_are_both_accepted(subsampling: str) -> None:
    """Any image, any tables; the cases of the judge are chosen with more care."""
    rng = np.random.default_rng(2)
    for number in range(24):
        shape = tuple(rng.integers(1, 40, 2).tolist())
        image = list(IMAGES.values())[number % len(IMAGES)](shape, rng)
        tables = rng.integers(1, (4, 30, 256)[number % 3], (2, 8, 8)).astype(np.float64)
        low, high = acceptable(image, tables, FACTORS[subsampling])[:2]
        options = {"qtables": tables, "subsampling": subsampling}
        for coded in (roundtrip(image, **options), real_codec(image, **options)):
            assert ((low - 1e-3 <= coded) & (coded <= high + 1e-3)).all()


def test_where_levels_are_certain_pixels_are_known_to_some_grey_levels() -> None:
    """What is accepted is narrow, or every mutant would be sound."""
    for subsampling, factors in FACTORS.items():
        rng = np.random.default_rng(3)
        tables = annex_k_tables(50)
        found = acceptable(crafted((96, 96), tables, factors, rng), tables, factors)
        width = found.high - found.low
        # Three stages that round, twice 1/2 each, chroma weighed with up to 1.772: 5.1 and the
        # transforms. Most blocks are certain.
        assert np.quantile(width, 0.8) < 6, subsampling
        assert found.ambiguous < 0.25 * found.blocks
        grey = np.repeat(rng.integers(0, 256, (64, 64, 1), np.uint8), 3, axis=2)
        found = acceptable(grey, np.full((2, 8, 8), 255.0), factors)
        # Luma alone: 1/2 for its sample, 1/4 for the transform, on either side.
        assert np.quantile(found.high - found.low, 0.5) <= 2


def test_constants_are_known_exactly() -> None:
    tables = np.ones((2, 8, 8))
    for value in (0, 1, 77, 128, 255):
        image = np.full((16, 24, 3), value, np.uint8)
        low, high, ambiguous, blocks = acceptable(image, tables, (2, 2))
        assert np.abs(low - value).max() < 0.01
        assert np.abs(high - value).max() < 0.01
        assert (ambiguous, blocks) == (0, 6 + 2 * 2)


def test_few_blocks_of_crafted_images_are_ambiguous_but_where_steps_are_small() -> None:
    cases = make_cases(make_claim(**{**DEFAULTS, "exact": False}), 0, "quick")
    found = [case for case in cases if case.evidence == "qualities" and case.quality <= 70]
    assert len(found) == 70
    wide, blocks = (sum(case.pixels[i] for case in found) for i in (2, 3))
    assert wide < 0.25 * blocks
    for case in cases:
        assert not case.image.flags.writeable or case.regime == "corners"


def test_nothing_is_added_to_the_bounds() -> None:
    for case in make_cases(make_claim(**{**DEFAULTS, "exact": False}), 1, "quick")[::20]:
        expected, tolerance = case.expected(exact=False)
        low, high = case.pixels[:2]
        # 1e-3 is for the float32 of pixels that are not rounded.
        np.testing.assert_allclose(expected - tolerance, low - 1e-3, atol=1e-9)
        np.testing.assert_allclose(expected + tolerance, high + 1e-3, atol=1e-9)
        expected, tolerance = case.expected(exact=True)
        assert np.array_equal(expected, roundtrip(case.image, **case.options))
        assert (tolerance < 1).all()
