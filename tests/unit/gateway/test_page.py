"""The operator's page and its figures: what the cache says of itself, at most once a second, and never waited for."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from gates import Gate
from shard_infos import shard_info

from raycache import CacheUnavailable
from raycache.core.futures import Done
from raycache.core.messages import Describe, Failed, HotKey
from raycache.core.stats import Stats
from raycache.edge.gateway.app import application
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.page import FRESH_S, HOTTEST, Figures, as_document, hottest
from raycache.edge.status import Look
from raycache.glance import Seen


def asked(cache, path: str, token: str | None = None) -> httpx.Response:
    """What a gateway answers."""
    transport = httpx.ASGITransport(application(cache, limits=Limits(token=token)))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get(path)

    return asyncio.run(ask())


def figures(cache) -> dict[str, Any]:
    return asked(cache, "/v1/page").json()


def a_look(**facts: Any) -> Look:
    return Look(**{"at": 0.0, "cache": "c", "shards": [shard_info()], "groups": {}, "trouble": None} | facts)


# ------------------------------------------------------------------------------------------------ the figures


def test_the_figures_are_those_of_the_cache(inline, getter):
    cache = inline(shards=3)
    users, scores = cache.group("users", getter), cache.group("scores/a", getter)
    for name in ("a", "b", "a", "a"):
        users.get(name)
    scores.get("c")
    stats = cache.stats_by_group()  # now the shards have been told of the hits here
    told = figures(cache)

    assert told["cache"] == cache.name
    assert told["groups"] == {name: json.loads(json.dumps(each.as_dict())) for name, each in stats.items()}
    assert told["total"] == cache.stats().as_dict()
    for shown, shard in zip(told["shards"], cache.shards(), strict=True):
        assert {name: shown[name] for name in ("id", "entries", "bytes", "capacity_bytes", "loads", "copies")} == {
            "id": shard.id,
            "entries": shard.entries,
            "bytes": shard.bytes,
            "capacity_bytes": shard.capacity_bytes,
            "loads": 0,
            "copies": 0,
        }
    assert told["hottest"] == [{"group": "users", "key": "'a'", "hits_per_s": 2.0}]
    assert told["age_s"] < 60
    assert (told["error"], told["trouble"]) == (None, None)


def test_keys_on_their_way_are_shown_by_group(inline, getter, gate, pool):
    cache = inline()
    getter.gates["slow"] = gate()
    waiting = pool.submit(cache.group("users", getter).get, "slow")
    getter.gates["slow"].await_arrival()
    told = figures(cache)["groups"]["users"]["loads_in_flight"]
    getter.gates["slow"].open()
    waiting.result()

    assert told == 1


@pytest.mark.parametrize(
    "key", ["\udc80", "<script>alert(1)</script>", b"\xff", ("a", 1.5, True), "\u202e😀\n"], ids=repr
)
def test_every_key_can_be_shown(inline, key):
    cache = inline()
    group = cache.group("users\udcff", lambda key: 1)
    group.get_many([key])
    group.get(key)
    cache.stats()

    assert figures(cache)["hottest"] == [{"group": "users\udcff", "key": repr(key), "hits_per_s": 1.0}]


def test_a_shard_that_does_not_answer_is_named_and_the_others_are_shown(inline, monkeypatch):
    cache = inline(shards=2)
    away, ask = cache.shards()[0].id, cache.network.ask
    with monkeypatch.context() as patched:
        patched.setattr(cache.network, "ask", lambda id, each: Done(Failed("stopped")) if id == away else ask(id, each))
        told = figures(cache)

    assert {shard["id"]: shard["reachable"] for shard in told["shards"]} == {"inline.0": False, "inline.1": True}
    assert told["groups"] is None
    assert away in told["error"]


def test_of_a_cache_that_is_closed_nothing_is_known_but_why(inline):
    cache = inline()
    cache.close()
    told = figures(cache)

    assert (told["shards"], told["groups"], told["age_s"]) == (None, None, None)
    assert "closed in this process" in told["trouble"]


def test_the_age_of_figures_is_that_of_what_was_asked():
    told = as_document(Seen(a_look(), 1000.0, "no answer within 0.5 s"), 1012.5)

    assert (told["age_s"], told["trouble"]) == (12.5, "no answer within 0.5 s")


def test_the_hits_of_a_key_add_up_over_shards():
    """Each process tells the shard of its own node."""
    shards = [shard_info(hottest=(HotKey("g", "'a'", 2.0), HotKey("g", "'b'", 3.0))) for _ in range(2)]
    shards.append(shard_info(hottest=tuple(HotKey("other", f"{number}", 0.1) for number in range(20))))
    hot = hottest(a_look(shards=shards, groups={"g": Stats()}))

    assert hot[:2] == [{"group": "g", "key": key, "hits_per_s": rate} for key, rate in (("'b'", 6.0), ("'a'", 4.0))]
    assert len(hot) == HOTTEST


# -------------------------------------------------------------------------------------------------- looking


class Question:
    """Counts the looks; the gate, if there is one, holds them."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate, self.asked = gate, 0

    def __call__(self) -> Look:
        self.asked += 1
        if self.gate is not None:
            self.gate.passing()
        return a_look(at=self.asked)


def test_many_pages_share_one_look_a_second(clock):
    question = Question()
    figures = Figures(question, clock)

    async def look_at_once() -> list[float]:
        return [seen.value.at for seen in await asyncio.gather(*(figures.look() for _ in range(20)))]

    async def look_twice() -> list[list[float]]:
        first = await look_at_once()
        clock.advance(FRESH_S / 2)
        again = await look_at_once()
        clock.advance(FRESH_S)
        return [first, again, await look_at_once()]

    assert asyncio.run(look_twice()) == [[1] * 20, [1] * 20, [2] * 20]
    assert question.asked == 2


def test_the_event_loop_goes_on_while_the_cluster_is_silent(gate):
    """And nobody waits for that cluster longer than half a second, nor asks it twice at a time."""
    question = Question(gate())

    async def look() -> tuple[int, str, str]:
        figures, turns = Figures(question), 0
        looking = asyncio.ensure_future(figures.look())
        while not looking.done():
            turns += 1
            await asyncio.sleep(0.01)
        return turns, looking.result().trouble, (await figures.look()).trouble

    turns, *troubles = asyncio.run(look())

    assert turns > 5
    assert troubles == ["no answer within 0.5 s"] * 2
    assert question.asked == 1


def test_who_goes_away_takes_the_look_from_nobody_else(gate):
    question = Question(held := gate())

    async def look() -> float:
        figures = Figures(question)
        gone, staying = asyncio.ensure_future(figures.look()), asyncio.ensure_future(figures.look())
        await asyncio.to_thread(held.await_arrival)
        gone.cancel()
        held.open()
        return (await staying).value.at

    assert asyncio.run(look()) == 1


def test_a_look_that_fails_says_why(clock):
    def fail() -> Look:
        raise CacheUnavailable("the directory does not answer")

    assert asyncio.run(Figures(fail, clock).look()).trouble == "the directory does not answer"


# --------------------------------------------------------------------------------------------------- the page


def test_the_page_is_one_document_that_needs_nothing_else(inline):
    page = asked(inline(), "/")
    addresses = re.findall(r"""(?:src|href|action)=["']?([^"' >]*)|url\(([^)]*)\)|@import|//[\w.]+\.\w""", page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert addresses == [("data:,", "")]
    assert page.text.count("<script") == page.text.count("<style") == 1


def test_browsers_are_told_to_run_nothing_but_what_is_in_the_page(inline):
    page = asked(inline(), "/")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", policy[kind]) for kind in ("script-src", "style-src"))
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_page_needs_no_token_and_its_figures_do(inline):
    cache = inline()

    assert [asked(cache, path, token="secret").status_code for path in ("/", "/v1/page")] == [200, 401]


def test_nobody_keeps_the_figures(inline):
    assert asked(inline(), "/v1/page").headers["cache-control"] == "no-store"


def test_every_question_to_a_shard_is_one_that_it_answers_anyhow(inline, monkeypatch):
    """Whoever looks at the page changes nothing: shards are asked for counts, and told what was counted here."""
    cache = inline()
    kinds, ask = set(), cache.network.ask
    monkeypatch.setattr(
        cache.network, "ask", lambda shard, message: kinds.add(type(message).__name__) or ask(shard, message)
    )
    figures(cache)

    assert kinds <= {Describe.__name__, "Count", "Report"}
