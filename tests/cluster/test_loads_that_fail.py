"""A load that brings no value: everyone who waits is told why, and the key is free again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from marks import Marks
from peers import Outcome, Peers, attempt, get_announced, results
from sources import BackendBroken, Source

import raycache


def waiting_for(group: raycache.Group, source: Source, act: str, peers: Peers, marks: Path) -> list[Outcome]:
    """What three processes get that wait for the same load, of which the end is this act."""
    source.will("wait", "alice")
    arrivals = Marks(marks)
    calls = [peer.start(attempt, get_announced, group, "alice", arrivals) for peer in peers(3)]
    arrivals.await_lines(3)
    source.will(act, "alice")
    return results(calls)


def test_a_getters_exception_reaches_everyone_who_waits_as_itself(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """With its message, and the traceback of where it was raised as a note."""
    outcomes = waiting_for(users, source, "raise", peers, tmp_path / "arrivals")

    assert [outcome.error for outcome in outcomes] == [BackendBroken] * 3
    assert [outcome.message for outcome in outcomes] == ["no backend for 'alice' (code 503)"] * 3
    assert all("sources.py" in outcome.notes and "in _value" in outcome.notes for outcome in outcomes)
    assert source.runs == {"'alice'": 1}


def test_a_getters_exception_keeps_its_fields(users: raycache.Group, source: Source) -> None:
    """An `except` clause of the caller's may look at them."""
    source.will("raise", "alice")
    with pytest.raises(BackendBroken) as caught:
        users.get("alice")

    assert caught.value.code == 503


def test_an_exception_is_not_cached(users: raycache.Group, source: Source) -> None:
    """The next get asks the backend again."""
    source.will("raise", "alice")
    with pytest.raises(BackendBroken):
        users.get("alice")
    source.behave("alice")

    assert users.get("alice") == Source.value("alice")
    assert source.runs == {"'alice'": 2}


def test_not_found_reaches_everyone_who_waits_with_its_message(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """One call of the backend for all."""
    outcomes = waiting_for(users, source, "be absent", peers, tmp_path / "arrivals")

    assert [(outcome.error, outcome.message) for outcome in outcomes] == [
        (raycache.NotFound, "nobody is called 'alice'")
    ] * 3
    assert source.runs == {"'alice'": 1}


def test_a_getter_that_ends_its_process_gives_everyone_who_waits_loader_died(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """One run for all of them, and one for the next get."""
    outcomes = waiting_for(users, source, "die", peers, tmp_path / "arrivals")
    source.behave("alice")

    assert [outcome.error for outcome in outcomes] == [raycache.LoaderDied] * 3
    assert all("'alice'" in outcome.message for outcome in outcomes)
    assert source.runs == {"'alice'": 1}
    assert users.get("alice") == Source.value("alice")
    assert source.runs == {"'alice'": 2}


def test_a_loader_that_is_killed_gives_everyone_who_waits_loader_died(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """As the kernel does where memory is short."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    calls = [peer.start(attempt, get_announced, users, "alice", arrivals) for peer in peers(2)]
    arrivals.await_lines(2)
    source.await_run("alice")
    os.kill(source.pids("alice")[0], signal.SIGKILL)
    outcomes = results(calls)
    source.behave("alice")

    assert [outcome.error for outcome in outcomes] == [raycache.LoaderDied] * 2
    assert users.get("alice") == Source.value("alice")
    assert source.runs == {"'alice'": 2}


def test_a_getter_that_ends_its_process_runs_once_for_each_get(users: raycache.Group, source: Source) -> None:
    """Nothing tries it again by itself."""
    source.will("die", "alice")
    for _ in range(2):
        with pytest.raises(raycache.LoaderDied):
            users.get("alice")

    assert source.runs == {"'alice'": 2}
    assert users.stats().loader_deaths == 2


def test_a_key_that_ends_its_process_harms_no_other_key_of_a_get_many(users: raycache.Group, source: Source) -> None:
    """The others have their values, though they were loaded in the same task."""
    keys = [f"key-{number}" for number in range(20)]
    source.will("die", "key-7")
    with pytest.raises(raycache.LoaderDied, match="key-7"):
        users.get_many(keys)
    others = {key: users.peek(key) for key in keys if key != "key-7"}

    assert others == {key: Source.value(key) for key in others}
    assert "key-7" not in users


def test_a_key_that_raises_harms_no_other_key_of_a_get_many(users: raycache.Group, source: Source) -> None:
    """The others run once."""
    keys = [f"key-{number}" for number in range(20)]
    source.will("raise", "key-7")
    with pytest.raises(BackendBroken):
        users.get_many(keys)
    others = {key: users.peek(key) for key in keys if key != "key-7"}

    assert others == {key: Source.value(key) for key in others}
    assert source.runs == dict.fromkeys(map(repr, keys), 1)


def test_missing_keys_of_a_get_many_have_the_default(users: raycache.Group, source: Source) -> None:
    """Without one the first of them is NotFound."""
    source.will("be absent", "bob", "carol")
    values = users.get_many(["alice", "bob", "carol"], default=None)

    assert values == {"alice": Source.value("alice"), "bob": None, "carol": None}
    with pytest.raises(raycache.NotFound, match="nobody is called 'bob'"):
        users.get_many(["alice", "bob", "carol"])


def test_an_exception_that_cannot_travel_is_told_in_words(register: Callable[..., raycache.Group]) -> None:
    """GetterFailed has its type and text."""

    def getter(key: str) -> str:
        import threading

        error = RuntimeError(f"no {key}")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(raycache.GetterFailed, match="RuntimeError: no alice"):
        register(getter).get("alice")
