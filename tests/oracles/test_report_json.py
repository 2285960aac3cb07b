"""Reports as JSON come back as they were, and nothing else is taken for one."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from oracles import Check, ErrorMap, Location, Report, verify_soft_quantizer
from oracles.mutants.quantizer import MUTANTS
from oracles.report.json import SCHEMA, write_all

WHERE = Location(
    3,
    {"z": -0.1, "q": 5e-324, "alpha": math.inf, "max_level": 7, "case": "0x1p+0", "even": True},
    got=math.nan,
    expected=-0.0,
    tolerance=1e-320,
    shrunk="z=0x1p+0 <simple>",
)
REPORT = Report(
    "odd “title” \\ with \n signs",
    (
        Check("reference", "soft", "value", math.inf, 10, 3, WHERE, "message"),
        Check("finite", "soft", "value", 0.1, 10, 0),
    ),
    (ErrorMap("value", "h", "c", (0.1, 1 / 3), (-1.0, 1.0), ((math.nan, 0.1), (math.inf, 2.5))),),
    ("a note",),
    {"window": None, "seed": 3, "ratio": 0.1, "word": "nan"},
)


def test_every_field_comes_back_exactly() -> None:
    again = Report.from_json(REPORT.to_json())
    # NaN differs from itself, so fields are compared as text; repr is exact for floats.
    assert repr(again) == repr(REPORT)
    assert again.to_json() == REPORT.to_json()


def test_a_verdict_comes_back_and_still_decides() -> None:
    report = verify_soft_quantizer(MUTANTS["dz without factor 2"].factory(5), window=5)
    again = Report.from_json(report.to_json())
    assert again == report
    assert not again.passed
    assert str(again) == str(report)


def test_random_floats_survive() -> None:
    rng = random.Random(5)
    for _ in range(200):
        x = math.ldexp(rng.uniform(-1, 1), rng.randint(-1074, 1023))
        where = Location(0, {"z": x}, x, -x, abs(x) or 1.0)
        check = Check("e", "r", "o", abs(x), 1, 0, where)
        assert Report.from_json(Report("t", (check,), settings={"x": x}).to_json()) == Report(
            "t", (check,), settings={"x": x}
        )


def test_it_is_strict_json_with_a_schema_and_hex_inputs() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    data = json.loads(REPORT.to_json(), parse_constant=refuse)
    assert data["schema"] == SCHEMA == 1
    assert data["passed"] is False
    where = data["checks"][0]["where"]
    assert where["inputs"]["z"] == {"hex": (-0.1).hex()}
    assert where["inputs"]["case"] == "0x1p+0"
    assert float.fromhex(where["expected"]) == 0.0
    assert data["maps"][0]["worst"] == [["nan", 0.1], ["inf", 2.5]]


def test_several_reports_are_an_array() -> None:
    text = write_all([REPORT, REPORT])
    assert [Report.from_json(json.dumps(item)).title for item in json.loads(text)] == [
        REPORT.title
    ] * 2
    with pytest.raises(ValueError, match="an array of 2 reports: hand over one"):
        Report.from_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is no JSON"),
        ("{", "text is no JSON"),
        ("3", "text is no report"),
        ("{}", "no report: it must be a JSON object with a 'schema'"),
        ('{"schema": 2}', "has schema 2; this version reads 1"),
        ('{"schema": 1}', "lacks 'title'"),
    ],
)
def test_bad_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Report.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("title",), 3),
        (("checks",), 3),
        (("checks", 0, "count"), "many"),
        (("checks", 0, "worst"), "big"),
        (("checks", 0, "worst"), True),
        (("checks", 0, "where", "got"), "0xzz"),
        (("checks", 0, "where", "inputs"), []),
        (("maps", 0, "worst"), [["x"]]),
        (("notes",), [1]),
    ],
)
def test_a_malformed_field_is_refused(path: tuple[str | int, ...], value: object) -> None:
    data = json.loads(REPORT.to_json())
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match="the report is malformed"):
        Report.from_json(json.dumps(data))


def test_save_chooses_by_suffix(tmp_path: Path) -> None:
    REPORT.save(tmp_path / "r.json")
    assert repr(Report.from_json((tmp_path / "r.json").read_text("utf-8"))) == repr(REPORT)
    REPORT.save(str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text("utf-8") == REPORT.to_html()
    with pytest.raises(ValueError, match=r"path must end in \.json or \.html, got '.*r\.txt'"):
        REPORT.save(tmp_path / "r.txt")
