"""The change of owners: entries go to whom they belong, in bounded batches, once, and never come back too late."""

from __future__ import annotations

import pytest
from fake_clock import FakeClock
from hand_loader import loaded
from shard_bench import full
from shards_bench import ShardsBench

from raycache.core import handover, record
from raycache.core.messages import Ack, Adopt, Define, Elsewhere, Failed, InFlight, Missing, Moved, NoLease, Standing
from raycache.core.ring import Ring

NAMES = [f"key-{number}" for number in range(60)]
AHEAD_S = 5000.0


@pytest.fixture
def shards(tmp_path, clock):
    """One that has had everything, and one that is new."""
    shards = ShardsBench(tmp_path, a=clock, b=FakeClock(clock.now + AHEAD_S))
    shards.define()
    shards.join("a")
    yield shards
    shards.close()


@pytest.fixture
def moving(shards):
    """Names of keys that a has, and that b owns now."""
    for name in NAMES:
        shards.set(name, f"value of {name}")
    shards.join("a", "b")
    return [name for name in NAMES if shards.owner(name) is shards["b"]]


def test_entries_go_to_their_new_owner_and_leave_the_old_one(shards, moving):
    shards.hand_over()

    assert 10 < len(moving) < 50
    assert {name: shards.where(name) for name in moving} == {key: ["b"] for key in moving}
    assert all(shards.where(name) == ["a"] for name in set(NAMES) - set(moving))
    assert shards["b"].get(*moving, epoch=2) == [f"value of {name}" for name in moving]
    assert shards["a"].loader.loads == shards["b"].loader.loads == []


def test_the_books_of_both_are_right_after_it(shards, moving):
    shards.hand_over()

    assert [shards[id].info().entries for id in "ab"] == [len(NAMES) - len(moving), len(moving)]
    for id in "ab":
        pages = shards[id].pages
        total = sum(len(key) + record.value_bytes(stored) for key, stored in pages.items(b"", 100))
        assert shards[id].info().bytes == total


def test_batches_are_bounded_and_each_goes_when_the_one_before_was_answered(shards, moving, monkeypatch):
    monkeypatch.setattr(handover, "BATCH_ENTRIES", 4)
    monkeypatch.setattr(handover, "STEP_KEYS", 10)
    one = shards["a"].shard.batch()
    assert shards["a"].shard.batch() == one
    batches = [message.entries for _, _, message, _ in shards.hand_over() if message.entries]

    assert max(map(len, batches)) <= 4
    assert sorted(entry.key for batch in batches for entry in batch) == sorted(map(full, moving))


def test_batches_are_bounded_in_bytes_too_but_have_at_least_one_entry(shards, monkeypatch):
    monkeypatch.setattr(handover, "BATCH_BYTES", 1000)
    for name in NAMES[:16]:
        shards.set(name, bytes(200) if name != NAMES[0] else bytes(2000))
    shards.join("a", "b")
    sizes = [[len(each.key + each.record) for each in m.entries] for _, _, m, _ in shards.hand_over() if m.entries]

    assert all(sum(batch) <= 1000 or len(batch) == 1 for batch in sizes)
    assert len(sizes) < sum(map(len, sizes))


def test_an_entry_stays_where_it_is_until_it_is_acknowledged(shards, moving):
    target, message = shards["a"].shard.batch()
    shards["b"].shard.handle(message)
    for answer in (None, NoLease("b")):
        shards["a"].shard.handed(target, message, answer)

    assert all("a" in shards.where(name) for name in moving)
    assert shards["a"].shard.batch() == (target, message)
    shards.hand_over()
    assert all(shards.where(name) == ["b"] for name in moving)


def test_an_entry_that_has_changed_meanwhile_stays(shards, moving):
    """A stand-in, say, has stored something newer under the key than what was sent."""
    target, message = shards["a"].shard.batch()
    shards["a"].shard._groups.get(1).keep({full(moving[0]): loaded("newer")}, lambda _: None, shards["a"].clock())
    shards["a"].shard.handed(target, message, shards["b"].shard.handle(message))

    assert [shards.where(name) for name in moving[:2]] == [["a", "b"], ["b"]]


def test_the_answer_to_a_batch_of_an_older_ring_means_nothing(shards, moving):
    target, message = shards["a"].shard.batch()
    shards.weigh({"a": 1.0, "b": 1.5})
    newer = shards["a"].shard.batch()
    shards["a"].shard.handed(target, message, Ack(2, len(message.entries)))

    assert all(shards.where(name) == ["a"] for name in moving)
    assert shards["a"].shard.batch() == newer


def test_who_does_not_answer_is_not_waited_for_and_what_it_should_have_stays(shards, moving, monkeypatch):
    monkeypatch.setattr(handover, "STEP_KEYS", 10)
    tries = 0
    while shards["a"].shard.handing:
        if (sending := shards["a"].shard.batch()) is not None:
            shards["a"].shard.handed(*sending, Failed("killed"))
            tries += bool(sending[1].entries)

    assert tries == handover.TRIES
    assert all(shards.where(name) == ["a"] for name in moving)
    shards.weigh({"a": 1.0, "b": 1.5})
    shards.hand_over()
    assert all(shards.where(name) == ["b"] for name in moving)


def test_a_group_that_the_new_owner_does_not_know_is_defined_first(tmp_path, clock):
    shards = ShardsBench(tmp_path, a=clock, b=clock)
    shards.join("a")
    spec = shards["a"].define()
    for name in NAMES:
        shards.set(name, name)
    shards.join("a", "b")
    sent = [(message, answer) for id, _, message, answer in shards.hand_over() if id == "a"]

    assert [type(message) for message, _ in sent[:3]] == [Adopt, Define, Adopt]
    assert sent[1] == (Define(spec), Ack(2))
    assert all(shards.where(name) == [shards.ring.owner(full(name))] for name in NAMES)
    shards.close()


@pytest.fixture
def loading(shards):
    """The names of keys that a is loading when b becomes their owner, and the loads."""
    names = [f"late-{number}" for number in range(20)]
    shards["a"].get(*names)
    shards.join("a", "b")
    return [name for name in names if shards.owner(name) is shards["b"]], shards["a"].loader.loads


def test_what_was_being_loaded_when_the_owner_changed_goes_to_the_new_owner(shards, loading):
    """The hand-over waits for it, and nobody loads it again."""
    names, loads = loading
    while shards["a"].shard.sends:
        shards.send("a")
    waits = shards["a"].shard.handing, shards["a"].shard.batch()
    for load in list(loads):
        shards["a"].end(load, {key: loaded(key) for key in load.keys})
    shards.hand_over()

    assert len(names) > 5
    assert waits == (True, None)
    assert {name: shards.where(name) for name in names} == {name: ["b"] for name in names}
    assert shards["b"].get(*names, epoch=2) == [full(name) for name in names]


def test_what_was_being_loaded_when_the_owner_changed_and_is_removed_does_not_come_back(shards, loading):
    names, loads = loading
    shards.remove(names[0])
    for load in list(loads):
        shards["a"].end(load, {key: loaded(key) for key in load.keys})
    shards.hand_over()

    assert (shards.where(names[0]), shards.where(names[1])) == ([], ["b"])


def test_the_hand_over_does_not_wait_long_for_a_load(shards, loading, clock):
    clock.advance(handover.LATE_S)
    shards.hand_over()

    assert not shards["a"].shard.handing


def test_a_shard_without_a_lease_hands_nothing_over(shards, moving):
    """It may have missed what was removed meanwhile."""
    shards["a"].versions.lease[0] = 0.0

    assert shards["a"].shard.batch() is None
    assert (shards["a"].shard.handing, shards["a"].shard.hello().handing) == (True, True)
    shards["a"].grant(Standing.LEASED)
    shards.hand_over()
    assert all(shards.where(name) == ["b"] for name in moving)


def test_a_shard_that_begins_a_new_life_has_nothing_to_hand_over(shards, moving):
    shards["a"].grant(Standing.COLD, ticket=8)

    assert (shards["a"].shard.handing, shards["a"].shard.batch()) == (False, None)


# ----------------------------------------------------------------------------------------------- receiver


def first(shards):
    """The batch that is sent next."""
    return shards["a"].shard.batch()[1]


def taken(shards, message):
    answer = shards["b"].shard.handle(message)
    return answer.done if isinstance(answer, Ack) else answer


@pytest.mark.parametrize("since", ["removed", "cleared", "set", "set and evicted", "loading", "filling", "failed"])
def test_what_is_older_than_what_happened_here_is_not_taken(shards, moving, since):
    b, name, ring = shards["b"], moving[0], shards.ring
    if since == "removed":
        b.remove(name, ring=ring)
    elif since == "cleared":
        b.clear(ring=ring)
    elif since.startswith("set"):
        b.set(name, "new", ring=ring)
        if since == "set and evicted":
            b.shard._groups.get(1).store.remove([full(name)])
    else:
        b.ask(name, epoch=2, asked=True, fill=since == "filling")
        if since == "failed":
            b.end(b.loader.loads[0], Failed("killed"))
    before = shards["b"].pages.get(full(name))
    message = first(shards)

    assert full(name) in {entry.key for entry in message.entries}
    assert taken(shards, message) == (0 if since == "cleared" else len(moving) - (since != "failed"))
    assert (shards["b"].pages.get(full(name)) == before) == (since != "failed")


def test_nothing_is_taken_from_who_knows_an_older_ring(shards, moving):
    message = first(shards)
    shards["b"].grant(Standing.LEASED, Ring(3, {"a": 1.0, "b": 1.0}, {"a": 7, "b": 7}))

    assert taken(shards, message) == Moved(3)
    assert shards["b"].pages.scan(b"") == []


def test_nothing_is_taken_that_was_meant_for_an_earlier_life(shards, moving):
    message = first(shards)
    shards["b"].grant(Standing.COLD, ticket=8)
    shards["b"].grant(Standing.LEASED, Ring(2, {"a": 1.0, "b": 1.0}, {"a": 7, "b": 8}))

    assert isinstance(taken(shards, message), Moved)
    assert shards["b"].pages.scan(b"") == []


def test_nothing_is_taken_after_a_restart_until_there_is_a_newer_ring(shards, moving):
    """The process before it may have heard of removals of which this one knows nothing."""
    message = first(shards)
    shards["b"].restart()
    assert taken(shards, message) == NoLease("b")
    shards["b"].grant(Standing.LEASED, shards.ring, groups=[shards["b"].define()])
    shards["b"].define()

    assert taken(shards, message) in (0, Moved(2))
    assert shards["b"].pages.scan(b"") == []
    shards.weigh({"a": 1.0, "b": 1.1})
    assert taken(shards, first(shards)) > 0


def test_the_window_ends_when_all_have_said_that_nothing_else_comes(shards, moving):
    message = first(shards)
    taken(shards, Adopt("a", shards.ring, (), 0.0, done=True))

    assert taken(shards, message) in (0, Moved(2))
    assert isinstance(shards["b"].get(moving[0], epoch=2)[0], InFlight)


def test_the_window_ends_after_a_while(shards, moving):
    message = first(shards)
    shards["b"].clock.advance(handover.WINDOW_S)

    assert taken(shards, message) in (0, Moved(2))


def test_who_cannot_remember_what_not_to_take_takes_nothing(shards, moving, monkeypatch):
    monkeypatch.setattr(handover, "MOST_CLOSED", 2)
    message = first(shards)
    shards["b"].remove("x", "y", "z", ring=shards.ring)

    assert taken(shards, message) in (0, Moved(2))
    assert isinstance(shards["b"].get(moving[0], epoch=2)[0], InFlight)


def test_a_message_that_comes_twice_is_taken_once(shards, moving):
    message = first(shards)

    assert (taken(shards, message), taken(shards, message)) == (len(moving), 0)


def test_a_batch_teaches_the_new_ring(shards, moving):
    message = Adopt("a", Ring(9, {"a": 1.0, "b": 1.0}, {"a": 7, "b": 7}), (), 0.0)

    assert shards["b"].shard.handle(message) == Ack(9, 0)
    assert shards["b"].shard.hello().epoch == 9


# --------------------------------------------------------------------------------------------------- times


def test_an_entry_lives_as_long_at_its_new_owner_as_it_would_have(shards):
    for name in NAMES:
        shards.set(name, name, ttl_s=10.0)
    shards.join("a", "b")
    shards.hand_over()
    name = next(name for name in NAMES if shards.owner(name) is shards["b"])
    shards["b"].clock.advance(9.9)

    assert shards["b"].peek(name, epoch=2) == [name]
    shards["b"].clock.advance(0.1)
    assert shards["b"].peek(name, epoch=2) == [Missing()]
    assert record.sound(full("x"), record.sealed(full("x"), record.shifted(bytes(30), 1.0)))


def test_an_entry_that_waits_to_be_sent_lives_no_longer(shards):
    for name in NAMES:
        shards.set(name, name, ttl_s=10.0)
    shards.join("a", "b")
    target, message = shards["a"].shard.batch()
    shards["a"].shard.handed(target, message, None)
    for id in "ab":
        shards[id].clock.advance(6.0)
    shards.hand_over()
    name = next(name for name in NAMES if shards.owner(name) is shards["b"])
    shards["b"].clock.advance(4.0)

    assert shards["b"].peek(name, epoch=2) == [Missing()]


# -------------------------------------------------------------------------------------- who may still have it


def test_a_new_owner_says_who_may_still_have_a_key(shards, moving):
    answers = [shards["b"].get(moving[0], epoch=2, load=load) for load in (True, False)]

    assert answers == [[Elsewhere(("a",))]] * 2
    assert shards["b"].loader.loads == []
    assert shards["a"].peek(moving[0], epoch=2, standin=True) == [f"value of {moving[0]}"]


def test_who_was_asked_in_vain_is_not_named_again(shards, moving):
    assert isinstance(shards["b"].get(moving[0], epoch=2, asked=True)[0], InFlight)
    assert isinstance(shards["b"].get(moving[1], epoch=2, fresh=True)[0], InFlight)


def test_of_a_key_that_was_removed_or_is_being_loaded_nobody_else_has_anything(shards, moving):
    shards["b"].remove(moving[0], ring=shards.ring)
    shards["b"].get(moving[1], epoch=2, asked=True)

    assert [type(shards["b"].get(name, epoch=2)[0]) for name in moving[:2]] == [InFlight, InFlight]
    assert shards["b"].peek(moving[0], epoch=2) == [Missing()]


def test_when_all_is_handed_over_nobody_else_has_anything(shards, moving):
    shards.hand_over()

    assert isinstance(shards["b"].get("never set", epoch=2, standin=True)[0], InFlight)
