"""A process may never hear from Ray of the end of a load. Who waits for it asks the shard, and has the value soon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from peers import Outcome, Peers, attempt
from sources import Source

import raycache
from raycache.core.fetch import Fetch
from raycache.core.messages import Get, Repeat
from raycache.core.steps import Steps, Wait

#: A load that is never heard of would be waited for until its load_timeout is over.
SOON_S = 20.0
LARGE = 50_000


def get_unheard(group: raycache.Group, keys: list[str], waits: str) -> Outcome:
    """Gets, by calls, in a process that loses what Ray has brought before it first waits so. Ray drops that when the
    last reference goes, also where a thread has just got another one."""
    original, lost = getattr(Fetch, waits), list[Any]()

    def lose(fetch: Fetch, *args: Any) -> Steps[Any]:
        yield Wait([], 0.0)  # what brought the references goes
        refs = [args[-1]] if args else [flight.future.outcome for flight in fetch._flights]
        core = ray._private.worker.global_worker.core_worker
        for ref in refs if not lost else ():
            lost.append(ref)
            assert ray.wait([ref], timeout=60.0)[0]
            core.remove_object_ref_reference(ref)
            core.add_object_ref_reference(ref)
            assert not ray.wait([ref], timeout=0.1)[0], "it is not lost: the test is wrong about Ray"
        return (yield from original(fetch, *args))

    with mock.patch.object(Fetch, waits, lose):
        outcome = attempt(group.get_many, keys)
    assert lost, "there was nothing to lose"
    return outcome


class Large(Source):
    """A getter of large values."""

    def __call__(self, key: str) -> bytes:
        return self._value(key).encode() * LARGE


def test_a_value_comes_though_its_process_has_lost_the_end_of_its_load(
    users: raycache.Group, source: Source, peers: Peers
) -> None:
    """It was loaded once."""
    (peer,) = peers(1)
    outcome = peer.do(get_unheard, users, ["alice", "bob"], "_await_flights")

    assert (outcome.value, outcome.error) == ({key: Source.value(key) for key in ("alice", "bob")}, None)
    assert outcome.seconds < SOON_S
    assert source.runs == {"'alice'": 1, "'bob'": 1}


def test_a_large_value_comes_though_its_process_has_lost_the_word_of_it(
    register: Callable[..., raycache.Group], peers: Peers, tmp_path: Path
) -> None:
    """It was loaded once, too."""
    getter = Large(tmp_path / "large")
    (peer,) = peers(1)
    outcome = peer.do(get_unheard, register(getter, capacity="8 MiB"), ["a", "b"], "_await_of")

    assert (outcome.value, outcome.error) == ({key: Source.value(key).encode() * LARGE for key in "ab"}, None)
    assert outcome.seconds < SOON_S
    assert getter.runs == {"'a'": 1, "'b'": 1}


def test_a_shard_gives_references_back(users: raycache.Group) -> None:
    """Of loads that are over, though it has none of its own any more."""
    users.get_many(["alice", "bob"])
    network, (shard,) = users.client.members.network, users.client.members.ring.members
    ask = Get(users.reader.spec.id, tuple(map(users.reader.full, ["carol", "dave"])), users.client.members.ring.epoch)
    (answer,) = network.wait(Wait([network.ask(shard, ask)], 60.0))
    outcomes = [item.outcome for item in answer.items]
    network.wait(Wait(outcomes, 60.0))
    users.get_many(["carol", "dave"])
    (again,) = network.wait(Wait([network.ask(shard, Repeat(tuple(outcomes)))], 60.0))

    assert list(again.futures) == outcomes
