"""What users see of caches, groups and memoized functions: reports, panels and one-line representations."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest
from gates import Gate

import raycache
from raycache.core.stats import Stats
from raycache.glance import Glance, Seen
from raycache.memo.panel import memoized_panel
from raycache.report import Report


def report(**groups: Stats) -> Report:
    return Report("c", Seen({name.replace("__", ":"): stats for name, stats in groups.items()}, 1e9))


def shown(thing: object) -> str:
    """The text in an object's HTML, which is well-formed."""
    root = ET.fromstring(thing._repr_html_())
    return "\n".join(each.text or "" for each in root.iter() if each.tag != "style")


ROWS = report(
    users=Stats(near_hits=3, loads_started=1, seconds_saved=1.5, load_seconds=0.5, bytes_saved=30, entries=1, bytes=10),
    memo__app__embed=Stats(page_hits=1, seconds_saved=188.0, bytes_saved=1258291),
    idle=Stats(),
)


def test_rows_are_sorted_by_the_seconds_that_they_saved():
    assert [row.name for row in ROWS] == ["app:embed", "users", "idle"]


def test_functions_and_groups_are_told_apart():
    assert [row.shown for row in ROWS] == ["app:embed()", "users", "idle"]
    assert list(ROWS.as_dict()["functions"]) == ["app:embed"]
    assert sorted(ROWS.as_dict()["groups"]) == ["idle", "users"]


def test_programs_get_all_figures():
    assert ROWS.as_dict()["groups"]["users"] == {
        "hits": 3,
        "misses": 1,
        "hit_ratio": 0.75,
        "seconds_saved": 1.5,
        "seconds_computing": 0.5,
        "bytes_saved": 30,
        "entries": 1,
        "bytes": 10,
    }
    assert ROWS.as_dict()["total"]["seconds_saved"] == ROWS.total.seconds_saved == 189.5
    assert json.loads(json.dumps(ROWS.as_dict())) == ROWS.as_dict()


def test_a_report_is_read_as_a_table_with_its_total():
    lines = repr(ROWS).splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]

    assert lines[0] == "what the cache 'c' has saved"
    assert ["saved", "3 min 10 s of computing, 1.2 MiB of results"] in cells
    assert ["app:embed()", "1", "0", "100.0%", "3 min 8 s", "0 ms", "1.2 MiB", "0", "0 B"] in cells
    assert ["users", "3", "1", "75.0%", "1.50 s", "500 ms", "30 B", "1", "10 B"] in cells
    assert ["idle", "0", "0", "-", "0 ms", "0 ms", "0 B", "0", "0 B"] in cells
    assert ["all", "4", "1", "80.0%", "3 min 10 s", "500 ms", "1.2 MiB", "1", "10 B"] in cells
    assert lines[-1].startswith("  as of ")
    assert max(map(len, lines)) <= 100


def test_html_has_what_the_text_has():
    words = set(re.split(r"\s+", repr(ROWS))) - {""}

    assert {word for word in words if not set(word) <= set("-")} <= set(re.split(r"\s+", shown(ROWS)))


def test_a_cache_without_groups_has_a_report(inline):
    found = inline().report()

    assert (len(found), list(found), found.total) == (0, [], Stats())
    assert "it has no groups and no memoized functions yet" in repr(found)
    assert "it has no groups and no memoized functions yet" in shown(found)


def test_the_report_of_a_cache_counts_what_happened(inline):
    cache = inline()
    users = cache.group("users", str.upper)
    for _ in range(3):
        users.get("alice")
    (row,) = cache.report()

    assert (row.name, row.memoized, row.stats.hits, row.stats.gets) == ("users", False, 2, 3)
    assert row.stats == users.stats()


def test_the_report_of_a_cache_counts_memoized_functions(inline):
    cache = inline()

    @raycache.memoize(cache=cache, name="app.double")
    def double(number):
        return 2 * number

    assert double(2) == double(2) == 4
    figures = cache.report().as_dict()["functions"]["app.double"]

    assert (figures["hits"], figures["misses"], figures["entries"]) == (1, 1, 1)
    assert figures["seconds_computing"] > 0
    assert figures["seconds_saved"] > 0
    assert figures["bytes_saved"] > 0


def test_a_report_that_nothing_has_come_for_says_so():
    silent = Report("c", Seen(trouble="no answer within 0.5 s"))

    assert "nothing has come from the cache yet: no answer within 0.5 s" in repr(silent)
    assert "nothing has come from the cache yet: no answer within 0.5 s" in shown(silent)
    assert "as of" not in repr(silent)
    assert silent.as_dict() == {
        "cache": "c",
        "as_of": None,
        "functions": {},
        "groups": {},
        "total": report().as_dict()["total"],
    }


@pytest.fixture
def hanging(inline, monkeypatch):
    """A cache that answers one question about its counters, and none after it."""
    cache, gate = inline(), Gate()
    answers = iter([{"users": Stats(near_hits=1)}])
    glance = Glance(lambda: next(answers, None) or gate.passing(), patience_s=0.2)
    glance.look()
    monkeypatch.setattr(cache, "_glance", glance)
    yield cache
    gate.open()


def test_what_came_last_is_shown_when_the_cluster_is_silent(hanging):
    found = hanging.report()

    assert [row.name for row in found] == ["users"]
    assert "what is shown came earlier: no answer within 0.2 s" in repr(found)
    assert "what is shown came earlier: no answer within 0.2 s" in shown(hanging)


def test_a_closed_cache_has_no_report_and_is_shown_as_closed(inline):
    cache = inline()
    cache.close()

    assert "closed in this process" in shown(cache)
    with pytest.raises(raycache.CacheUnavailable, match="is closed in this process"):
        cache.report()


def test_a_cache_is_one_line_of_text_and_a_table_in_a_notebook(inline):
    cache = inline(shards=2)
    cache.group("users", str.upper).get("alice")

    assert "\n" not in repr(cache)
    assert "cache 'default' inline" in shown(cache)
    assert "users" in shown(cache).split("\n")
    assert "as of" in shown(cache)


def test_a_group_is_one_line_of_text_and_a_panel_in_a_notebook(inline):
    users = inline().group("users", str.upper, ttl="1h30m")
    users.get("alice")
    users.get("alice")

    assert "\n" not in repr(users)
    assert "group 'users'" in shown(users)
    assert "1 of 2 gets (50.0%)" in shown(users)
    assert "1 h 30 min" in shown(users)
    assert "as of" in shown(users)


def test_a_group_of_a_closed_cache_says_so(inline):
    cache = inline()
    users = cache.group("users", str.upper)
    cache.close()

    assert "nothing has come from the cache yet: " in shown(users)
    assert "is closed in this process" in shown(users)


@pytest.mark.parametrize("name", ["<b>bold</b>", "<script>alert(1)</script>", "a & b", '"', "\x1b[2J", "\u202eevil"])
def test_names_of_groups_are_text_and_nothing_else(inline, name):
    cache = inline()
    group = cache.group(name, str.upper)

    for thing in (cache, group, cache.report()):
        root = ET.fromstring(thing._repr_html_())
        assert {each.tag for each in root.iter()} <= {"div", "style", "table", "thead", "tbody", "tr", "th", "td"}
    assert "\x1b" not in repr(cache.report())


def test_a_memoized_function_that_was_not_called_connects_to_nothing():
    @raycache.memoize(name="app.embed", ttl="1d", ignore=["verbose"], cache="no such cache")
    def embed(text, verbose=False):
        return text

    text = memoized_panel(embed._memo.identity, embed._memo._binding).text()

    assert text.splitlines()[0] == "memoized app.embed(text, verbose=False)"
    assert "not connected: that happens with the next call" in text
    assert re.search(r"ttl +1 d", text)
    assert re.search(r"ignored +verbose", text)


def test_a_memoized_function_shows_what_it_saved(inline):
    @raycache.memoize(name="app.embed", cache=inline(), batch="texts", capacity="1 MiB")
    def embed(texts):
        return [text.upper() for text in texts]

    embed(["a", "b"])
    embed(["a", "b", "c"])
    text = memoized_panel(embed._memo.identity, embed._memo._binding).text()

    assert "2 of 5 gets (40.0%)" in text
    assert "each item of 'texts' by itself, 256 in a call" in text
    assert "1.0 MiB per shard" in text
    assert "as of" in text
