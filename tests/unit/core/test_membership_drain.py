"""Members that are to leave: they own nothing, hand over what they have, and go when nothing depends on them."""

from __future__ import annotations

import pytest
from member_bench import LEASE_S, MemberBench

TIMEOUT_S = 60.0


@pytest.fixture
def bench(clock):
    bench = MemberBench(clock)
    bench.join("a", "b", "c")
    return bench


def drain(bench, *ids, nodes=()):
    return bench.members.drain(ids, nodes, TIMEOUT_S)


def test_a_member_that_is_drained_owns_nothing_and_keeps_its_lease(bench):
    epoch = bench.epoch
    view = drain(bench, "a", "nobody")

    assert (view.ring.members, view.ring.epoch) == ({"a": 0.0, "b": 1.0, "c": 1.0}, epoch + 1)
    assert bench.standing("a").value == "leased"
    assert drain(bench, "a").ring.epoch == epoch + 1


def test_another_weight_does_not_bring_it_back(bench):
    drain(bench, "a")

    assert bench.members.weigh({"a": 3.0}).ring.members["a"] == 0.0


def test_it_may_leave_when_all_have_been_heard_of_since_it_had_nothing_left(bench):
    """What others have of it, large values say, they must have made their own first."""
    drain(bench, "a")
    seen = []
    for options in ({"epoch": 0}, {"handing": True}, {}):
        bench.clock.advance(1.0)
        bench.hello("a", **options)
        seen.append(bench.members.drained())
    for id, options in [("b", {}), ("c", {"handing": True}), ("c", {"epoch": 0}), ("c", {})]:
        bench.clock.advance(1.0)
        bench.hello(id, **options)
        seen.append(bench.members.drained())

    assert seen == [[], [], [], [], [], [], ["a"]]


def test_who_was_idle_before_is_asked_again_after_it_got_something(bench):
    drain(bench, "a")
    bench.renew("b", "c")
    bench.clock.advance(1.0)
    bench.hello("a")

    assert bench.members.drained() == []
    bench.clock.advance(1.0)
    bench.renew("b", "c")
    assert bench.members.drained() == ["a"]


def test_a_newer_ring_makes_everything_look_unfinished_again(bench):
    drain(bench, "a")
    bench.hello("a")
    bench.clock.advance(1.0)
    bench.renew("b", "c")
    drain(bench, "b")
    for id in "abc":
        bench.hello(id, epoch=bench.epoch - 1)

    assert bench.members.drained() == []


def test_it_goes_with_what_it_still_has_when_its_time_is_over(bench):
    drain(bench, "a")
    bench.pass_time(TIMEOUT_S - 1.0, "a", "b", "c", step=1.0)
    for id in "abc":
        bench.hello(id, handing=True)

    assert bench.members.drained() == []
    bench.clock.advance(1.0)
    assert bench.members.drained() == ["a"]


def test_a_member_that_has_left_is_no_longer_to_leave(bench):
    drain(bench, "a")
    bench.clock.advance(2 * TIMEOUT_S)
    bench.leave("a")

    assert bench.members.drained() == []


def test_the_last_one_may_leave_with_nothing_left(bench):
    bench.leave("b")
    bench.leave("c")
    drain(bench, "a")
    bench.hello("a")

    assert bench.members.drained() == ["a"]


def test_a_node_that_was_drained_gets_no_shards_until_all_nodes_may_have_some_again(bench):
    drain(bench, "a", nodes=("n1",))

    assert (bench.members.barred("n1"), bench.members.barred("n2")) == (True, False)
    changes = bench.members.changes
    bench.members.unbar()
    assert (bench.members.barred("n1"), bench.members.changes > changes) == (False, True)
    bench.members.unbar()
    assert bench.members.changes == changes + 1


def test_a_drained_member_that_was_fenced_comes_back_drained(bench):
    """It owns nothing then, either, and is to leave."""
    drain(bench, "a")
    bench.fence("a")
    bench.pass_time(LEASE_S + 0.5, "b", "c")
    bench.join("a")

    assert bench.members.view.ring.members["a"] == 0.0


def test_a_weight_outlives_a_life(bench):
    bench.members.weigh({"a": 0.5})
    bench.fence("a")
    bench.pass_time(LEASE_S + 0.5, "b", "c")
    bench.join("a")

    assert bench.members.view.ring.members["a"] == 0.5


def test_who_is_to_stay_after_all_owns_keys_again(bench):
    drain(bench, "a")

    assert bench.members.undrain(["a", "nobody"]).ring.members["a"] == 1.0
    assert bench.members.drained() == []
