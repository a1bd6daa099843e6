"""The members as one process knows them: the newest ring, who is suspect and for how long, and outages."""

from __future__ import annotations

import logging

import pytest
from scripted_network import SILENT, ScriptedNetwork, script, view
from shard_bench import full

from raycache.core.members import LEAST_SUSPECT_S, MOST_SUSPECT_S, PROBE_S
from raycache.core.messages import Describe, Failed, GetView, ShardInfo, View
from raycache.core.ring import Ring
from raycache.errors import CacheUnavailable

KEY = full("a")
OLD = view(1, "a", "b", "c")
FIRST, SECOND, THIRD = OLD.ring.owners(KEY)


@pytest.fixture
def network(clock):
    return ScriptedNetwork(clock, OLD)


def described(id, lease_s=1.0):
    numbers = dict.fromkeys(("pid", "weight", "entries", "bytes", "capacity_bytes", "loads", "epoch"), 0)
    return ShardInfo(id=id, node="", address="", folder="", lease_s=lease_s, **numbers)


# --------------------------------------------------------------------------------------------------- rings


def test_only_a_newer_ring_takes_the_place_of_one(members):
    for other in (view(1, "a"), view(0, "a"), Failed("no"), None):
        members.see(other)
        assert members.ring == OLD.ring

    members.see(view(2, "a"))
    assert members.ring == view(2, "a").ring


def test_the_directory_is_asked_for_the_newest_ring(members, network):
    network.directory = script(SILENT, view(2, "a"))
    network.drive(members.refresh(0.5))
    assert (members.ring.epoch, network.elapsed_s) == (1, 0.5)
    network.drive(members.refresh())

    assert (members.ring.epoch, network.to("directory")) == (2, [GetView(), GetView()])


def test_when_it_is_closed_nothing_local_is_used_and_every_operation_says_why(members):
    members.close("closed by the test")
    members.see(view(2, "a"))

    assert (members.ring.epoch, members.local.lease[0]) == (1, 0.0)
    with pytest.raises(CacheUnavailable, match="closed by the test"):
        members.check_open()


# ------------------------------------------------------------------------------------------------ suspects


def test_the_owner_is_asked_and_no_stand_in(members):
    assert members.target(KEY) == (FIRST, False)


def test_for_a_suspect_the_next_on_the_ring_stands_in(members):
    seen = []
    for shard in (FIRST, SECOND, THIRD):
        members.suspect(shard)
        seen.append(members.target(KEY))

    assert seen == [(SECOND, True), (THIRD, True), (None, False)]


def test_a_suspect_is_asked_again_after_a_while_and_that_is_longer_after_every_failure(members, clock):
    pauses = []
    for _ in range(7):
        members.suspect(FIRST)
        began = clock()
        while members.suspected(FIRST):
            clock.advance(0.5)
        pauses.append(clock() - began)
        assert members.target(KEY) == (FIRST, False)

    assert pauses == [LEAST_SUSPECT_S, 2.0, 4.0, 8.0, MOST_SUSPECT_S, MOST_SUSPECT_S, MOST_SUSPECT_S]


def test_many_failures_at_once_are_one(members, clock):
    """Of a hundred gets that wait for the same shard."""
    for _ in range(100):
        members.suspect(FIRST)
    clock.advance(LEAST_SUSPECT_S)

    assert members.target(KEY) == (FIRST, False)


def test_who_answers_is_trusted_and_its_failures_are_forgotten(members, clock):
    for _ in range(4):
        members.suspect(FIRST)
        clock.advance(MOST_SUSPECT_S)
    members.trust(FIRST)
    members.trust(SECOND)
    assert not members.suspected(FIRST)
    members.suspect(FIRST)
    clock.advance(LEAST_SUSPECT_S)

    assert not members.suspected(FIRST)


def test_a_ring_without_members_has_nobody_to_ask(network):
    network.view = view(1)

    assert network.members().target(KEY) == (None, False)


# ------------------------------------------------------------------------------------------------- outages


def probe(members, network):
    network.sent.clear()
    network.drive(members.probe())
    return [who for _, who, _ in network.sent]


def test_in_an_outage_nobody_is_asked_by_gets(members):
    members.answered_here(1)

    assert (members.outage, members.target(KEY)) == (True, (None, False))


def test_an_outage_is_one_line_in_the_log_and_its_end_another_with_what_it_cost(members, network, clock, caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(50):
        members.answered_here(3)
    clock.advance(7.0)
    network.shards = {"b": script(described("b"))}
    network.drive(members.probe())

    texts = [line.getMessage() for line in caplog.records]
    assert len(texts) == 2
    assert "no shard of the cache can be reached" in texts[0]
    assert "`raycache doctor`" in texts[0]
    assert "150 keys" in texts[1]
    assert not members.outage


def test_the_next_outage_is_counted_anew(members, network, caplog):
    network.shards = {"b": script(described("b"))}
    for keys in (3, 4):
        members.answered_here(keys)
        network.drive(members.probe())

    said = [line.getMessage() for line in caplog.records if "again" in line.getMessage()]
    assert [text.rpartition("for ")[2] for text in said] == ["3 keys meanwhile", "4 keys meanwhile"]


@pytest.mark.parametrize(
    "answers",
    [[SILENT] * 3, [Failed("dead")] * 3, [described("a", lease_s=0.0), SILENT, None]],
    ids=["silent", "dead", "without a lease"],
)
def test_a_probe_that_finds_no_shard_that_serves_leaves_it_an_outage(members, network, answers):
    network.shards = {id: script(answer) for id, answer in zip("abc", answers, strict=True)}
    members.answered_here(1)

    assert probe(members, network) == ["directory", "a", "b", "c"]
    assert members.outage
    assert network.elapsed_s <= 2 * PROBE_S


def test_a_probe_trusts_those_that_answer_and_no_others(members, network):
    for shard in (FIRST, SECOND, THIRD):
        members.suspect(shard)
    members.answered_here(1)
    network.shards = {SECOND: script(described(SECOND))}
    network.drive(members.probe())

    assert members.target(KEY)[0] == SECOND or not members.suspected(FIRST)
    assert not members.suspected(SECOND)
    assert network.to(SECOND) == [Describe()]


def test_a_probe_learns_the_ring_of_a_cache_that_was_started_meanwhile(members, network):
    members.answered_here(1)
    network.directory = script(view(5, "z"))
    network.shards = {"z": script(described("z"))}

    assert probe(members, network) == ["directory", "z"]
    assert members.target(KEY) == ("z", False)


def test_without_an_outage_a_probe_asks_nobody(members, network):
    assert probe(members, network) == []
    members.answered_here(1)
    members.close("closed")
    assert probe(members, network) == []


def test_a_ring_of_which_nobody_owns_keys_is_no_outage_and_is_said_once(network, members, caplog):
    """As a cache for workers before there are any: the head's shard serves, and owns nothing."""
    caplog.set_level(logging.WARNING)
    members.see(View(Ring(2, {"a": 0.0}), {}))
    for _ in range(3):
        members.answered_here(1)
        network.drive(members.probe())

    assert not members.outage
    assert [record.getMessage().partition(" (or")[0] for record in caplog.records] == [
        "raycache: no node of the cache's placement has a shard"
    ]
