"""Panels: aligned text, and the same content as HTML that nothing in it can break out of."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.panel import WIDTH, Panel, Table, printable

TEXT = st.text(st.characters())  # with controls, lone surrogates, and what stands on its head
LINES = st.lists(TEXT, max_size=3).map(tuple)
TABLES = st.integers(1, 4).flatmap(
    lambda columns: st.builds(
        Table,
        st.tuples(*[TEXT] * columns),
        st.lists(st.tuples(*[TEXT] * columns), max_size=3).map(tuple),
        st.frozensets(st.integers(0, columns - 1)),
    )
)
PANELS = st.builds(Panel, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple), LINES, TABLES | st.none(), TEXT)
HOSTILE = ["<script>alert(1)</script>", "</style><b>", "]]>", "\"'&amp;", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\x00"]


def content(html: str) -> ET.Element:
    return ET.fromstring(html)


def texts(html: str) -> list[str]:
    """What is shown, without the style."""
    return [each.text or "" for each in content(html).iter() if each.tag != "style" and len(each) == 0]


def test_facts_stand_one_below_the_other():
    panel = Panel("hit: f(1)", (("found", "near"), ("took", "3.40 s")), ("a line",), as_of="12:03:05")

    assert panel.text() == "hit: f(1)\n  found  near\n  took   3.40 s\n  a line\n  as of 12:03:05"


def test_numbers_in_a_table_end_at_one_place():
    table = Table(("name", "hits"), (("a", "1,790"), ("日本", "2")), frozenset({1}))

    assert Panel("t", table=table).text().splitlines() == [
        "t",
        "  name   hits",
        "  ----  -----",
        "  a     1,790",
        "  日本      2",
    ]


def test_a_name_that_is_too_long_loses_its_middle():
    table = Table(("name", "hits"), (("start." + "x" * 200 + ".end", "1,790"),), frozenset({1}))
    row = Panel("t", table=table).text().splitlines()[-1]

    assert len(row) == WIDTH
    assert re.fullmatch(r"  start\.x+…x+\.end  1,790", row)


def test_a_long_fact_goes_on_below_itself():
    lines = Panel("t", (("name", "word " * 40),)).text().splitlines()

    assert len(lines) == 4
    assert all(line.startswith("        word") for line in lines[2:])
    assert all(len(line) <= WIDTH for line in lines)


def test_lines_keep_their_indentation():
    assert Panel("t", lines=("changed:", "  helper `a`")).text().splitlines() == ["t", "  changed:", "    helper `a`"]


@given(panel=PANELS)
def test_html_is_well_formed_whatever_it_shows(panel):
    root = content(panel.html())

    assert root.attrib == {"class": "raycache-panel"}
    assert {each.tag for each in root.iter()} <= {"div", "style", "table", "thead", "tbody", "tr", "th", "td"}
    assert {name for each in root.iter() for name in each.attrib} <= {"class"}


@given(panel=PANELS)
def test_text_holds_nothing_that_steers_a_terminal(panel):
    assert all(line.isprintable() for line in panel.text().split("\n"))


@given(panel=PANELS)
def test_html_says_all_that_was_given(panel):
    shown = texts(panel.html())
    given = [panel.title, *panel.lines, *(each for fact in panel.facts for each in fact)]
    if panel.table is not None:
        given += [*panel.table.columns, *(cell for row in panel.table.rows for cell in row)]

    assert set(map(printable, given)) <= set(shown)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_shown_cannot_leave_its_place(hostile):
    panel = Panel(hostile, ((hostile, hostile),), (hostile,), Table((hostile,), ((hostile,),)), hostile)
    seen: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: seen.append(tag)
    parser.feed(panel.html())

    assert set(seen) <= {"div", "style", "table", "thead", "tbody", "tr", "th", "td"}
    assert texts(panel.html()).count(printable(hostile)) == 6
    assert printable(hostile) in panel.text()


def test_html_is_static_and_needs_nothing_from_elsewhere():
    html = Panel("t", (("a", "b"),), ("c",), Table(("d",), (("e",),)), "now").html()

    assert re.search(r"<script|javascript:|\bon\w+=|https?:|url\(|@import|<img|<link|<iframe", html) is None


def test_both_themes_set_text_and_ground_together():
    style = content(Panel("t").html()).find("style").text
    rules = re.findall(r"--rc-text:[^}]*", style)

    assert len(rules) == 6  # by default, by the system, and where a page or VS Code says light or dark
    assert all("--rc-ground:" in rule for rule in rules)
    assert "prefers-color-scheme:dark" in style
    assert "var(--jp-layout-color1," in style
    assert ".vscode-dark .raycache-panel" in style
    assert '[data-jp-theme-light="false"] .raycache-panel' in style


def test_the_style_reaches_nothing_outside_the_panel():
    style = re.sub(r"@media \([^)]*\)\{(.*?\})\}", r"\1", content(Panel("t").html()).find("style").text)
    selectors = [each.strip() for rule in re.findall(r"([^{}]+)\{", style) for each in rule.split(",")]

    assert all(".raycache-panel" in each for each in selectors)


def test_a_row_with_another_number_of_cells_is_refused():
    with pytest.raises(ValueError, match="a row has 1 cells, and the table 2 columns"):
        Table(("a", "b"), (("1",),))
