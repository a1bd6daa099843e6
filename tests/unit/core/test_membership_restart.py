"""The membership in another process: it goes on with what was kept, and takes the rest at its worst."""

from __future__ import annotations

import copy

import pytest
from member_bench import LEASE_S, MemberBench

from raycache.core.membership import DRAIN_S, LEASES_UNHEARD
from raycache.core.messages import Grant, Standing

COLD, LEASED, WAITING = Standing.COLD, Standing.LEASED, Standing.WAITING


@pytest.fixture
def bench(clock):
    return MemberBench(clock)


def test_it_goes_on_with_the_same_members_at_the_same_epoch(bench):
    bench.join("a", "b")
    again = bench.restarted()

    assert again.members.view == bench.members.view
    assert again.members.state() == bench.members.state()
    assert (again.hello("a"), again.hello("b")) == (Grant(LEASED), Grant(LEASED))


def test_a_fenced_member_stays_fenced_and_is_taken_to_hold_a_lease_that_was_granted_just_now(bench):
    bench.join("a", "b")
    bench.fence("a")
    bench.clock.advance(LEASE_S - 0.5)
    again = bench.restarted()

    assert again.standing("a") is COLD
    assert (again.fence("a").done, again.fence("a").wait_s) == (False, LEASE_S)
    again.pass_time(LEASE_S - 0.5, "b")
    assert not again.fence("a").done
    again.pass_time(0.5, "b")
    assert (again.fence("a").done, set(again.lives)) == (True, {"b"})


def test_a_life_that_was_leased_is_not_ended_before_its_lease_is(bench):
    """Of leases nothing is kept: a fence waits a whole one."""
    bench.join("a", "b")
    again = bench.restarted()

    assert (again.fence("a").done, again.fence("a").wait_s) == (False, LEASE_S)


def test_members_get_time_to_find_it(bench):
    bench.join("a", "b")
    bench.clock.advance(100.0)
    again = bench.restarted()
    again.pass_time(LEASES_UNHEARD * LEASE_S, "b")

    assert set(again.lives) == {"a", "b"}
    again.pass_time(0.5, "b")
    assert set(again.lives) == {"b"}


def test_who_waited_waits_on_until_all_have_acknowledged_to_this_process(bench):
    bench.join("a")
    bench.enter("b")
    again = bench.restarted()

    assert (again.standing("b"), again.members.behind()) == (WAITING, ["a"])
    assert (again.standing("a"), again.standing("b")) == (LEASED, LEASED)


def test_who_had_been_let_in_keeps_its_lease_though_others_are_silent(bench):
    bench.join("a", "b")
    again = bench.restarted()

    assert again.standing("b") is LEASED


def test_a_ticket_that_was_given_before_can_be_used_and_is_used_once(bench):
    ticket = bench.hello("a", ticket=0).ticket
    again = bench.restarted()

    assert again.standing("a", ticket=ticket, epoch=-1) is LEASED
    again.leave("a", ticket=ticket)
    assert again.standing("a", ticket=ticket) is COLD


def test_epochs_go_on(bench):
    bench.join("a", "b")
    bench.leave("b")
    epoch = bench.epoch
    again = bench.restarted()
    again.enter("c")

    assert again.epoch == epoch + 1


def test_weights_and_who_is_to_leave_are_kept_and_the_time_for_that_begins_anew(bench):
    bench.join("a", "b", "c")
    bench.members.weigh({"b": 2.0})
    bench.members.drain(["a"], ["n1"], 1.0)
    bench.clock.advance(1.0)
    again = bench.restarted()

    assert again.members.view.ring.members == {"a": 0.0, "b": 2.0, "c": 1.0}
    assert (again.members.barred("n1"), again.members.drained()) == (True, [])
    bench.clock.advance(DRAIN_S)
    assert again.members.drained() == ["a"]


def test_what_was_kept_is_not_changed_by_what_comes_later(bench):
    bench.join("a", "b")
    bench.hello("c", ticket=0)
    kept = bench.members.state()
    before = copy.deepcopy(kept)
    bench.enter("c")
    bench.members.weigh({"a": 2.0})
    bench.members.drain(["b"], ["n1"], 1.0)
    bench.fence("a")
    bench.leave("b")

    assert kept == before


CHANGES = {
    "a ticket is given": lambda bench: bench.hello("new", ticket=0),
    "a member comes": lambda bench: bench.enter("new"),
    "a joiner is let in": lambda bench: bench.hello("b"),
    "a member is fenced": lambda bench: bench.fence("a"),
    "a member leaves": lambda bench: bench.leave("a"),
    "a member is given up": lambda bench: bench.pass_time(4 * LEASE_S),
    "another weight": lambda bench: bench.members.weigh({"a": 2.0}),
    "a member is to leave": lambda bench: bench.members.drain(["a"], [], 1.0),
    "a node is drained": lambda bench: bench.members.drain([], ["n1"], 1.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_kept_counts_as_a_change(bench, change):
    bench.join("a", "b")
    bench.enter("c")
    bench.hello("a")
    before, changes = bench.members.state(), bench.members.changes
    change(bench)

    assert bench.members.state() != before
    assert bench.members.changes > changes


def test_a_lease_that_is_renewed_is_no_change(bench):
    """Else every renewal would be written to disk."""
    bench.join("a", "b")
    changes = bench.members.changes
    bench.pass_time(10.0, "a", "b")

    assert bench.members.changes == changes
