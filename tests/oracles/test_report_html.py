"""The page: complete, escaped, and without anything from outside."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from oracles import Check, ErrorMap, Location, Report, verify_soft_quantizer
from oracles.mutants.quantizer import MUTANTS
from oracles.report.html import write_page
from oracles.report.model import short_hex
from oracles.report.svg import LEGEND, heat_map

HOSTILE = "</style><script>alert('x')</script>\"&<b onload=x>"
VOID = {"meta", "br", "rect", "line", "link", "img"}


class Page(HTMLParser):
    """Tags, text and whether what is opened is closed."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or (tag == "rect" and "/>" not in (self.get_starttag_text() or "")):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def failing() -> Report:
    return verify_soft_quantizer(MUTANTS["dz without factor 2"].factory(5), window=5)


def test_the_page_has_the_verdict_the_failures_and_a_map_per_output(failing: Report) -> None:
    page = Page(failing.to_html())
    assert page.open == []
    text = "".join(page.text)
    assert "FAILED" in text
    assert failing.title in text
    maps = [a["aria-label"] for tag, a in page.tags if tag == "svg" and a.get("class") == "map"]
    assert maps == [f"error of {m.output}" for m in failing.maps]
    for check in failing.worst_failures:
        assert check.where is not None
        assert repr(check.where.got) in text
        assert f"z={short_hex(float(check.where.inputs['z']))} " in text
        if check.evidence == "reference":
            assert check.where.shrunk
            assert check.where.shrunk in text
    assert failing.replay() in text
    for evidence in failing.evidence():
        assert evidence in text
    cells = sum(len(row) for m in failing.maps for row in m.worst)
    assert page.count("title") == cells + 1  # each cell, and the page


def test_nothing_comes_from_outside(failing: Report) -> None:
    source = failing.to_html()
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img|srcset", source)
    page = Page(source)
    for _, attributes in page.tags:
        assert not {"src", "onload", "onclick"} & set(attributes)
    assert "prefers-color-scheme:dark" in source


def test_text_is_escaped_wherever_it_stands() -> None:
    where = Location(0, {HOSTILE: HOSTILE}, 1.0, 2.0, 0.5, shrunk=HOSTILE)
    check = Check(HOSTILE, HOSTILE, HOSTILE, 2.0, 1, 1, where, HOSTILE)
    settings = {"contract": "quantizer", "target": HOSTILE, "seed": 0, "budget": HOSTILE}
    error_map = ErrorMap(HOSTILE, HOSTILE, HOSTILE, (1.0,), (1.0,), ((2.0,),))
    report = Report(HOSTILE, (check,), (error_map,), (HOSTILE,), settings)
    for source in (report.to_html(), write_page([report, report])):
        assert "<script" not in source
        assert "<b " not in source
        page = Page(source)
        assert page.open == []
        assert {tag for tag, _ in page.tags}.isdisjoint({"script", "b"})
        assert "".join(page.text).count(HOSTILE) >= 10
        for _, attributes in page.tags:
            assert "onload" not in attributes


def test_several_reports_share_a_page(failing: Report) -> None:
    good = Report("all is well", (Check("finite", "soft", "value", 0.0, 1, 0),))
    page = Page(write_page([good, failing]))
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == ["#report-1", "#report-2"]
    assert [a["id"] for tag, a in page.tags if tag == "section"] == ["report-1", "report-2"]
    assert "".join(page.text).lstrip().startswith("FAILED: 2 reports")


def test_colours_change_at_the_limit_and_rows_go_upwards() -> None:
    worst = ((0.999, 1.001, math.inf), (0.0, math.nan, 50.0))
    svg = heat_map(ErrorMap("value", "h", "c", (0.01, 1.0, 100.0), (-1.0, 1.0), worst))
    cells = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)"[^>]*><title>([^<]*)', svg)
    classes = [name for name, *_ in cells]
    assert classes == ["c3", "c4", "c7", "c0", "none", "c5"]
    assert dict(LEGEND)["c4"] == "> 1"
    assert float(cells[0][2]) > float(cells[3][2])  # the lower coordinate is drawn lower
    assert cells[0][3] == "h = 0.01, c = -1: 0.999 x tolerance"
    assert cells[4][3] == "h = 1, c = 1: not tried"
    ticks = re.findall(r'<text class="tick[^>]*>([^<]+)', svg)
    assert ticks[:5] == ["10⁻²", "10⁻¹", "1", "10¹", "10²"]
    assert "−1" in ticks


def test_rows_of_a_table_go_downwards() -> None:
    svg = heat_map(ErrorMap("grad_q", "v", "u", (0.0, 1.0), (0.0, 1.0), ((0.0, 0.0), (2.0, 2.0))))
    tops = [float(y) for y in re.findall(r'<rect class="c\d" x="[\d.]+" y="([\d.]+)"', svg)]
    assert tops[0] == tops[1] < tops[2] == tops[3]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((), ()),
        ((2.0,), (3.0,)),
        ((0.0, 1.0), (-1e-9, 1e9)),
        ((1.0, 1.0), (0.0, 7.0)),
        (tuple(map(float, range(8))), (0.0, 0.5, 200.0)),
    ],
)
def test_small_and_degenerate_maps_are_drawn(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    worst = tuple(tuple(0.5 for _ in x) for _ in y)
    page = Page(heat_map(ErrorMap("value", "x", "y", x, y, worst)))
    assert page.open == []
    assert page.count("title") == len(x) * len(y)
