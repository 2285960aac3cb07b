"""The judge of codecs accuses no sound one, and says what is wrong with the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oracles import Report, codec_case, verify_jpeg_codec
from oracles.codec.cases import make_cases
from oracles.codec.claim import takes
from oracles.mutants.codec_sound import CODEC_SOUND, PlainCodec, real_codec
from reference import jpeg_codec
from tests.reference._codec_cases import Case, libjpeg_or_skip, pillow_file, pillow_pixels

FOUR = ("4:4:4", "4:2:2", "4:2:0", "4:4:0")
roundtrip = jpeg_codec.roundtrip


def off_at_37(image: Any, **options: Any) -> Any:
    """Right, but for two pixels at one quality."""
    coded = roundtrip(image, **options)
    if options.get("quality") == 37 and options["subsampling"] == "4:2:2":
        coded[5, 3, 1] ^= 1
        coded[9, 9, 0] += 100  # or less 156
    return coded


@pytest.mark.parametrize("name", CODEC_SOUND)
def test_a_sound_codec_is_not_accused(name: str) -> None:
    codec, exact = CODEC_SOUND[name]
    for seed in range(2):
        verify_jpeg_codec(codec, exact=exact, subsamplings=FOUR, seed=seed).raise_if_failed()
    if exact:
        # libjpeg's integers are one way to come close to real numbers.
        verify_jpeg_codec(codec, exact=False, seed=3, grey=True).raise_if_failed()
        verify_jpeg_codec(codec, grey=True, subsamplings="4:2:0", multiple=16).raise_if_failed()


def test_pillow_is_not_accused(request: pytest.FixtureRequest) -> None:
    libjpeg_or_skip(request)

    def pillow(image: Any, *, quality: Any = None, qtables: Any = None, subsampling: str) -> Any:
        return pillow_pixels(pillow_file(Case(image, quality, qtables, subsampling)))

    def encode(image: Any, *, quality: Any = None, qtables: Any = None, subsampling: str) -> bytes:
        return pillow_file(Case(image, quality, qtables, subsampling))

    # Poisoned memory is what takes time here: libjpeg asks for much of it.
    report = verify_jpeg_codec(pillow, grey=True, encode=encode, qualities=(1, 37, 75, 100))
    report.raise_if_failed()
    assert {"file bytes", "grey"} <= set(report.evidence())
    options: dict[str, Any] = {"qualities": (5, 50, 95), "subsamplings": "4:2:0"}
    verify_jpeg_codec(pillow, exact=False, **options).raise_if_failed()


def test_what_a_function_cannot_be_asked_is_not_asked() -> None:
    def by_quality(image: Any, quality: int) -> Any:
        return roundtrip(image, quality=quality)

    report = verify_jpeg_codec(by_quality)
    assert report.passed
    assert report.settings["qtables"] is False
    assert report.settings["subsamplings"] == "4:2:0"
    assert len(report.notes) == 2
    assert not {"tables"} & set(report.evidence())
    # The one sampling that it has is another.
    assert not verify_jpeg_codec(by_quality, subsamplings="4:4:4", qualities=(20, 50)).passed
    with pytest.raises(ValueError, match="fn takes no subsampling, so subsamplings must name the"):
        verify_jpeg_codec(by_quality, subsamplings="4:4:4,4:2:0")
    # Claimed but not there: a verdict.
    report = verify_jpeg_codec(by_quality, qtables=True, qualities=(50,))
    assert report.evidence(failed=True) == ("contract",)


def test_keywords_of_a_torch_function_are_seen_through_the_adapter() -> None:
    from oracles import torch_jpeg_codec

    def by_quality(images: Any, quality: int) -> Any:
        return images + 0

    fn = torch_jpeg_codec(by_quality)
    assert takes(fn, "quality")
    assert not takes(fn, "qtables")
    assert not takes(fn, "subsampling")
    assert takes(lambda image, **options: image, "qtables")
    assert takes(print, "sep")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reference", "float64"])
def test_a_larger_budget_passes_too(name: str) -> None:
    codec, exact = CODEC_SOUND[name]
    verify_jpeg_codec(codec, exact=exact, seed=10, budget="full").raise_if_failed()


def test_all_kinds_of_evidence_are_there() -> None:
    """Those that docs/oracles.md names; one that is left out rejects nothing, and is not missed."""
    encode, file_size = jpeg_codec.encode, jpeg_codec.file_size
    report = verify_jpeg_codec(roundtrip, grey=True, encode=encode, file_size=file_size)
    wanted = {
        *("contract", "qualities", "reference", "sizes", "extremes", "tables", "table entries"),
        *("distortion", "greyness", "flatness", "range", "translation", "neighbours"),
        *("determinism", "strided", "grey", "file pixels", "file bytes", "file size"),
    }
    assert set(report.evidence()) == wanted
    counts = dict.fromkeys(wanted, 0)
    for check in report.checks:
        counts[check.evidence] += check.count
    assert min(counts.values()) > 20
    assert counts["table entries"] > 300  # of 2 x 3 x 64, those off the ties


def test_real_arithmetic_is_not_taken_for_libjpeg() -> None:
    def rounded(image: Any, **options: Any) -> Any:
        return np.round(real_codec(image, **options))

    found = verify_jpeg_codec(rounded).evidence(failed=True)
    assert {"qualities", "reference", "sizes", "extremes", "tables"} <= set(found)
    report = verify_jpeg_codec(real_codec)
    assert report.evidence(failed=True) == ("contract",)  # fractions


def test_a_finding_names_quality_sampling_and_the_first_wrong_pixel() -> None:
    report = verify_jpeg_codec(off_at_37, seed=4)
    assert report.evidence(failed=True) == ("qualities",)
    (check,) = report.failures
    assert check.failed == 2
    assert check.where is not None
    inputs = check.where.inputs
    image, options = codec_case(int(inputs["case"]), seed=4)
    assert options == {"quality": 37, "subsampling": "4:2:2"}
    assert (inputs["quality"], inputs["subsampling"]) == (37, "4:2:2")
    assert inputs["image"] == f"crafted {image.shape[0]}x{image.shape[1]}"
    assert inputs["pixel"] == "(9, 9, 0)"  # the worst
    assert str(inputs["first"]).startswith("(5, 3, 1) got")
    assert inputs["wrong"] == f"2 of {image.size}"
    right = float(roundtrip(image, **options)[9, 9, 0])
    assert check.where.expected == right
    assert check.where.got == off_at_37(image, **options)[9, 9, 0] != right
    text = str(report)
    for words in ("FAIL qualities", "quality=37", "subsampling=4:2:2", "pixel=(9, 9, 0)"):
        assert words in text
    assert Report.from_json(report.to_json()) == report
    assert "qualities" in report.to_html()


def test_a_verdict_tells_how_to_ask_for_it_again() -> None:
    claim: dict[str, Any] = {
        "exact": True,
        "qualities": (10, 35, 36, 37, 38, 99),
        "subsamplings": ("4:4:0", "4:2:2"),
        "qtables": False,
        "multiple": 8,
    }
    report = verify_jpeg_codec(off_at_37, seed=2, **claim)
    assert not report.passed
    line = report.replay()
    assert line.startswith("oracles.verify_jpeg_codec(fn, ")
    assert "qualities='10,35-38,99'" in line
    again = eval(line, {"oracles": __import__("oracles"), "fn": off_at_37})
    assert again == report


def test_only_what_is_offered_is_asked_for_and_all_of_it() -> None:
    asked: list[tuple[Any, ...]] = []

    def fn(image: Any, **options: Any) -> Any:
        asked.append((image.shape, options.get("quality"), options["subsampling"]))
        assert "qtables" not in options
        return roundtrip(image, **options)

    report = verify_jpeg_codec(
        fn, qualities=range(20, 91), subsamplings=["4:2:2"], qtables=False, multiple=16
    )
    report.raise_if_failed()
    assert {quality for _, quality, _ in asked} == set(range(20, 91))
    assert {subsampling for _, _, subsampling in asked} == {"4:2:2"}
    assert all(side % 16 == 0 for shape, _, _ in asked for side in shape[:2])
    assert all(len(shape) == 3 for shape, _, _ in asked)
    verify_jpeg_codec(roundtrip, qualities=()).raise_if_failed()

    asked.clear()

    def tables_too(image: Any, **options: Any) -> Any:
        asked.append((image.ndim, options.get("quality"), options["subsampling"]))
        return roundtrip(image, **options)

    verify_jpeg_codec(tables_too, grey=True).raise_if_failed()
    assert {quality for _, quality, _ in asked} == {None, *range(1, 101)}
    assert {ndim for ndim, _, _ in asked} == {2, 3}
    assert {subsampling for _, _, subsampling in asked} == set(FOUR[:3])


def test_one_seed_gives_one_set_of_images() -> None:
    for number in (0, 36, 150, 240):
        image, options = codec_case(number, seed=5)
        make_cases.cache_clear()
        again, same = codec_case(number, seed=5)
        assert np.array_equal(image, again)
        assert options.keys() == same.keys() <= {"quality", "qtables", "subsampling"}
    one, other = codec_case(140, seed=5)[0], codec_case(140, seed=6)[0]
    assert one.shape == other.shape
    assert (one != other).any()
    with pytest.raises(ValueError, match=r"number must lie in 0\.\."):
        codec_case(10**6)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: x[:-1], "has shape"),
        (lambda x: x.astype(np.int16), "has dtype int16; return uint8 or float"),
        (lambda x: x.astype(bool), "has dtype bool"),
        (lambda x: x + np.nan, "holds NaN or infinity"),
        (lambda x: x + 0.25, "holds fractions"),
        (lambda x: None, "has shape ()"),
        (lambda x: 1 // 0, "the function raised ZeroDivisionError"),
    ],
)
def test_a_broken_contract_is_a_verdict_that_names_the_case(result: Any, message: str) -> None:
    def fn(image: Any, **options: Any) -> Any:
        coded = roundtrip(image, **options)
        return result(coded) if options.get("quality") == 50 else coded

    report = verify_jpeg_codec(fn, qualities=(49, 50))
    assert report.evidence(failed=True) == ("contract",)
    text = str(report)
    assert message in text
    assert "quality 50, 4:" in text
    assert "case " in text


def test_tables_and_images_must_be_left_alone() -> None:
    def writes_image(image: Any, **options: Any) -> Any:
        image[0] = 0
        return roundtrip(image, **options)

    def writes_tables(image: Any, **options: Any) -> Any:
        coded = roundtrip(image, **options)
        if "qtables" in options:
            options["qtables"][0, 0, 0] += 1
        return coded

    for fn in (writes_image, writes_tables):
        report = verify_jpeg_codec(fn, qualities=(50,))
        assert "contract" in report.evidence(failed=True)
        assert "changed its input arrays" in str(report)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"exact": 1}, TypeError, "exact must be True or False, got 1"),
        ({"grey": None}, TypeError, "grey must be"),
        ({"qualities": (0,)}, ValueError, "qualities must lie in 1..100"),
        ({"qualities": (101,)}, ValueError, "qualities must lie in 1..100"),
        ({"qualities": (50.5,)}, TypeError, "qualities must be whole numbers"),
        ({"qualities": 50}, TypeError, "qualities must be whole numbers"),
        ({"qualities": "high"}, ValueError, "qualities must read like '1-100'"),
        ({"qualities": (), "qtables": False}, ValueError, "nothing is left to judge"),
        ({"subsamplings": "4:1:1"}, ValueError, "subsamplings must be some of 4:4:4"),
        ({"subsamplings": ()}, ValueError, "subsamplings must be some of"),
        ({"multiple": 0}, ValueError, "multiple must lie in 1..64"),
        ({"multiple": 8.0}, TypeError, "multiple must be a whole number"),
        ({"encode": 3}, TypeError, "encode must be callable"),
        ({"file_size": len, "exact": False}, ValueError, "file_size is compared"),
        ({"budget": "fast"}, ValueError, "budget must be"),
        ({"seed": -1}, ValueError, "seed must be"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        verify_jpeg_codec(roundtrip, **options)


def test_a_function_is_needed() -> None:
    with pytest.raises(TypeError, match="callable"):
        verify_jpeg_codec(3)  # type: ignore[arg-type]


def test_files_are_judged_by_their_pixels_where_bytes_are_not_claimed() -> None:
    def own(image: Any, **options: Any) -> bytes:
        return jpeg_codec.encode(image, optimize=True, **options)

    def size(image: Any, **options: Any) -> int:
        return len(own(image, **options))

    report = verify_jpeg_codec(real_codec, exact=False, encode=own, file_size=size)
    report.raise_if_failed()
    assert {"file pixels", "file size"} <= set(report.evidence())
    assert "file bytes" not in report.evidence()
    report = verify_jpeg_codec(real_codec, exact=False, encode=own, file_size=lambda *a, **k: 7)
    assert report.evidence(failed=True) == ("file size",)
    for encode, message in (
        (lambda image, **options: "text", "encode returned str; return bytes"),
        (lambda image, **options: b"\xff\xd8", "the file cannot be decoded"),
        (lambda image, **options: own(image[:1], **options), "the file holds an image of"),
    ):
        report = verify_jpeg_codec(PlainCodec(), qualities=(50,), encode=encode, exact=False)
        assert report.evidence(failed=True) == ("contract",)
        assert message in str(report)


def test_a_codec_without_a_signature_is_judged() -> None:
    """Nothing but the call is asked of it."""

    class Codec:
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return roundtrip(*arguments, **options).astype(np.float32)

    verify_jpeg_codec(Codec(), qualities=(1, 100)).raise_if_failed()
