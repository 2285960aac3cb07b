"""The data of the standard against libjpeg, SciPy and exact rational arithmetic."""

from __future__ import annotations

import ast
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import fft

from reference import standard
from reference.standard import (
    CHROMINANCE_TABLE,
    DCT_MATRIX,
    LUMINANCE_TABLE,
    RGB_TO_YCBCR,
    SUBSAMPLINGS,
    YCBCR_TO_RGB,
    ZIGZAG,
    annex_k_tables,
)

KR, KB = Fraction(299, 1000), Fraction(114, 1000)
KG = 1 - KR - KB


def saved_jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", range(1, 101))
def test_annex_k_tables_are_those_libjpeg_writes(quality):
    written = Image.open(io.BytesIO(saved_jpeg(quality=quality))).quantization
    ours = annex_k_tables(quality)
    np.testing.assert_array_equal(ours[0].ravel(), written[0])
    np.testing.assert_array_equal(ours[1].ravel(), written[1])


def test_quality_50_is_annex_k_itself():
    np.testing.assert_array_equal(annex_k_tables(50), [LUMINANCE_TABLE, CHROMINANCE_TABLE])


def test_annex_k_tables_can_be_changed_by_their_owner():
    tables = annex_k_tables(50)
    tables += 1
    assert tables.dtype == np.float64
    assert annex_k_tables(50)[0, 0, 0] == 16


def test_numpy_integers_are_qualities():
    np.testing.assert_array_equal(annex_k_tables(np.int16(30)), annex_k_tables(30))


@pytest.mark.parametrize("quality", [0, -1, 101, 10**6])
def test_quality_out_of_range_is_refused(quality):
    with pytest.raises(ValueError, match=rf"quality must lie in 1\.\.100, got {quality}"):
        annex_k_tables(quality)


@pytest.mark.parametrize("quality", [75.0, "75", None, True, np.bool_(True), float("nan")])
def test_quality_that_is_no_integer_is_refused(quality):
    with pytest.raises(TypeError, match="quality must be an integer"):
        annex_k_tables(quality)


def test_zigzag_is_the_order_of_a_quantization_segment():
    # A DQT segment lists its table in zigzag order; a table that numbers its own entries
    # makes libjpeg print the order.
    jpeg = saved_jpeg(qtables=[list(range(1, 65))] * 2)
    start = jpeg.index(b"\xff\xdb") + 5  # marker, length, precision and identifier
    np.testing.assert_array_equal(ZIGZAG, np.frombuffer(jpeg[start : start + 64], np.uint8) - 1.0)


def test_dct_matrix_is_the_orthonormal_dct_ii():
    # 1e-15 is 4 eps: eight products and the rounding of the cosines.
    np.testing.assert_allclose(DCT_MATRIX @ DCT_MATRIX.T, np.eye(8), rtol=0, atol=1e-15)
    np.testing.assert_allclose(
        DCT_MATRIX, fft.dct(np.eye(8), norm="ortho", axis=0), rtol=0, atol=1e-15
    )


def test_colour_matrices_are_the_nearest_doubles_of_the_exact_rationals():
    to_ycc = [
        [KR, KG, KB],
        [-KR / (2 - 2 * KB), -KG / (2 - 2 * KB), Fraction(1, 2)],
        [Fraction(1, 2), -KG / (2 - 2 * KR), -KB / (2 - 2 * KR)],
    ]
    to_rgb = [
        [Fraction(1), Fraction(0), 2 - 2 * KR],
        [Fraction(1), -KB * (2 - 2 * KB) / KG, -KR * (2 - 2 * KR) / KG],
        [Fraction(1), 2 - 2 * KB, Fraction(0)],
    ]
    for i in range(3):
        for j in range(3):
            assert RGB_TO_YCBCR[i, j] == float(to_ycc[i][j])
            assert YCBCR_TO_RGB[i, j] == float(to_rgb[i][j])
            # and the rationals themselves are exact inverses of each other
            assert sum(to_ycc[i][k] * to_rgb[k][j] for k in range(3)) == (i == j)


def test_subsampling_factors():
    assert SUBSAMPLINGS == {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}


@pytest.mark.parametrize(
    "name",
    [
        "CHROMINANCE_TABLE",
        "DCT_MATRIX",
        "LUMINANCE_TABLE",
        "RGB_TO_YCBCR",
        "YCBCR_TO_RGB",
        "ZIGZAG",
    ],
)
def test_constants_cannot_be_changed(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(standard, name)[...] = 0


def test_numpy_is_the_only_import_beside_the_standard_library():
    tree = ast.parse(Path(standard.__file__).read_text(encoding="utf-8"))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules <= {"__future__", "numpy", "operator", "typing"}
