"""Operations whose client died, or gave up, between the two rounds: the owner finishes them."""

from __future__ import annotations

import pytest
from shard_bench import ALONE, TICKET, full, ring

from raycache.core.codec import Codec
from raycache.core.messages import Ack, Bump, Delete, Missing, Set
from raycache.core.unconfirmed import MOST_ENDED, PATIENCE_S, TURN_S, Begun, Unconfirmed

SHARED = ring(2, "there")
OURS = next(name for name in "abcdefgh" if SHARED.owner(full(name)) == "here")
THEIRS = next(name for name in "abcdefgh" if SHARED.owner(full(name)) == "there")
A = Begun(5, 1, (b"a",), stored=False)


@pytest.fixture
def operations(clock):
    return Unconfirmed(clock)


def test_what_is_not_confirmed_in_time_is_to_be_finished(operations, clock):
    operations.begin(A, 0)
    clock.advance(PATIENCE_S - 0.1)

    assert operations.overdue() == []
    clock.advance(0.1)
    assert operations.overdue() == [A]


def test_it_comes_again_until_it_was_finished(operations, clock):
    operations.begin(A, 0)
    seen = []
    for _ in range(4):
        clock.advance(PATIENCE_S / 2)
        seen.append(operations.overdue())
    operations.end(5)
    clock.advance(2 * PATIENCE_S)

    assert (seen, operations.overdue()) == ([[], [A], [], [A]], [])


def test_a_client_that_repeats_the_first_round_gets_no_more_time(operations, clock):
    """Else one that repeats it for ever would leave it half-told for ever."""
    operations.begin(A, 0)
    clock.advance(PATIENCE_S)
    operations.begin(A, 0)

    assert operations.overdue() == [A]


def test_an_operation_without_a_number_is_not_remembered(operations, clock):
    operations.begin(A._replace(operation=0), 0)
    operations.end(0)
    clock.advance(PATIENCE_S)

    assert (operations.overdue(), operations.over(0)) == ([], False)


def test_the_latest_operations_that_have_ended_are_known(operations):
    for number in range(1, MOST_ENDED + 3):
        operations.end(number)

    assert [operations.over(number) for number in (1, 2, 3, MOST_ENDED + 2, MOST_ENDED + 3)] == [
        False,
        False,
        True,
        True,
        False,
    ]


# ------------------------------------------------------------------------------------------------- shard


def overdue(bench):
    bench.clock.advance(10 * PATIENCE_S)
    return [(begun.operation, begun.keys, begun.stored, spec.id) for begun, spec in bench.shard.overdue()]


def a_set(name, operation, ring=SHARED):
    return Set(1, ((full(name), Codec().encode("value"), None),), ring, operation)


FIRST_ROUNDS = {
    "remove": (Delete(1, (full(OURS),), SHARED, operation=9), (full(OURS),), False, 0),
    "remove of somebody else's": (Delete(1, (full(THEIRS),), SHARED, operation=9), (full(THEIRS),), False, 1),
    "copies, in a set elsewhere": (
        Delete(1, (full(THEIRS),), SHARED, removal=False, operation=9),
        (full(THEIRS),),
        True,
        1,
    ),
    "clear, as the first of all": (Delete(1, None, SHARED, operation=9), None, False, 0),
    "clear, as the second": (Delete(1, None, ring(2, "a", "z"), operation=9), None, False, 1),
    "set": (a_set(OURS, 9), (full(OURS),), True, 0),
}


@pytest.mark.parametrize(("ask", "keys", "stored", "turn"), FIRST_ROUNDS.values(), ids=FIRST_ROUNDS)
def test_a_first_round_is_to_be_finished_by_its_owner_and_by_others_in_turn(bench, ask, keys, stored, turn):
    """The owner may be the one that was lost."""
    bench.define()
    bench.shard.handle(ask)
    bench.clock.advance(PATIENCE_S + turn * TURN_S - 0.1)

    assert bench.shard.overdue() == []
    bench.clock.advance(0.1)
    assert [begun for begun, _ in bench.shard.overdue()] == [Begun(9, 1, keys, stored)]


@pytest.mark.parametrize(("ask", "keys", "stored", "turn"), FIRST_ROUNDS.values(), ids=FIRST_ROUNDS)
def test_after_the_second_round_nothing_is_to_be_finished(bench, ask, keys, stored, turn):
    bench.define()
    bench.shard.handle(ask)
    bench.shard.handle(Bump(keys, 9))

    assert overdue(bench) == []


def test_a_first_round_that_comes_when_its_operation_is_over_is_not_finished_again(bench):
    bench.define()
    bench.shard.handle(Bump((full("a"),), 9))
    bench.shard.handle(Delete(1, (full("a"),), ALONE, operation=9))

    assert overdue(bench) == []


def test_an_operation_on_keys_of_several_owners_is_finished_as_a_whole(operations, clock):
    operations.begin(A, 0)
    operations.begin(A._replace(keys=(b"b", b"a")), 3)
    clock.advance(PATIENCE_S)

    assert operations.overdue() == [A._replace(keys=(b"a", b"b"))]


def test_what_the_owner_has_finished_is_over(bench):
    bench.define()
    bench.shard.handle(a_set(OURS, 9))
    bench.clock.advance(PATIENCE_S)
    ((begun, _),) = bench.shard.overdue()
    bench.shard.finished(begun)

    assert overdue(bench) == []


def test_a_set_that_arrives_when_its_operation_is_over_stores_nothing(bench):
    """It was finished without it: somebody may have stored something newer, or removed it, since."""
    bench.define()
    bench.shard.handle(Bump((full("a"),), 9))

    assert bench.shard.handle(a_set("a", 9, ALONE)) == Ack(1, 0)
    assert (bench.peek("a"), overdue(bench)) == ([Missing()], [])
    assert bench.shard.handle(a_set("a", 10, ALONE)) == Ack(1, 1)


@pytest.mark.parametrize("ticket", [TICKET + 1, None], ids=["another life", "no life"])
def test_a_set_that_was_meant_for_another_life_stores_nothing(bench, ticket):
    bench.define()
    stranger = ring(2)
    stranger.lives.clear()
    stranger.lives.update({} if ticket is None else {"here": ticket})
    answer = bench.shard.handle(a_set("a", 9, stranger))

    assert type(answer).__name__ == "Moved"
    assert bench.peek("a", epoch=2) == [Missing()]


def test_of_a_group_that_was_replaced_nothing_is_to_be_finished(bench):
    bench.define(1)
    bench.shard.handle(a_set(OURS, 9))
    bench.define(2)

    assert overdue(bench) == []
