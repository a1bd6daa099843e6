"""The two rounds of an invalidation: everybody is told, or has provably no lease, or the caller is told who was not."""

from __future__ import annotations

import pytest
from scripted_network import SILENT, ScriptedNetwork, script, view
from shard_bench import full

from raycache.core.client import INVALIDATE_S, SILENCE_S, Client
from raycache.core.codec import Codec
from raycache.core.members import ANSWER_S
from raycache.core.messages import (
    Ack,
    Bump,
    Define,
    Delete,
    Failed,
    Fence,
    Fenced,
    Get,
    GetView,
    GroupSpec,
    Moved,
    NoLease,
    NoSuchGroup,
    Set,
)
from raycache.core.unconfirmed import Begun
from raycache.errors import CacheUnavailable, GroupConflict
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "users", GroupOptions(capacity_bytes=1000), b"")
KEY = full("a")
OLD, NEW = view(1, "a", "b"), view(2, "a")


@pytest.fixture
def network(clock):
    """Two shards, which do as they are told."""
    network = ScriptedNetwork(clock, OLD)
    network.shards = dict.fromkeys("ab", script(Ack(1, 1)))
    return network


def remove(network):
    return network.drive(Client(network.members()).remove(SPEC, [KEY]))


def fences(*answers):
    """A directory that answers a Fence so."""
    told = script(*answers)
    return lambda message: told(message) if isinstance(message, Fence) else OLD if message == GetView() else SILENT


def kinds(network, *who):
    return [(to, type(message)) for _, to, message in network.sent if to in (who or "ab")]


def test_all_are_told_to_delete_before_anybody_is_told_to_end_near_entries(network):
    assert remove(network) == 2
    assert kinds(network) == [("a", Delete), ("b", Delete), ("a", Bump), ("b", Bump)]
    assert len({message.operation for message in network.to("a", "b")} - {0}) == 1


def test_operations_are_told_apart(network):
    remove(network)
    remove(network)

    assert len({message.operation for message in network.to("a", kind=Delete)}) == 2


def test_nobody_ends_near_entries_while_somebody_has_not_deleted(network):
    network.shards["b"] = lambda _: SILENT
    network.directory = fences(Fenced(False, 1.0, None))
    with pytest.raises(CacheUnavailable):
        remove(network)

    assert network.to("a", "b", kind=Bump) == []


def test_a_set_goes_to_the_owner_and_other_copies_are_dropped(network):
    network.drive(Client(network.members()).set(SPEC, {KEY: (Codec().encode("value"), None)}))
    owner = OLD.ring.owner(KEY)
    (other,) = {"a", "b"} - {owner}

    assert kinds(network, owner) == [(owner, Set), (owner, Bump)]
    assert kinds(network, other) == [(other, Delete), (other, Bump)]
    assert not network.to(other, kind=Delete)[0].removal
    assert network.to(owner, kind=Set)[0].operation == network.to(other, kind=Bump)[0].operation > 0


# ------------------------------------------------------------------------------------------------- silence


@pytest.mark.parametrize("silent", [SILENT, Failed("it was killed")], ids=["hangs", "is dead"])
def test_a_silent_shard_is_fenced_and_all_is_done_again_in_the_ring_without_it(network, silent):
    network.shards = {"a": script(Ack(1, 1), Ack(2, 0)), "b": lambda _: silent}
    network.directory = fences(Fenced(False, 1.0, OLD), Fenced(False, 0.5, OLD), Fenced(True, 0.0, NEW))

    assert remove(network) == 1
    assert set(network.to("directory", kind=Fence)) == {Fence("b", 2)}
    assert [message.ring.epoch for message in network.to("a", kind=Delete)] == [1, 2]
    assert network.to("b", kind=Bump) == []
    assert len(network.to("a", kind=Bump)) == 1
    assert SILENCE_S <= network.elapsed_s <= SILENCE_S + ANSWER_S + 2.0


def test_a_shard_that_answers_before_the_silence_is_too_long_is_not_fenced(network):
    """It was being restarted, and keeps what it has."""
    network.shards["b"] = lambda _: Failed("killed") if network.elapsed_s < SILENCE_S - 0.1 else Ack(1, 1)

    assert remove(network) == 2
    assert network.to("directory", kind=Fence) == []
    assert len(network.to("a", kind=Delete)) == 1


def test_a_shard_that_falls_silent_between_the_rounds_is_fenced_too(network):
    network.shards["b"] = lambda message: Ack(1, 1) if isinstance(message, Delete) else SILENT
    network.directory = fences(Fenced(True, 0.0, NEW))

    assert remove(network) == 2
    assert network.to("directory", kind=Fence) == [Fence("b", 2)]


def test_who_can_be_neither_told_nor_fenced_in_time_is_named(network):
    network.shards["b"] = lambda _: SILENT
    network.directory = fences(Fenced(False, 1.0, OLD))
    with pytest.raises(CacheUnavailable, match=r"not done everywhere within 15 s \(b: no answer\)"):
        remove(network)

    assert INVALIDATE_S <= network.elapsed_s <= INVALIDATE_S + ANSWER_S + 1.0


def test_a_directory_that_does_not_answer_is_named_too(network):
    network.shards["b"] = lambda _: Failed("it was killed")
    network.directory = lambda _: SILENT
    with pytest.raises(CacheUnavailable, match="b: it was killed; the directory: no answer"):
        remove(network)

    assert network.elapsed_s <= INVALIDATE_S + ANSWER_S + 1.0


# ------------------------------------------------------------------------------------------------ no lease


def test_a_shard_without_a_lease_is_asked_again_and_never_fenced(network):
    network.shards["b"] = lambda message: NoLease("b") if network.elapsed_s < 8.0 else Ack(1, 1)
    remove(network)

    assert network.to("directory", kind=Fence) == []
    assert 8.0 <= network.elapsed_s < 9.0
    assert network.to("b")[-1] == Bump((KEY,), network.to("b")[0].operation)


def test_a_shard_that_gets_no_lease_in_time_is_named(network):
    network.shards["b"] = lambda _: NoLease("b")
    with pytest.raises(CacheUnavailable, match="b: no lease"):
        remove(network)

    assert network.to("directory", kind=Fence) == network.to("a", "b", kind=Bump) == []
    assert network.elapsed_s <= INVALIDATE_S + ANSWER_S + 1.0


# --------------------------------------------------------------------------------------------------- rings


@pytest.mark.parametrize("newer", [Ack(2, 1), Moved(2)], ids=["acknowledged in a newer epoch", "moved"])
def test_who_knows_a_newer_ring_makes_all_be_done_again_in_it(network, newer):
    network.shards = {"a": script(newer, Ack(2, 0)), "b": script(Ack(1, 1), Ack(2, 0)), "c": script(Ack(2, 0))}
    network.directory = script(view(2, "a", "b", "c"))
    remove(network)

    assert [(to, message.ring.epoch) for _, to, message in network.sent if isinstance(message, Delete)] == [
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("b", 2),
        ("c", 2),
    ]
    assert len(network.to("a", "b", "c", kind=Bump)) == 3


@pytest.mark.parametrize("newer", [Ack(2, 1), Moved(2)], ids=["acknowledged in a newer epoch", "moved"])
@pytest.mark.parametrize("said", [SILENT, OLD], ids=["silent", "behind"])
def test_a_newer_ring_that_cannot_be_learned_is_said_in_time(network, newer, said):
    network.shards["b"] = lambda _: newer
    network.directory = lambda _: said
    with pytest.raises(CacheUnavailable):
        remove(network)

    assert network.elapsed_s <= INVALIDATE_S + 2 * ANSWER_S


def test_an_empty_ring_proves_nothing_until_the_directory_has_been_asked(network):
    network.view = view(1)
    network.directory = script(SILENT, Failed("being restarted"), view(2, "a"))

    assert remove(network) == 1
    assert len(network.to("directory", kind=GetView)) == 3


def test_where_the_directory_says_that_there_are_no_members_nobody_has_anything(network):
    network.view = view(1)

    assert remove(network) == 0
    assert network.to("directory") == [GetView()]


def test_a_directory_that_does_not_say_whether_there_are_members_is_named(network):
    network.view = view(1)
    network.directory = lambda _: SILENT
    with pytest.raises(CacheUnavailable, match="the directory: no answer"):
        remove(network)

    assert INVALIDATE_S <= network.elapsed_s <= INVALIDATE_S + ANSWER_S + 1.0


# -------------------------------------------------------------------------------------------------- groups


def test_a_shard_that_does_not_know_the_group_is_told_and_asked_again(network):
    network.shards["b"] = script(NoSuchGroup(1), Ack(1), Ack(1, 1))
    remove(network)

    assert network.to("b", kind=Define) == [Define(SPEC)]
    assert len(network.to("b", kind=Delete)) == 2


def test_a_group_that_was_replaced_is_a_conflict(network):
    network.shards["b"] = script(NoSuchGroup(1, replaced=True))
    with pytest.raises(GroupConflict, match="'users'"):
        remove(network)


# ------------------------------------------------------------------------------- what another has left undone


@pytest.mark.parametrize(
    ("keys", "stored", "expected"),
    [((KEY,), False, {Delete}), (None, False, {Delete}), ((KEY,), True, {Delete, Get})],
    ids=["remove", "clear", "set"],
)
def test_what_another_client_has_begun_is_brought_to_its_end(network, keys, stored, expected):
    network.drive(Client(network.members()).finish(SPEC, Begun(9, 1, keys, stored)))
    first, second = network.to("a", "b")[:2], network.to("a", "b")[2:]

    assert {type(message) for message in first} == expected
    assert second == [Bump(keys, 9), Bump(keys, 9)]
    if stored:  # its owner keeps the new value
        owner = OLD.ring.owner(KEY)
        assert network.to(owner, kind=Delete) == []
