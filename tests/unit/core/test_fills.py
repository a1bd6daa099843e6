"""Fills: one token per key, renewed or taken over, and no result under one that is not current."""

from __future__ import annotations

import pytest
from hand_loader import absent, loaded, raised

from raycache.core.fills import KEPT_S, TOKEN_S, Fills
from raycache.core.messages import Filling, Orphaned, Token, group_prefix

A, B, OTHER = group_prefix(1) + b"a", group_prefix(1) + b"b", group_prefix(2) + b"a"


@pytest.fixture
def fills(clock):
    return Fills(clock)


def claimed(fills: Fills, key: bytes = A, fresh: bool = False) -> int:
    token = fills.claim(key, fresh)
    assert isinstance(token, Token)
    return token.number


def test_the_first_who_asks_gets_the_token_and_others_are_told_to_wait(fills):
    number = claimed(fills)

    assert [fills.claim(A, False) for _ in range(3)] == [Filling()] * 3
    assert claimed(fills, B) != number
    assert (A in fills, OTHER in fills) == (True, False)


def test_a_result_is_kept_once(fills):
    number = claimed(fills)

    assert [fills.end(A, number, loaded("value")), fills.end(A, number, loaded("value"))] == [True, False]
    assert A not in fills
    assert claimed(fills) != number


def test_a_token_of_another_key_or_life_keeps_nothing(fills, clock):
    number = claimed(fills)
    claimed(fills, B)

    assert (fills.end(B, number, loaded("value")), fills.renew(B, number)) == (False, False)
    assert not Fills(clock).end(A, number, loaded("value"))
    assert claimed(Fills(clock)) != claimed(Fills(clock))


def test_a_token_lives_as_long_as_it_is_renewed(fills, clock):
    number = claimed(fills)
    for _ in range(5):
        clock.advance(TOKEN_S - 0.1)
        assert fills.renew(A, number)
        assert fills.claim(A, False) == Filling()
    clock.advance(TOKEN_S)

    assert A not in fills
    assert claimed(fills) != number


def test_an_overdue_token_goes_to_the_next_and_the_old_one_keeps_nothing(fills, clock):
    old = claimed(fills)
    clock.advance(TOKEN_S)
    new = claimed(fills)

    assert (fills.renew(A, old), fills.end(A, old, loaded("old"))) == (False, False)
    assert fills.claim(A, False) == Filling()
    assert (fills.renew(A, new), fills.end(A, new, loaded("new"))) == (True, True)


def test_an_overdue_token_that_nobody_took_still_brings_its_result(fills, clock):
    number = claimed(fills)
    clock.advance(10 * TOKEN_S)

    assert fills.end(A, number, loaded("late"))


def test_an_overdue_token_that_was_let_go_keeps_nothing(fills, clock):
    number = claimed(fills)
    clock.advance(TOKEN_S)
    fills.forget_overdue()

    assert not fills.end(A, number, loaded("late"))


def test_letting_go_of_the_overdue_leaves_the_others(fills, clock):
    claimed(fills)
    clock.advance(TOKEN_S - 0.1)
    number = claimed(fills, B)
    clock.advance(0.1)
    fills.forget_overdue()

    assert (A in fills, B in fills, fills.end(B, number, loaded("value"))) == (False, True, True)


def test_who_wants_it_anew_gets_a_token_beside_one_that_is_current(fills):
    old = claimed(fills)
    new = claimed(fills, fresh=True)

    assert (fills.end(A, old, loaded("old")), fills.end(A, new, loaded("new"))) == (False, True)


def test_a_key_that_was_removed_is_computed_anew_and_the_old_result_not_kept(fills):
    old = claimed(fills)
    fills.take_out([A, B])
    new = claimed(fills)

    assert (fills.end(A, old, loaded("old")), fills.end(A, new, loaded("new"))) == (False, True)


def test_all_tokens_of_a_group_are_taken_out(fills):
    numbers = {key: claimed(fills, key) for key in (A, B, OTHER)}
    fills.take_out_group(1)

    assert [fills.end(key, number, loaded(1)) for key, number in numbers.items()] == [False, False, True]


ENDS = {"exception": raised(ValueError("no")), "not found": absent("no a")}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_how_it_ended_reaches_those_who_were_told_to_wait(fills, clock, end):
    number = claimed(fills)
    fills.claim(A, False)
    fills.end(A, number, end)

    assert (fills.ended(A), fills.ended(B)) == (end, None)
    clock.advance(KEPT_S)
    assert fills.ended(A) is None


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_where_nobody_waits_its_end_is_not_kept(fills, end):
    fills.end(A, claimed(fills), end)

    assert fills.ended(A) is None


def test_a_value_lies_in_the_store_and_not_here(fills):
    number = claimed(fills)
    fills.claim(A, False)
    fills.end(A, number, loaded("value"))

    assert fills.ended(A) is None


def test_those_who_wait_for_a_holder_that_died_wait_for_the_next_one(fills, clock):
    claimed(fills)
    fills.claim(A, False)
    clock.advance(TOKEN_S)
    fills.end(A, claimed(fills), ENDS["exception"])

    assert fills.ended(A) == ENDS["exception"]


@pytest.mark.parametrize("take", [lambda fills: fills.take_out([A]), lambda fills: fills.take_out_group(1)])
def test_a_removal_takes_the_end_with_it(fills, take):
    number = claimed(fills)
    fills.claim(A, False)
    fills.end(A, number, ENDS["exception"])
    take(fills)

    assert fills.ended(A) is None


def test_a_new_computation_takes_the_end_of_the_old_one_with_it(fills):
    number = claimed(fills)
    fills.claim(A, False)
    fills.end(A, number, ENDS["exception"])
    claimed(fills)

    assert fills.ended(A) is None


def test_a_token_that_is_given_back_is_the_next_ones(fills):
    old = claimed(fills)
    fills.claim(A, False)

    assert (fills.end(A, old, Orphaned()), fills.ended(A), A in fills) == (True, None, False)
    assert claimed(fills) != old


def test_ends_that_nobody_asked_for_are_let_go(fills, clock):
    for number in range(100):
        key = A + bytes([number])
        token = claimed(fills, key)
        fills.claim(key, False)
        fills.end(key, token, ENDS["exception"])
    clock.advance(KEPT_S)
    fills.forget_overdue()

    assert (fills._held, fills._ended) == ({}, {})
