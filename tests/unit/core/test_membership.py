"""Membership: one life by a ticket that is used once, leases, fences, and epochs that come when they may."""

from __future__ import annotations

import pytest
from member_bench import LEASE_S, MemberBench, place

from raycache.core.membership import LEASES_BEHIND, LEASES_UNHEARD
from raycache.core.messages import Fenced, Grant, Standing, View

COLD, LEASED, WAITING = Standing.COLD, Standing.LEASED, Standing.WAITING


@pytest.fixture
def bench(clock):
    return MemberBench(clock)


# ----------------------------------------------------------------------------------------------- tickets


def test_a_shard_without_a_life_is_cold_and_gets_a_ticket(bench):
    assert bench.hello(ticket=0) == Grant(COLD, ticket=1)
    assert (bench.lives, bench.epoch) == ({}, 0)


def test_the_first_member_has_a_lease_at_once_and_is_told_the_ring_with_itself(bench):
    grant = bench.enter("a", weight=2.0)

    assert (grant.standing, grant.ticket) == (LEASED, 0)
    assert (grant.view.ring.members, grant.view.ring.lives, grant.view.ring.epoch) == ({"a": 2.0}, {"a": 1}, 1)
    assert grant.view.places == {"a": place("a")}


def test_a_ticket_that_was_not_used_yet_is_told_again(bench):
    """The answer may have been lost."""
    assert [bench.hello("a", ticket=0).ticket for _ in range(3)] == [1, 1, 1]
    assert bench.hello("b", ticket=0).ticket == 2


def test_a_ticket_is_used_once(bench):
    """A late message with the ticket of a life that has ended begins no new one."""
    bench.join("a")
    bench.leave("a")

    assert bench.hello("a", ticket=1) == Grant(COLD, ticket=2)
    assert bench.lives == {}


@pytest.mark.parametrize("ticket", [2, 999], ids=["of another", "of nobody"])
def test_a_ticket_that_was_not_given_to_this_shard_makes_no_member(bench, ticket):
    bench.hello("a", ticket=0)
    bench.hello("b", ticket=0)

    assert bench.hello("a", ticket=ticket) == Grant(COLD, ticket=1)
    assert bench.lives == {}


def test_a_message_of_another_life_of_a_member_is_ignored(bench):
    bench.join("a")
    before = bench.members.state()

    assert bench.hello("a", ticket=999) is None
    assert bench.members.state() == before


def test_a_member_that_has_lost_its_memory_begins_anew_when_its_last_lease_has_run_out(bench):
    """Readers may still have the old memory open, in which that lease is written."""
    bench.join("a", "b")
    seen = []
    for _ in range(4):
        seen.append(bench.hello("a", ticket=0))
        bench.pass_time(1.0, "b")

    assert seen == [None, None, None, Grant(COLD, ticket=3)]
    assert set(bench.lives) == {"b"}


def test_a_message_of_another_life_keeps_no_member_alive(bench):
    bench.join("a")
    for _ in range(10):
        bench.clock.advance(1.0)
        bench.hello("a", ticket=999)
        bench.members.tick()

    assert bench.lives == {}


def test_a_member_that_asks_again_is_told_nothing_that_it_knows(bench):
    bench.join("a")
    epoch = bench.epoch

    assert bench.hello("a") == Grant(LEASED)
    assert bench.hello("a", epoch=epoch - 1) == Grant(LEASED, bench.members.view)
    assert bench.epoch == epoch


def test_who_comes_with_a_new_ticket_ends_its_own_earlier_life_at_once(bench):
    """It has given up its lease before it took the ticket: nobody needs to wait for that to run out."""
    bench.join("a", "b")
    bench.fence("a")
    (ticket,) = {bench.hello("a").ticket}
    epoch = bench.epoch
    grant = bench.hello("a", ticket=ticket, epoch=-1)

    assert (grant.standing, grant.view.ring.lives) == (WAITING, {"a": ticket, "b": 2})
    assert bench.epoch == epoch + 1
    bench.renew("b")
    assert bench.standing("a", ticket=ticket) is LEASED


# ------------------------------------------------------------------------------------------------ fences


def test_a_fenced_member_gets_no_lease_any_more(bench):
    bench.join("a", "b")
    bench.fence("a")

    assert [bench.standing("a") for _ in range(3)] == [COLD] * 3
    assert bench.standing("b") is LEASED


def test_a_fence_is_done_when_the_last_lease_has_run_out_and_the_epoch_without_the_member_comes_then(bench):
    bench.join("a", "b")
    bench.clock.advance(1.0)
    bench.renew()
    bench.clock.advance(1.0)
    epoch = bench.epoch

    assert bench.fence("a") == Fenced(False, LEASE_S - 1.0, bench.members.view)
    bench.pass_time(1.5, "b")
    assert bench.fence("a") == Fenced(False, 0.5, bench.members.view)
    assert (bench.epoch, set(bench.lives)) == (epoch, {"a", "b"})
    bench.pass_time(0.5, "b")
    assert bench.fence("a") == Fenced(True, 0.0, bench.members.view)
    assert (bench.epoch, set(bench.lives)) == (epoch + 1, {"b"})


def test_a_fence_is_seen_to_by_whoever_asks_though_nobody_ticks(bench):
    bench.join("a", "b")
    bench.fence("a")
    bench.clock.advance(LEASE_S)

    assert bench.fence("a").done
    assert set(bench.lives) == {"b"}


@pytest.mark.parametrize("ticket", [999, None], ids=["an earlier life", "a life that has ended"])
def test_a_fence_of_a_life_that_is_over_is_done_and_touches_no_other(bench, ticket):
    bench.join("a", "b")
    if ticket is None:
        bench.leave("a")

    assert bench.fence("a", ticket) == Fenced(True, 0.0, bench.members.view)
    assert bench.standing("b") is LEASED
    assert ticket is None or bench.standing("a") is LEASED


def test_a_member_that_has_no_lease_yet_is_out_at_once_when_it_is_fenced(bench):
    bench.join("a")
    bench.enter("b")

    assert bench.fence("b") == Fenced(True, 0.0, bench.members.view)
    assert set(bench.lives) == {"a"}


def test_a_member_that_is_not_heard_of_is_given_up(bench):
    bench.join("a", "b")
    bench.pass_time(LEASES_UNHEARD * LEASE_S, "b")

    assert set(bench.lives) == {"a", "b"}
    bench.pass_time(0.5, "b")
    assert set(bench.lives) == {"b"}
    assert bench.standing("a") is COLD


def test_a_member_that_comes_back_in_time_stays_the_one_it_was(bench):
    bench.join("a", "b")
    epoch = bench.epoch
    bench.pass_time(LEASES_UNHEARD * LEASE_S - 0.5, "b")

    assert bench.hello("a", epoch=-1, fresh=True) == Grant(LEASED, bench.members.view)
    bench.pass_time(LEASE_S, "a", "b")
    assert (bench.epoch, bench.lives) == (epoch, {"a": 1, "b": 2})


# --------------------------------------------------------------------------------------------- the barrier


def test_a_joiner_has_no_lease_before_all_others_have_acknowledged_it(bench):
    bench.join("a", "b")
    old = bench.epoch

    assert bench.enter("c").standing is WAITING
    assert (bench.standing("a"), bench.standing("c")) == (LEASED, WAITING)
    assert (bench.standing("b", epoch=old), bench.standing("c")) == (LEASED, WAITING)
    assert sorted(bench.members.behind()) == ["b"]
    assert (bench.standing("b"), bench.standing("c")) == (LEASED, LEASED)


def test_joiners_wait_for_each_other_too(bench):
    assert (bench.enter("a").standing, bench.enter("b").standing) == (LEASED, WAITING)
    assert bench.enter("c").standing is WAITING
    bench.renew("a")

    assert bench.standing("b") is WAITING  # c knows nothing yet, but this is how b acknowledges c
    assert bench.standing("c") is LEASED
    assert bench.standing("b") is LEASED


def test_who_keeps_a_joiner_waiting_is_given_up(bench):
    """It renews its lease, and does not learn."""
    bench.join("a", "b")
    old = bench.epoch
    bench.enter("c")
    for _ in range(2 * LEASES_BEHIND * round(LEASE_S)):
        bench.clock.advance(0.5)
        bench.hello("b", epoch=old)
        bench.renew("a", "c")
        bench.members.tick()

    assert set(bench.lives) == {"a", "b", "c"}
    assert (bench.standing("b", epoch=old), bench.standing("c")) == (LEASED, WAITING)
    bench.pass_time(0.5, "a", "c")
    assert (bench.standing("b", epoch=old), bench.standing("c")) == (COLD, WAITING)
    bench.pass_time(LEASE_S, "a", "c")
    assert (set(bench.lives), bench.standing("c")) == ({"a", "c"}, LEASED)


def test_who_has_only_just_come_is_not_given_up_for_a_joiner_that_has_waited_long(bench):
    bench.join("a", "b")
    bench.enter("c")
    bench.pass_time(LEASES_BEHIND * LEASE_S, "a", "c")
    bench.enter("d")
    bench.pass_time(0.5, "a", "c")

    assert bench.standing("d") is not COLD


def test_a_new_ring_is_to_be_learned_by_those_who_have_not_acknowledged_it(bench):
    bench.join("a", "b", "c")

    assert bench.members.behind() == []
    bench.leave("c")
    assert bench.members.behind() == ["a", "b"]
    bench.renew("a")
    assert bench.members.behind() == ["b"]


def test_an_acknowledgement_that_arrives_late_takes_none_back(bench):
    bench.join("a", "b")
    bench.hello("a", epoch=0)

    assert bench.members.behind() == []


# ------------------------------------------------------------------------------------- leaving and weights


def test_a_member_that_leaves_is_gone_at_once(bench):
    bench.join("a", "b")
    epoch = bench.epoch
    view = bench.leave("a")

    assert isinstance(view, View)
    assert (view.ring.members, view.ring.epoch, set(view.places)) == ({"b": 1.0}, epoch + 1, {"b"})


def test_the_leave_of_an_earlier_life_changes_nothing(bench):
    bench.join("a")
    before = bench.members.view

    assert bench.leave("a", ticket=999) == before
    assert bench.leave("b", ticket=1) == before


def test_a_view_that_was_given_is_not_changed_by_what_comes_later(bench):
    first = bench.enter("a").view
    bench.enter("b")
    bench.leave("a")

    assert (first.ring.members, first.ring.lives, set(first.places)) == ({"a": 1.0}, {"a": 1}, {"a"})


def test_a_member_weighs_what_it_said_until_somebody_says_otherwise(bench):
    bench.join("a", "b")
    epoch = bench.epoch
    view = bench.members.weigh({"a": 2.5, "nobody": 9.0})

    assert (view.ring.members, view.ring.epoch) == ({"a": 2.5, "b": 1.0}, epoch + 1)
    assert bench.members.weigh({"a": 2.5}).ring.epoch == epoch + 1
    bench.renew()
    assert bench.members.view.ring.members["a"] == 2.5
