"""What is served: tiers, one load for all who ask, no threads for hits, and groups that come and change."""

from __future__ import annotations

import asyncio
import time

import pytest

from raycache.core.lookup import Lookup
from raycache.edge.gateway import served as served_module
from raycache.edge.gateway.served import Hit, Served
from raycache.errors import CacheUnavailable, GroupConflict, InvalidKey, InvalidOption, NotFound, UnknownGroup


@pytest.fixture
def served(cache, users):
    return Served(cache)


def test_every_tier_has_its_name(cache, served, users):
    async def tiers():
        first = await served.get("users", "a")
        near = await served.get("users", "a")
        users.forget()
        page = await served.get("users", "a")
        return [hit.tier for hit in (first, near, page)], first.value

    assert asyncio.run(tiers()) == (["load", "near", "page"], "value of 'a'")


def test_a_shards_hit_and_its_expiry_are_told(cache, served, users):
    """... which a lookup that does not look near gets."""
    users.set("a", "put", ttl=60)
    look = Lookup(users.reader, ("a",), local=False, traced=True)
    users.drive(look.ask())
    (origin,) = look.origins.values()

    assert origin == ("shard_hits", users.reader.clock() + 60)


def test_a_lookup_that_is_not_traced_notes_nothing(users):
    look = Lookup(users.reader, ("a",))
    users.drive(look.ask())

    assert look.origins is None


@pytest.mark.parametrize("key", ["a", b"a", 1, 1.0, True, ("a", 1)])
def test_a_get_of_one_key_tells_what_a_batch_tells(served, users, key, monkeypatch):
    """... from each tier, whatever the key's type; and the value is the caller's own."""
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    users.set(key, ["put"], ttl=60)

    async def tell():
        many = []
        for _ in range(2):
            many += (await served.get_many("users", [key])).values()
        users.forget()
        one = [await served.get("users", key) for _ in range(2)]
        one[0].value.append("changed")
        return many, one, await served.get("users", key)

    before = users.stats()
    many, one, last = asyncio.run(tell())
    stats = users.stats()

    assert many == [Hit(["put"], "page", 5060.0), last]
    assert [one[0].tier, one[1], last] == ["page", last, Hit(["put"], "near", 5060.0)]
    assert (stats.page_hits - before.page_hits, stats.near_hits - before.near_hits) == (2, 3)


def test_a_key_that_does_not_exist_is_remembered_where_one_is_asked_for(cache, served, getter):
    known = cache.group("known", getter, negative_ttl=60)
    getter.values = {"nobody": NotFound("no")}
    for forget in (False, True, False):
        if forget:
            known.forget()
        with pytest.raises(NotFound, match="no"):
            asyncio.run(served.get("known", "nobody"))

    assert (known.stats().near_hits, known.stats().page_hits, getter.calls) == (1, 1, ["nobody"])


def test_an_expiry_is_told_by_the_wall_clock(served, users, clock, monkeypatch):
    users.set("a", 1, ttl=60)
    users.set("b", 1)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    clock.advance(20)

    assert asyncio.run(served.get_many("users", ["a", "b"])) == {"a": Hit(1, "page", 5040.0), "b": Hit(1, "page", None)}


def test_gets_are_counted_once(served, users):
    async def ask():
        await served.get("users", "a")
        await served.get_many("users", ["a", "b"])

    asyncio.run(ask())
    stats = users.stats()

    assert (stats.gets, stats.near_hits, stats.loads) == (3, 1, 2)


def test_all_who_ask_for_a_cold_key_wait_for_one_load(served, getter, gate):
    getter.gates["a"] = gate()

    async def ask():
        asking = [asyncio.create_task(served.get("users", "a")) for _ in range(20)]
        await asyncio.to_thread(getter.gates["a"].await_arrival)
        getter.gates["a"].open()
        return await asyncio.gather(*asking)

    assert {hit.value for hit in asyncio.run(ask())} == {"value of 'a'"}
    assert getter.calls == ["a"]


def test_a_caller_that_goes_leaves_the_load_to_the_others(served, getter, gate):
    getter.gates["a"] = gate()

    async def ask():
        first, second = (asyncio.create_task(served.get("users", "a")) for _ in range(2))
        await asyncio.to_thread(getter.gates["a"].await_arrival)
        first.cancel()
        getter.gates["a"].open()
        return (await second).value

    assert asyncio.run(ask()) == "value of 'a'"


def test_hits_take_no_thread(served, users, monkeypatch):
    async def ask():
        await served.get("users", "a")
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", None)
        near = await served.get("users", "a")
        users.forget()
        return near.tier, (await served.get("users", "a")).tier

    assert asyncio.run(ask()) == ("near", "page")


def test_what_does_not_exist_says_why(served, getter):
    getter.values["a"] = NotFound("nobody of that name")

    with pytest.raises(NotFound, match="nobody of that name"):
        asyncio.run(served.get("users", "a"))
    got = asyncio.run(served.get_many("users", ["b", "a"]))
    assert list(got) == ["b", "a"]
    assert str(got["a"]) == "nobody of that name"


def test_keys_that_are_equal_to_python_are_refused(served):
    with pytest.raises(InvalidKey, match="cannot be told apart"):
        asyncio.run(served.get_many("users", [1, True]))


def test_a_group_is_found_when_it_is_there(cache, served):
    async def ask():
        with pytest.raises(UnknownGroup):
            await served.get("later", "a")
        cache.group("later", str.upper)
        return (await served.get("later", "a")).value

    assert asyncio.run(ask()) == "A"
    assert served.names() == ["later", "users"]


@pytest.mark.parametrize("near", [True, False])
def test_a_group_that_was_replaced_is_the_new_one(cache, served, near):
    async def ask():
        await served.get("users", "a")
        cache.group("users", str.upper, replace=True)
        got = (await served.get("users", "a" if near else "b")).value
        await served.set("users", "c", "put")
        return got, (await served.get("users", "c")).value, await served.remove("users", ["c"])

    assert asyncio.run(ask()) == ("A" if near else "B", "put", 1)


def test_changes_go_to_the_group_that_has_replaced_another(cache, served):
    async def change():
        await served.known("users")
        cache.group("users", str.upper, replace=True)
        await served.set("users", "a", "put")

    asyncio.run(change())

    assert cache.group("users").get("a") == "put"


def test_a_group_of_ones_own_that_another_replaced_is_a_conflict(cache):
    served = Served(cache, {"users": str.upper})
    cache.group("users", str.lower, replace=True)

    with pytest.raises(GroupConflict):
        asyncio.run(served.get("users", "a"))


def test_many_who_ask_for_groups_ask_the_directory_twice_at_most(cache, served, monkeypatch):
    asked = []
    specs = cache.registry.specs
    monkeypatch.setattr(cache.registry, "specs", lambda: asked.append(1) or specs())

    async def ask():
        return await asyncio.gather(*(served.get("nobody", "a") for _ in range(50)), return_exceptions=True)

    assert {type(each) for each in asyncio.run(ask())} == {UnknownGroup}
    assert len(asked) <= 2


def test_a_known_group_needs_no_directory(cache, served, monkeypatch):
    async def ask():
        await served.get("users", "a")
        with monkeypatch.context() as away:
            away.setattr(cache.registry, "specs", lambda: 1 / 0)
            return (await served.get("users", "b")).value

    assert asyncio.run(ask()) == "value of 'b'"


def test_only_the_groups_that_are_given_are_served(cache, users):
    served = Served(cache, {"upper": str.upper, "minutes": {"getter": str.lower, "ttl": 60}})

    async def ask():
        with pytest.raises(UnknownGroup):
            await served.get("users", "a")
        await served.look()
        upper, minutes = await served.get("upper", "a"), await served.get("minutes", "A")
        return upper.value, minutes.value, minutes.expires is not None, list(await served.stats())

    assert asyncio.run(ask()) == ("A", "a", True, ["minutes", "upper"])
    assert served.names() == ["minutes", "upper"]


def test_a_group_that_is_no_getter_is_refused(cache):
    with pytest.raises(InvalidOption, match=r"groups\['a'\]='b' is neither"):
        Served(cache, {"a": "b"})


# -------------------------------------------------------------------------------------------------------- probes


def test_many_probes_cost_one_question(cache, monkeypatch):
    asked, shards = [], cache.shards
    monkeypatch.setattr(cache, "shards", lambda: asked.append(1) or shards())
    served = Served(cache)

    async def probe():
        return await asyncio.gather(*(served.health() for _ in range(100)))

    assert {len(answer) for answer in asyncio.run(probe())} == {1}
    assert len(asked) <= 2


def test_a_probe_waits_for_no_shard_that_hangs_if_there_was_an_answer(cache, monkeypatch, gate):
    hangs, shards = gate(), cache.shards
    monkeypatch.setattr(served_module, "PATIENCE_S", 0.05)

    async def probe():
        served = Served(cache)
        first = await served.health()
        monkeypatch.setattr(cache, "shards", lambda: hangs.passing() or shards())
        again = await served.health()
        hangs.open()
        return first, again

    first, again = asyncio.run(probe())

    assert again is first


def test_an_answer_of_long_ago_is_none(cache, served, monkeypatch):
    monkeypatch.setattr(served_module, "HELD_S", 0.0)
    monkeypatch.setattr(served_module, "PATIENCE_S", 0.0)

    async def probe():
        await served.health()
        cache.destroy()
        return await served.health()

    with pytest.raises(CacheUnavailable):
        asyncio.run(probe())


def test_a_probe_after_a_failure_is_told_what_is_so_now(cache, monkeypatch, gate):
    """... even if the one before gave up waiting for it."""
    hangs = gate()
    monkeypatch.setattr(served_module, "PATIENCE_S", 0.05)

    def fail():
        hangs.passing()
        raise CacheUnavailable("the directory does not answer")

    async def probe():
        served = Served(cache)
        await served.health()
        with monkeypatch.context() as patched:
            patched.setattr(cache, "shards", fail)
            assert await served.health()
            hangs.open()
            with pytest.raises(CacheUnavailable):
                await served.shards()
            patched.setattr(served_module, "PATIENCE_S", 0.0)
            await served.health()

    with pytest.raises(CacheUnavailable, match="the directory"):
        asyncio.run(probe())
