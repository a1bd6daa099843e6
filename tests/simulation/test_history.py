"""The judge of histories: which values a get may bring, and which are older than what has returned."""

from __future__ import annotations

import pytest
from history import History
from kernel import Kernel, WrongValue


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(seed=1)


@pytest.fixture
def history(kernel: Kernel) -> History:
    return History(kernel, ("ka", "kb"), frozenset())


@pytest.mark.parametrize("kind", ["remove", "clear", "set"])
def test_a_get_that_begins_after_an_update_has_returned_brings_nothing_older(
    kernel: Kernel, history: History, kind: str
) -> None:
    """Promise 2."""
    history.end(history.begin(kind, ("ka",)))

    assert history.check("c", "ka", history.mark("ka"), kernel.now, "ka:1:") == 1
    with pytest.raises(WrongValue, match="version 0"):
        history.check("c", "ka", history.mark("ka"), kernel.now, "ka:0:")


def test_a_get_that_began_before_an_update_returned_may_bring_either(kernel: Kernel, history: History) -> None:
    """They overlap."""
    update = history.begin("remove", ("ka",))
    mark = history.mark("ka")
    history.end(update)

    assert [history.check("c", "ka", mark, 0.0, f"ka:{version}:") for version in (0, 1)] == [0, 1]


def test_an_update_that_has_not_returned_promises_nothing(kernel: Kernel, history: History) -> None:
    """Its client may have died."""
    history.begin("remove", ("ka",))

    assert history.check("c", "ka", history.mark("ka"), 0.0, "ka:0:") == 0


def test_a_set_that_overlaps_with_a_later_update_may_come_after_it(kernel: Kernel, history: History) -> None:
    """The order of the cache is not that of the source; a set that returned before is replaced."""
    early = history.begin("set", ("ka",))
    kernel.now = 1.0
    history.end(early)
    kernel.now = 2.0
    overlapping = history.begin("set", ("ka",))
    kernel.now = 3.0
    history.end(history.begin("remove", ("ka",)))
    kernel.now = 4.0
    history.end(overlapping)

    assert history.check("c", "ka", history.mark("ka"), 5.0, "ka:2:") == 2
    with pytest.raises(WrongValue, match="version 1"):
        history.check("c", "ka", history.mark("ka"), 5.0, "ka:1:")


@pytest.mark.parametrize("value", ["kb:0:", "ka:x:", None, "ka:0:torn"])
def test_a_value_of_another_key_or_of_none_is_refused(history: History, value: str | None) -> None:
    """Whatever was stored under a key is what comes back."""
    with pytest.raises(WrongValue, match="is no value of this key"):
        history.check("c", "ka", history.mark("ka"), 0.0, value)


def test_at_last_all_must_see_the_same(history: History) -> None:
    """An invalidation that was begun and never finished shows in this."""
    history.begin("remove", ("ka",))
    history.check_agreed("c", "ka", 1)
    history.check_agreed("d", "ka", 1)

    with pytest.raises(WrongValue, match="long after any change"):
        history.check_agreed("e", "ka", 0)
