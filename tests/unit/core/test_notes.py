"""Notes: what became of calls that were computed, bounded, and the one that is most like another."""

from __future__ import annotations

import pickle

import pytest

from raycache.core import notes as notes_module
from raycache.core import record
from raycache.core.messages import Explain, GroupSpec, group_prefix
from raycache.core.notes import Notes, differences, parts_of
from raycache.options import GroupOptions


def packed(**parts):
    return pickle.dumps({name: (repr(value).encode(), str(value)) for name, value in parts.items()})


def spec(**code):
    return GroupSpec(1, "f", GroupOptions(capacity_bytes=1000), about=packed(**code))


def key(name, group=1):
    return group_prefix(group) + name.encode()


CODE = spec(helper=1, limit=2)


@pytest.fixture
def present():
    """Keys that are still in the store."""
    return set()


@pytest.fixture
def notes(present, clock):
    return Notes(present.__contains__, clock)


def add(notes, name, definition=CODE, fate="", expires=record.NEVER, group=1, **arguments):
    notes.add(key(name, group), definition.about, packed(**arguments), expires, 0.5, 100, fate)


def explain(notes, name, definition=CODE, stored=None, group=1, **arguments):
    ask = Explain(key(name, group), definition.about, packed(**arguments))
    return notes.explain(ask, stored, computing=False)


def test_of_an_unknown_call_nothing_is_known(notes):
    told = explain(notes, "a", x=1)

    assert (told.entry, told.nearest, told.differences, told.computing) == (None, None, 0, False)


def test_a_note_tells_when_a_call_was_computed_and_what_it_took(notes, present, clock):
    present.add(key("a"))
    add(notes, "a", expires=clock() + 60, x=1)
    clock.advance(5)
    told = explain(notes, "a", x=1)

    assert told.now - told.entry.stored == 5
    assert (told.entry.expires - told.now, told.entry.cost_s, told.entry.size, told.entry.fate) == (55, 0.5, 100, "")
    assert (parts_of(told.entry.note), parts_of(told.entry.about)) == (parts_of(packed(x=1)), parts_of(CODE.about))


def test_an_entry_that_is_gone_was_evicted_or_has_expired(notes, clock):
    add(notes, "a", expires=clock() + 60)

    assert explain(notes, "a").entry.fate == "evicted"
    clock.advance(60)
    assert explain(notes, "a").entry.fate == "expired"


@pytest.mark.parametrize("remove", [lambda notes: notes.removed([key("a"), key("b")]), lambda n: n.removed_group(1)])
def test_a_removal_is_remembered(notes, clock, remove):
    add(notes, "a", expires=clock() + 1)
    add(notes, "a", group=2)
    remove(notes)
    clock.advance(2)

    assert explain(notes, "a").entry.fate == "removed"
    assert explain(notes, "a", group=2).entry.fate == "evicted"


def test_a_fate_is_of_the_last_computation(notes, present):
    add(notes, "a", fate="too large")
    fates = [explain(notes, "a").entry.fate]
    notes.removed([key("a")])
    present.add(key("a"))
    add(notes, "a")

    assert [*fates, explain(notes, "a").entry.fate] == ["too large", ""]


def test_of_an_entry_that_lies_there_its_record_knows_best(notes, clock):
    """Also where a shard that was restarted has no note of it."""
    stored = record.pack(record.Header(clock() + 9, clock() - 3, 1.5, 2), b"12345")
    told = explain(notes, "a", stored=stored)

    assert told.entry[2:] == (clock() - 3, clock() + 9, 1.5, 5, "", "")
    assert told.nearest is None


def test_a_failure_is_remembered_with_what_was_raised(notes, present):
    notes.failed(key("a"), CODE.about, packed(x=1), 0.5, "ValueError: no")
    notes.removed([key("a")])
    failed = explain(notes, "a").entry
    present.add(key("a"))
    add(notes, "a")
    notes.failed(key("a"), CODE.about, packed(x=1), 0.5, "ValueError: no, when it was refreshed")

    assert (failed.fate, failed.said, failed.cost_s) == ("failed", "ValueError: no", 0.5)
    assert (explain(notes, "a").entry.fate, explain(notes, "a").entry.said) == ("", "")


def test_what_was_raised_is_kept_only_so_long(notes):
    notes.failed(key("a"), CODE.about, packed(x=1), 0.5, "ValueError: " + 10_000 * "no")

    assert len(explain(notes, "a").entry.said) == notes_module.MOST_SAID


def test_notes_are_bounded_and_the_oldest_go_first(notes, monkeypatch):
    monkeypatch.setattr(notes_module, "MOST", 3)
    for name in "abca":
        add(notes, name)
    add(notes, "d")

    assert len(notes) == 3
    assert [explain(notes, name).entry is not None for name in "abcd"] == [True, False, True, True]


def test_the_nearest_call_differs_in_the_fewest_parts(notes):
    add(notes, "a", x=1, y=1, z=1)
    add(notes, "b", x=2, y=1, z=1)
    add(notes, "c", x=2, y=2, z=1)
    told = explain(notes, "new", x=2, y=1, z=2)

    assert (parts_of(told.nearest.note), told.differences) == (parts_of(packed(x=2, y=1, z=1)), 1)


def test_of_several_that_are_as_near_the_newest_is_told(notes):
    for x in (1, 2, 3):
        add(notes, str(x), x=x)

    assert parts_of(explain(notes, "new", x=9).nearest.note)["x"][1] == "3"


def test_differences_of_code_and_arguments_count_alike(notes):
    add(notes, "old code", spec(helper=1, limit=3), x=1)
    add(notes, "other argument and code", spec(helper=2, limit=2), x=2)
    told = explain(notes, "new", x=1)

    assert (parts_of(told.nearest.about)["limit"][1], told.differences) == ("3", 1)


def test_other_functions_and_the_call_itself_are_not_compared(notes):
    add(notes, "a", group=2, x=1)

    assert explain(notes, "new", x=1).nearest is None


def test_only_so_many_of_the_newest_are_compared(notes, monkeypatch):
    monkeypatch.setattr(notes_module, "COMPARED", 2)
    add(notes, "near", x=1, y=1)
    for number in range(2):
        add(notes, f"far {number}", x=5, y=5)

    assert explain(notes, "new", x=1, y=2).differences == 2


def test_a_group_that_is_gone_is_forgotten(notes):
    add(notes, "a")
    add(notes, "a", group=2)
    notes.forget_group(1)

    assert (len(notes), explain(notes, "a").entry) == (1, None)


def test_parts_that_one_side_lacks_are_differences():
    one, other = parts_of(packed(a=1, b=2)), parts_of(packed(b=3, c=4))

    assert (differences(one, other), differences(one, one), parts_of(b"")) == (["a", "b", "c"], [], {})
