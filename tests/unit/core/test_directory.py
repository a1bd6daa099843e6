"""The directory: members by epoch, and groups that are the same for everybody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core.directory import Directory
from raycache.core.messages import (
    GetGroups,
    GetOptions,
    GetView,
    GroupSpec,
    Join,
    Leave,
    Place,
    Refused,
    Register,
    Suspect,
)
from raycache.options import CacheOptions, GroupOptions

USERS = GroupSpec(0, "users", GroupOptions(capacity_bytes=600), b"getter", "app.fetch_user", "code 1")
IDS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.builds(Join, IDS, st.builds(Place, st.sampled_from(["n1", "n2"]), IDS), st.just(1.0)),
        st.builds(Leave, st.lists(IDS).map(tuple)),
        st.builds(Suspect, st.lists(IDS).map(tuple)),
    )
)


@pytest.fixture
def directory():
    return Directory(CacheOptions(capacity_bytes=1000))


def test_there_are_no_members_and_no_groups_at_first(directory):
    view = directory.handle(GetView())

    assert (view.ring.members, view.places, directory.handle(GetGroups())) == ({}, {}, {})
    assert directory.handle(GetOptions()) == CacheOptions(capacity_bytes=1000)


@given(steps=STEPS)
def test_epochs_only_grow_and_with_every_change(steps):
    directory = Directory(CacheOptions(capacity_bytes=1000))
    before = directory.handle(GetView())
    for step in steps:
        after = directory.handle(step)
        changed = (after.ring.members, after.places) != (before.ring.members, before.places)

        assert after == directory.handle(GetView())
        assert after.ring.epoch == before.ring.epoch + changed
        assert set(after.places) == set(after.ring.members)
        before = after


def test_a_member_that_joins_is_told_the_ring_with_itself(directory):
    view = directory.handle(Join("a", Place("n1", "/folder"), 2.0))

    assert (view.ring.members, view.places) == ({"a": 2.0}, {"a": Place("n1", "/folder")})


def test_a_member_that_joins_again_where_it_was_changes_nothing(directory):
    """It was restarted; its keys are the same."""
    first = directory.handle(Join("a", Place("n1", "/folder"), 1.0))

    assert directory.handle(Join("a", Place("n1", "/folder"), 1.0)).ring.epoch == first.ring.epoch


def test_an_answer_that_was_given_is_not_changed_by_what_comes_later(directory):
    first = directory.handle(Join("a", Place("n1", "/a"), 1.0))
    directory.handle(Join("b", Place("n1", "/b"), 1.0))
    directory.handle(Leave(("a",)))

    assert (set(first.ring.members), set(first.places)) == ({"a"}, {"a"})


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
