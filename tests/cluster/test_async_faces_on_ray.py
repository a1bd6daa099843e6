"""The faces for `await`, and getters that are to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marks import Barrier
from peers import Peers
from sources import AsyncSource, BackendBroken, Source

import raycache


def test_every_method_has_a_face_for_await(users: raycache.Group, source: Source, peers: Peers) -> None:
    """They do what those without do, for all processes."""
    source.will("be absent", "nobody")

    async def use() -> None:
        assert await users.aget("alice") == Source.value("alice")
        assert await users.aget_many(["bob", "alice"]) == {key: Source.value(key) for key in ("bob", "alice")}
        assert await users.aget("nobody", default=None) is None
        with pytest.raises(raycache.NotFound, match="nobody is called 'nobody'"):
            await users.aget("nobody")
        assert await users.apeek("carol") is None
        assert not await users.acontains("carol")
        await users.aset("carol", "c", ttl="1h")
        await users.aset_many({"dave": "d", "dan": "e"})
        assert await users.acontains("carol")
        assert await users.apeek("dave") == "d"
        assert sorted([key async for key in users.akeys(prefix="da")]) == ["dan", "dave"]
        assert await users.alen() == 5
        source.version = "1"
        assert await users.arefresh("alice") == Source.value("alice", "1")
        assert await users.aremove("dave")
        assert await users.aremove_many(["dan", "nobody"]) == 1
        assert (await users.astats()).entries == 3
        assert await users.aclear() == 3
        assert await users.alen() == 0

    asyncio.run(use())

    assert peers(1)[0].do(users.peek, "carol") is None


def test_a_process_may_await_in_an_event_loop_of_its_own(users: raycache.Group, source: Source, peers: Peers) -> None:
    """What it loads there, others hit."""
    (peer,) = peers(1)
    loaded = peer.do(lambda: asyncio.run(users.aget_many(["alice", "bob"])))

    assert loaded == users.get_many(["alice", "bob"])
    assert source.runs == {"'alice'": 1, "'bob'": 1}


def test_an_event_loop_goes_on_while_a_get_waits_for_a_load(users: raycache.Group, source: Source) -> None:
    """Or the getter, which waits for something in the loop, would never end."""
    source.will("wait", "alice")

    async def both() -> Any:
        task = asyncio.ensure_future(users.aget("alice"))
        while not source.runs:
            await asyncio.sleep(0.01)
        source.behave("alice")
        return await task

    assert asyncio.run(both()) == Source.value("alice")


def test_many_tasks_that_await_a_cold_key_load_it_once(users: raycache.Group, source: Source) -> None:
    """All get its value."""

    async def gather() -> list[Any]:
        return await asyncio.gather(*(users.aget("alice") for _ in range(50)))

    assert asyncio.run(gather()) == [Source.value("alice")] * 50
    assert source.runs == {"'alice'": 1}


def test_an_async_getter_loads_for_callers_of_both_kinds(
    register: Callable[..., raycache.Group], tmp_path: Path
) -> None:
    """Its values and its exceptions."""
    source = AsyncSource(tmp_path / "async")
    users = register(source)
    source.will("raise", "broken")
    source.will("be absent", "nobody")

    assert users.get("alice") == Source.value("alice")
    assert asyncio.run(users.aget("bob")) == Source.value("bob")
    with pytest.raises(BackendBroken):
        users.get("broken")
    with pytest.raises(raycache.NotFound):
        users.get("nobody")


def test_an_async_getter_works_on_many_keys_at_the_same_time(
    register: Callable[..., raycache.Group], tmp_path: Path
) -> None:
    """Three must be in it before any goes on; one loader task has at least four of the eight keys."""
    barrier = Barrier(tmp_path / "barrier", 3)

    async def getter(key: str) -> str:
        barrier.add(key)
        while len(barrier.lines()) < 3:
            await asyncio.sleep(0.01)
        return key.upper()

    users = register(getter, load_timeout=30)
    keys = [f"key-{number}" for number in range(8)]

    assert users.get_many(keys) == {key: key.upper() for key in keys}
