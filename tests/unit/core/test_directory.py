"""The directory: members by epoch, groups that are the same for everybody, and what a restart makes of both."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from member_bench import LEASE_S, place

from raycache.core.directory import Directory
from raycache.core.messages import (
    Drain,
    Fence,
    GetGroups,
    GetOptions,
    GetView,
    GroupSpec,
    Hello,
    Leave,
    Refused,
    Register,
    Scale,
    Standing,
    Suspect,
    Weigh,
)
from raycache.options import CacheOptions, GroupOptions

OPTIONS = CacheOptions(capacity_bytes=1000, lease_s=LEASE_S)
USERS = GroupSpec(0, "users", GroupOptions(capacity_bytes=600), b"getter", "app.fetch_user", "code 1")


@pytest.fixture
def tickets():
    return itertools.count(1).__next__


@pytest.fixture
def directory(clock, tickets):
    return Directory(OPTIONS, clock=clock, tickets=tickets)


@pytest.fixture
def again(directory, clock, tickets):
    """Makes the directory again in another process: of what it has kept, or, if that is lost, of nothing."""

    def make(lost=0):
        if lost:
            return Directory(directory.options, clock=clock, tickets=tickets, lost=lost)
        return Directory.restored(directory.state(), clock=clock, tickets=tickets)

    return make


def hello(directory, id, ticket=0, epoch=-1, **options):
    return directory.handle(Hello(id, place(id), 1.0, ticket, epoch, 0.0, **options))


def join(directory, *ids):
    """These are members, and know it; their tickets."""
    tickets = {id: hello(directory, id).ticket for id in ids}
    for _ in range(2):
        for id, ticket in tickets.items():
            hello(directory, id, ticket, directory.view.ring.epoch)
    return tickets


# ----------------------------------------------------------------------------------------------- members


def test_there_are_no_members_and_no_groups_at_first(directory):
    view = directory.handle(GetView())

    assert (view.ring.members, view.places, directory.handle(GetGroups())) == ({}, {}, {})
    assert directory.handle(GetOptions()) == OPTIONS


def test_everybody_is_told_the_same_members(directory):
    tickets = join(directory, "a", "b")
    view = directory.handle(GetView())

    assert (view.ring.members, view.ring.lives) == ({"a": 1.0, "b": 1.0}, tickets)
    assert view.places == {"a": place("a"), "b": place("b")}
    assert directory.handle(Suspect(("a",))) == directory.handle(Fence("nobody", 1)).view == view


def test_what_is_asked_of_members_is_answered_with_the_ring_that_comes_of_it(directory):
    tickets = join(directory, "a", "b", "c")

    assert directory.handle(Weigh({"a": 2.0})).ring.members == {"a": 2.0, "b": 1.0, "c": 1.0}
    assert directory.handle(Drain(("b",), ("n1",))).ring.members == {"a": 2.0, "b": 0.0, "c": 1.0}
    assert directory.handle(Leave("c", tickets["c"])).ring.members == {"a": 2.0, "b": 0.0}
    assert directory.members.barred("n1")


def test_members_that_are_not_heard_of_are_given_up(directory, clock):
    join(directory, "a")
    clock.advance(10 * LEASE_S)
    directory.tick()

    assert directory.handle(GetView()).ring.members == {}


def test_a_fresh_process_of_a_member_is_told_whose_its_entries_are(directory):
    users = directory.handle(Register(USERS))
    ticket = join(directory, "a")["a"]

    assert hello(directory, "a", ticket, fresh=True).groups == (users,)
    assert hello(directory, "a", ticket).groups == ()
    assert hello(directory, "b", fresh=True).groups == ()


def test_another_number_of_shards_on_every_node_is_an_option_from_then_on(directory, again):
    assert directory.handle(Scale(3)) == replace(OPTIONS, shards_per_node=3)
    assert directory.handle(GetOptions()).shards_per_node == again().handle(GetOptions()).shards_per_node == 3


def test_where_nothing_can_get_lost_leases_are_for_ever(clock, tickets):
    """So it is in the inline cache."""
    directory = Directory(replace(OPTIONS, lease_s=math.inf), clock=clock, tickets=tickets)
    join(directory, "a")
    clock.advance(1e9)
    directory.tick()

    assert set(directory.view.ring.members) == {"a"}


# ---------------------------------------------------------------------------------------------- restarts


def test_a_directory_that_is_made_again_goes_on_as_before(directory, again):
    tickets, users = join(directory, "a", "b"), directory.handle(Register(USERS))
    other = again()

    assert other.handle(GetView()) == directory.handle(GetView())
    assert other.handle(GetGroups()) == {"users": users}
    assert other.state() == directory.state()
    assert hello(other, "a", tickets["a"]).standing is Standing.LEASED
    options = GroupOptions(capacity_bytes=1)
    assert other.handle(Register(replace(USERS, name="others", options=options))).id > users.id


CHANGES = {
    "a group": lambda directory: directory.handle(Register(USERS)),
    "a member": lambda directory: join(directory, "b"),
    "an option": lambda directory: directory.handle(Scale(2)),
    "a weight": lambda directory: directory.handle(Weigh({"a": 2.0})),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_must_be_kept_counts_as_a_change(directory, change):
    join(directory, "a")
    before, changes = directory.state(), directory.changes
    change(directory)

    assert directory.state() != before
    assert directory.changes > changes


def test_a_question_changes_nothing(directory):
    tickets = join(directory, "a")
    directory.handle(Register(USERS))
    changes = directory.changes
    for ask in (GetView(), GetGroups(), GetOptions(), Suspect(("a",)), Register(USERS), Fence("b", 1), Leave("b", 1)):
        directory.handle(ask)
    hello(directory, "a", tickets["a"])

    assert directory.changes == changes


def test_a_directory_that_has_lost_what_it_knew_says_nothing_for_a_lease(directory, again, clock):
    """Leases that the one before it gave may still be valid."""
    tickets = join(directory, "a")
    other = again(lost=7)
    clock.advance(LEASE_S)
    other.tick()

    assert (hello(other, "a", tickets["a"], 5), hello(other, "b"), other.handle(GetView())) == (None, None, None)
    fenced = other.handle(Fence("a", tickets["a"]))
    assert (fenced.done, fenced.wait_s > 0, fenced.view) == (False, True, None)


@pytest.mark.parametrize("lost", [7, 1000], ids=["shards know more", "shards know less"])
def test_after_that_everybody_is_cold_and_epochs_are_greater_than_all_before(directory, again, clock, lost):
    tickets = join(directory, "a", "b")
    other = again(lost=lost)
    hello(other, "a", tickets["a"], 41)
    hello(other, "b", tickets["b"], 17)
    clock.advance(LEASE_S + 0.1)
    grants = {id: hello(other, id, tickets[id], 41) for id in tickets}

    assert {grant.standing for grant in grants.values()} == {Standing.COLD}
    assert not {grant.ticket for grant in grants.values()} & set(tickets.values())
    assert other.handle(GetView()).ring.members == {}
    assert other.handle(GetView()).ring.epoch == max(42, lost)
    assert hello(other, "a", grants["a"].ticket).standing is Standing.LEASED


def test_one_that_is_restarted_once_more_while_it_is_silent_is_silent_as_well(directory, again, clock, tickets):
    """Its members are not none: they are not known. And epochs do not go back."""
    join(directory, "a")
    other = again(lost=1000)
    third = Directory.restored(other.state(), clock=clock, tickets=tickets)

    assert third.handle(GetView()) is None
    clock.advance(LEASE_S + 0.1)
    assert third.handle(GetView()).ring.epoch == 1000


def test_what_is_done_after_a_loss_is_kept(directory, again, clock, tickets):
    join(directory, "a")
    other = again(lost=7)
    hello(other, "a", 1, 41)
    clock.advance(LEASE_S + 0.1)
    changes = other.changes
    join(other, "a")
    third = Directory.restored(other.state(), clock=clock, tickets=tickets)

    assert other.changes > changes
    assert third.handle(GetView()) == other.handle(GetView())


# ----------------------------------------------------------------------------------------------- groups


def test_a_group_gets_an_id_of_its_own(directory):
    users = directory.handle(Register(USERS))
    others = directory.handle(Register(replace(USERS, name="others", options=GroupOptions(capacity_bytes=400))))

    assert users == replace(USERS, id=users.id)
    assert 0 < users.id < others.id
    assert directory.handle(GetGroups()) == {"users": users, "others": others}


def test_the_same_definition_is_the_same_group(directory):
    first = directory.handle(Register(USERS))

    assert directory.handle(Register(replace(USERS, environment={"pid": 7}, getter=b"pickled elsewhere"))) == first


DIFFERENCES = {
    "ttl_s: 5.0 here, None there": replace(USERS, options=GroupOptions(capacity_bytes=600, ttl_s=5.0)),
    "policy: 'sieve' here, 'lru' there": replace(USERS, options=GroupOptions(capacity_bytes=600, policy="sieve")),
    "capacity_bytes: 100 here, 600 there": replace(USERS, options=GroupOptions(capacity_bytes=100)),
    "getter: app.other here, app.fetch_user there": replace(USERS, getter_name="app.other"),
    "getter: None here, app.fetch_user there": replace(USERS, getter=None, getter_name="", getter_code=""),
    "the code of app.fetch_user is not the same": replace(USERS, getter_code="code 2"),
    "a batch getter here, a getter of one key there": replace(USERS, batch=True),
}


@pytest.mark.parametrize(("told", "spec"), DIFFERENCES.items(), ids=DIFFERENCES)
def test_another_definition_is_refused_and_the_difference_named(directory, told, spec):
    known = directory.handle(Register(USERS))
    refused = directory.handle(Register(spec))

    assert isinstance(refused, Refused)
    assert refused.error == "GroupConflict"
    assert told in refused.message
    assert "'users'" in refused.message
    assert "replace=True" in refused.message
    assert directory.handle(GetGroups()) == {"users": known}


def test_all_differences_are_named(directory):
    directory.handle(Register(USERS))
    options = GroupOptions(capacity_bytes=100, negative_ttl_s=1.0)
    refused = directory.handle(Register(replace(USERS, options=options)))

    assert "capacity_bytes: 100 here" in refused.message
    assert "negative_ttl_s: 1.0 here" in refused.message


def test_a_group_that_is_defined_anew_gets_a_new_id(directory):
    old = directory.handle(Register(USERS))
    new = directory.handle(Register(replace(USERS, getter_code="code 2"), replace=True))

    assert new.id > old.id
    assert directory.handle(GetGroups()) == {"users": new}


def test_a_capacity_that_does_not_fit_is_refused_with_the_numbers(directory):
    directory.handle(Register(USERS))
    refused = directory.handle(Register(replace(USERS, name="more", options=GroupOptions(capacity_bytes=401))))

    assert refused.error == "CapacityError"
    assert all(told in refused.message for told in ("'more'", "401", "1,000", "400 are left", "users 600", "capacity="))
    assert set(directory.handle(GetGroups())) == {"users"}


def test_capacities_that_fit_exactly_are_taken(directory):
    directory.handle(Register(USERS))

    assert directory.handle(Register(replace(USERS, name="more", options=GroupOptions(capacity_bytes=400)))).id


def test_a_group_that_is_replaced_leaves_its_capacity_to_the_new_one(directory):
    directory.handle(Register(USERS))
    larger = replace(USERS, options=GroupOptions(capacity_bytes=1000))

    assert directory.handle(Register(larger, replace=True)).options.capacity_bytes == 1000
    refused = directory.handle(Register(replace(larger, options=GroupOptions(capacity_bytes=1001)), replace=True))
    assert refused.error == "CapacityError"
