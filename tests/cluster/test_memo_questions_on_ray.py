"""What `explain`, `cache_info` and `report` say is true of all processes; and a cache that ends under a function."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from memos import MODES, fetching
from peers import Peers, result
from sources import Source
from waiting import until

import raycache


@pytest.fixture
def fetch(source: Source, cache: raycache.Cache) -> Any:
    """A function with figures of its own."""
    return fetching(source, cache.name, name=f"fetch-{uuid.uuid4().hex[:8]}")


def test_explain_names_where_a_hit_lies(fetch: Any, peers: Peers) -> None:
    """In this process once it was had here; in another process, in shared memory of the node."""
    before = fetch.explain("alice")
    fetch("alice")
    here, there = fetch.explain("alice"), peers(1)[0].do(fetch.explain, "alice")

    assert (before.hit, before.tier) == (False, "")
    assert (here.hit, here.tier, there.hit, there.tier) == (True, "near", True, "pages")
    assert there.cost_s > 0
    assert there.age_s >= 0
    assert there.key == fetch.key("alice")


@pytest.mark.parametrize("where", MODES)
def test_explain_says_that_another_process_is_computing(
    where: str, source: Source, cache: raycache.Cache, peers: Peers
) -> None:
    """While it does, it is no hit."""
    fetch = fetching(source, cache.name, where=where)
    source.will("wait", "alice")
    call = peers(1)[0].start(fetch, "alice")
    source.await_run("alice")
    meanwhile = fetch.explain("alice")
    source.behave("alice")
    result(call)

    assert (meanwhile.hit, meanwhile.computing) == (False, True)
    assert fetch.explain("alice").hit


def test_explain_says_what_differs_from_what_another_process_has_computed(
    source: Source, cache: raycache.Cache, peers: Peers
) -> None:
    """Of the arguments, and of the code."""
    limit = 1
    name = f"work-{uuid.uuid4().hex[:8]}"

    @raycache.memoize(cache=cache.name, name=name)
    def work(text: str, model: str = "small") -> str:
        return text * limit

    peers(1)[0].do(work, "text")
    arguments = repr(work.explain("text", model="large"))
    limit = 2
    code = repr(work.explain("text"))

    assert "argument `model`: 'small' -> 'large'" in arguments
    assert "`limit` 1 -> 2" in code


def test_explain_says_that_a_result_was_removed_by_another_process(fetch: Any, peers: Peers) -> None:
    """And that it is computed again by the next call."""
    fetch("alice")
    removed = peers(1)[0].do(fetch.forget, "alice")
    explanation = fetch.explain("alice")

    assert removed
    assert not explanation.hit
    assert "removed" in repr(explanation)


def test_cache_info_adds_up_over_processes(fetch: Any, peers: Peers, source: Source) -> None:
    """Misses of one, hits of the others; and the seconds that those saved."""
    for peer in peers(2):
        for key in ("alice", "bob", "alice"):
            peer.do(fetch, key)
    fetch("alice")

    def told() -> bool:  # the others tell what they did every second
        info = fetch.cache_info()
        return bool(info.hits + info.misses == 7)

    until(told, lambda: f"seven calls are counted, but so far {fetch.cache_info()}")
    info = fetch.cache_info()

    assert (info.hits, info.misses, info.maxsize, info.currsize) == (5, 2, None, 2)
    assert info.seconds_saved > 0
    assert source.runs == {"'alice'": 1, "'bob'": 1}


def test_cache_clear_empties_the_function_for_all_processes(fetch: Any, peers: Peers, source: Source) -> None:
    """No process goes on with a value that it keeps for itself."""
    values = [peers(1)[0].do(fetch, "alice"), fetch("alice")]
    peers(1)[0].do(fetch.cache_clear)
    values += [fetch("alice"), peers(1)[0].do(fetch, "alice")]

    assert values == [Source.value("alice")] * 4
    assert source.runs == {"'alice'": 2}


def test_refresh_and_forget_reach_what_other_processes_keep(fetch: Any, peers: Peers, source: Source) -> None:
    """After either has returned, nobody gets the old value."""
    (peer,) = peers(1)
    old = [fetch("alice"), peer.do(fetch, "alice")]
    source.version = "1"
    new = [peer.do(fetch.refresh, "alice"), fetch("alice")]
    source.version = "2"
    fetch.forget("alice")
    newest = [peer.do(fetch, "alice"), fetch("alice")]

    assert [*old, *new, *newest] == [Source.value("alice", version) for version in "001122"]


def test_the_report_has_what_a_function_did_in_other_processes(fetch: Any, peers: Peers, cache: raycache.Cache) -> None:
    """Under its name, with the seconds that it saved."""
    for _ in range(3):
        peers(1)[0].do(fetch, "alice")
    name = fetch._memo.identity.name

    def row() -> Any:
        rows = [row for row in cache.report() if name in row.name]
        return rows and rows[0].stats.hits == 2 and rows[0]

    found = until(row, "the report has two hits of the function")

    assert found.memoized
    assert found.stats.gets == 3
    assert found.stats.seconds_saved > 0
    assert name in repr(cache.report())


@pytest.mark.parametrize("where", MODES)
def test_a_function_whose_cache_was_destroyed_connects_anew(
    where: str, make_cache: Callable[..., raycache.Cache], source: Source, peers: Peers
) -> None:
    """By its name, to a new one; nothing of the old is found there, and a process that still has it finds the new."""
    cache = make_cache()
    fetch = fetching(source, cache.name, where=where)
    (peer,) = peers(1)
    before = [fetch("alice"), peer.do(fetch, "alice")]
    cache.destroy()
    source.version = "1"
    after = [fetch("alice"), fetch("alice")]
    raycache.connect(cache.name).destroy()

    assert before == [Source.value("alice")] * 2
    assert after == [Source.value("alice", "1")] * 2
    assert source.runs == {"'alice'": 2}


def test_a_function_whose_cache_was_destroyed_by_another_process_connects_anew(
    make_cache: Callable[..., raycache.Cache], source: Source, peers: Peers
) -> None:
    """As soon as this process knows."""
    cache = make_cache()
    fetch = fetching(source, cache.name)
    before = fetch("alice")
    peers(1)[0].do(destroy, cache.name)
    until(lambda: cache.closed, "this process knows that its cache was destroyed")
    source.version = "1"
    after = fetch("alice")
    raycache.connect(cache.name).destroy()

    assert (before, after) == (Source.value("alice"), Source.value("alice", "1"))


def destroy(cache: str) -> None:
    raycache.connect(cache).destroy()
