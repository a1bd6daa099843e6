"""Time-outs, callers that give up or die, and getters that hang: nobody else is harmed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from marks import Marks
from peers import Peer, Peers, attempt, get_announced, result, results
from processes import alive
from sources import Source
from waiting import until

import raycache


def test_a_getter_that_hangs_is_ended_and_everyone_who_waits_is_told(
    register: Callable[..., raycache.Group], source: Source, peers: Peers, tmp_path: Path
) -> None:
    """The process that ran it is gone, and the key is free."""
    users = register(source, load_timeout=5)  # it includes the start of a process
    source.will("hang", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    outcomes = results([peer.start(attempt, get_announced, users, "alice", arrivals) for peer in peers(3)])
    source.behave("alice")
    (hung,) = source.pids("alice")

    assert [outcome.error for outcome in outcomes] == [raycache.LoadTimeout] * 3
    assert all("load_timeout" in outcome.message and "'alice'" in outcome.message for outcome in outcomes)
    first = min(outcome.began for outcome in outcomes)  # who came later has waited for less
    assert all(5 <= outcome.began + outcome.seconds - first < 30 for outcome in outcomes)
    assert users.get("alice") == Source.value("alice")
    assert source.runs == {"'alice'": 2}
    until(lambda: not alive(hung), "the process of the getter that hung has ended")
    assert users.stats().load_timeouts == 1


def test_a_getter_that_hangs_harms_no_other_key_of_a_get_many(
    register: Callable[..., raycache.Group], source: Source
) -> None:
    """The others have their values, though they were to be loaded by the same task."""
    users = register(source, load_timeout=5)  # it includes the start of a process
    keys = [f"key-{number}" for number in range(6)]
    source.will("hang", "key-3")
    with pytest.raises(raycache.LoadTimeout, match="key-3"):
        users.get_many(keys)
    others = {key: users.peek(key) for key in keys if key != "key-3"}

    assert others == {key: Source.value(key) for key in others}


def time_out(group: raycache.Group, ask: str) -> None:
    """Asks for a key that takes longer."""
    if ask == "get":
        group.get("alice", timeout=0.6)
    elif ask == "get_many":
        group.get_many(["alice"], timeout=0.6)
    else:
        asyncio.run(group.aget("alice", timeout=0.6))


@pytest.mark.parametrize("ask", ["get", "get_many", "aget"])
def test_a_callers_time_out_comes_in_time(ask: str, users: raycache.Group, source: Source) -> None:
    """Not before, and not when the load ends."""
    users.get("bob")  # the shards know the group
    source.will("wait", "alice")
    began = time.monotonic()
    with pytest.raises(raycache.LoadTimeout):
        time_out(users, ask)
    seconds = time.monotonic() - began

    assert 0.6 <= seconds < 5.0


@pytest.mark.parametrize("ask", ["get", "get_many", "aget"])
def test_a_callers_time_out_names_the_key(ask: str, users: raycache.Group, source: Source) -> None:
    """And says that the load goes on."""
    source.will("wait", "alice")

    with pytest.raises(raycache.LoadTimeout, match=r"no value within 0.6 s for 'alice' of the group .* goes on"):
        time_out(users, ask)


def test_a_load_goes_on_after_its_first_callers_time_out(users: raycache.Group, source: Source) -> None:
    """Who asks later, with a deadline of its own, gets what it brings."""
    source.will("wait", "alice")
    with pytest.raises(raycache.LoadTimeout):
        users.get("alice", timeout=0.1)
    source.await_run("alice")
    source.behave("alice")

    assert users.get("alice", timeout=30) == Source.value("alice")
    assert source.runs == {"'alice'": 1}


def test_others_have_their_own_deadlines(users: raycache.Group, source: Source, peers: Peers, tmp_path: Path) -> None:
    """One gives up, two go on to wait and get the value."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    impatient, *patient = peers(3)
    calls = [
        peer.start(attempt, get_announced, users, "alice", arrivals, timeout)
        for peer, timeout in zip(patient, [60.0, None], strict=True)
    ]
    arrivals.await_lines(2)
    first = impatient.do(attempt, users.get, "alice", timeout=0.2)
    source.behave("alice")
    others = results(calls)

    assert first.error is raycache.LoadTimeout
    assert [outcome.value for outcome in others] == [Source.value("alice")] * 2
    assert source.runs == {"'alice'": 1}


def test_the_first_callers_cancellation_fails_no_one_else(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """Its asyncio task is cancelled; the load goes on for another process and for another task."""
    source.will("wait", "alice")
    (peer,) = peers(1)
    arrivals = Marks(tmp_path / "arrivals")

    async def cancel() -> str:
        first = asyncio.ensure_future(users.aget("alice"))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(users.aget("alice"))
        await asyncio.to_thread(source.await_run, "alice")
        call = peer.start(get_announced, users, "alice", arrivals)
        await asyncio.to_thread(arrivals.await_lines, 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        source.behave("alice")
        assert await asyncio.to_thread(result, call) == Source.value("alice")
        return await second

    assert asyncio.run(cancel()) == Source.value("alice")
    assert source.runs == {"'alice'": 1}


def test_the_first_callers_death_fails_no_one_else(
    users: raycache.Group, source: Source, peers: Peers, mortal: Callable[[], Peer], tmp_path: Path
) -> None:
    """Its process is killed; the load is the shard's and goes on."""
    source.will("wait", "alice")
    first, (second,) = mortal(), peers(1)
    arrivals = Marks(tmp_path / "arrivals")
    pid = first.pid
    first.start(get_announced, users, "alice", arrivals)
    arrivals.await_lines(1)
    call = second.start(get_announced, users, "alice", arrivals)
    arrivals.await_lines(2)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the first caller is dead")
    source.behave("alice")

    assert result(call) == Source.value("alice")
    assert source.runs == {"'alice'": 1}
