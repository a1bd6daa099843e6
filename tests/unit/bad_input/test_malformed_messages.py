"""Messages that nobody sends who means them: refused in words, nothing of them is done, and the shard goes on."""

from __future__ import annotations

import contextlib
import math
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shard_bench import ALONE, CAPACITY, ShardBench, full, ring

import raycache
from raycache import VersionMismatch
from raycache.core import messages, record
from raycache.core.codec import Blob, Codec
from raycache.core.directory import Directory
from raycache.core.messages import (
    Adopt,
    Answers,
    Asked,
    Bump,
    Call,
    Copied,
    Copy,
    Count,
    Define,
    Delete,
    Drain,
    Explain,
    Fence,
    Filled,
    Get,
    GetView,
    GroupSpec,
    Hello,
    Hits,
    Keys,
    Learn,
    Leave,
    Loaded,
    Moving,
    Place,
    Register,
    Renew,
    Repeat,
    Report,
    Scale,
    Set,
    Suspect,
    Weigh,
)
from raycache.core.ring import Ring
from raycache.core.stats import Stats
from raycache.core.wellformed import Malformed
from raycache.options import CacheOptions, GroupOptions

A = full("a")
TEXT = Codec().encode("value")
SHARED = ring(2, "there")
FAR = Ring(1 << 80, {"here": 1.0}, {"here": 7})
OPTIONS = GroupOptions(capacity_bytes=CAPACITY)
SEALED = record.sealed(A, record.pack(record.Header(math.inf, 0.0, 0.0, 1), b"value"))


GET, SET, DELETE = Get(1, (A,), 1), Set(1, ((A, TEXT, None),), ALONE), Delete(1, (A,), ALONE)
FILLED = Filled(1, b"", A, 7, Loaded(1, b"value", None, 1.0, 5))
ADOPT = Adopt("there", SHARED, (Moving(A, SEALED, None),), 0.0)
COPIED = Copied(A, SEALED, 1)
STUB = record.stub(record.Header(math.inf, 0.0, 0.0, 1), 5)
NAN = record.pack(record.Header(math.nan, 0.0, 0.0, 1), b"value")
SPEC = GroupSpec(2, "others", OPTIONS)

BAD_KEYS = {
    "no tuple": A,
    "none": None,
    "a list": [A],
    "text": ("a",),
    "text among others": (A, "a"),
    "numbers": (1, 2),
    "empty": (b"",),
    "shorter than the prefix": (b"\0\0\0",),
    "nothing but the prefix": (b"\0\0\0\1",),
    "that among others": (A, b"\0\0\0\1", full("b")),
    "of another group": (full("a", 2),),
    "that among others, too": (A, full("a", 2)),
}
NUMBERS = {"negative": -7, "huge": 1 << 80, "text": "1", "nan": math.nan, "none": None, "half": 1.5}
TTLS = {"nan": math.nan, "negative": -1.0, "minus infinity": -math.inf, "absurd": 1e300, "text": "1 s"}
BLOBS = {
    "text": "value",
    "of no tag": Blob(77, (b"value",)),
    "a stub": Blob(5, (bytes(8),)),
    "a negative tag": Blob(-1, (b"value",)),
    "of no parts": Blob(1, ()),
    "of text in its parts": Blob(1, ("value",)),
    "bytes in two parts": Blob(0, (b"a", b"b")),
}
RINGS = {
    "none": None,
    "far": FAR,
    "of a negative epoch": Ring(-2, {"here": 1.0}),
    "of half an epoch": Ring(1.5, {"here": 1.0}),
    "of numbers": Ring(2, {1: 1.0}, {1: 7}),
    "of no tickets": Ring(2, {"here": 1.0}, {"here": "seven"}),
}
RESULTS = {
    "text": "value",
    "of no bytes": Loaded(1, "value", None, 1.0, 5),
    "in no payload": Loaded(1, 0, None, 1.0, 5),
    "of no tag": Loaded(9, b"value", None, 1.0, 5),
    "for ever and a day": Loaded(1, b"value", math.nan, 1.0, 5),
    "at no cost": Loaded(1, b"value", None, math.nan, 5),
    "of no size": Loaded(1, b"value", None, 1.0, -5),
}


def unchecked(options: GroupOptions, **wrong: Any) -> GroupOptions:
    """Options as they come out of a pickle, which nobody has checked."""
    made = copy(options)
    for name, value in wrong.items():
        object.__setattr__(made, name, value)
    return made


SPECS = {
    "none": None,
    "of id 0": replace(SPEC, id=0),
    "of a huge id": replace(SPEC, id=1 << 32),
    "of a negative id": replace(SPEC, id=-1),
    "named by a number": replace(SPEC, name=7),
    "without options": replace(SPEC, options=None),
    "of an unknown policy": replace(SPEC, options=unchecked(OPTIONS, policy="mru")),
    "of a negative capacity": replace(SPEC, options=GroupOptions(capacity_bytes=-1)),
}
TO_SHARD = [
    *(replace(message, keys=keys) for message in (GET, DELETE) for what, keys in BAD_KEYS.items() if keys is not None),
    *(replace(message, group=group) for message in (GET, SET, DELETE, FILLED) for group in NUMBERS.values()),
    *(replace(GET, epoch=epoch) for epoch in NUMBERS.values() if epoch != -7),
    *(replace(Bump((A,)), keys=keys) for keys in (A, ("a",), (b"",), 7)),
    *(replace(message, ring=each) for message in (SET, DELETE, Learn(ALONE), ADOPT) for each in RINGS.values()),
    *(replace(SET, items=((A, TEXT, ttl),)) for ttl in TTLS.values()),
    *(replace(SET, items=((full("b"), TEXT, None), (A, blob, None))) for blob in BLOBS.values()),
    *(replace(SET, items=items) for items in (None, 7, ((A, TEXT),), ((b"", TEXT, None),), [(A, TEXT, None)])),
    *(replace(message, operation="one") for message in (SET, DELETE, Bump((A,)))),
    *(replace(FILLED, result=result) for result in RESULTS.values()),
    replace(FILLED, key=b""),
    *(replace(FILLED, blob=blob) for blob in BLOBS.values()),
    *(replace(Define(SPEC), spec=spec) for spec in SPECS.values()),
    *(replace(ADOPT, now=now) for now in (math.nan, math.inf, -1e300, "now", None)),
    *(replace(ADOPT, entries=entries) for entries in (None, 7, (A,), [ADOPT.entries[0]])),
    *(replace(ADOPT, entries=(entry,)) for entry in (Moving(b"", b"", None), Moving(A, "value", None))),
    replace(ADOPT, source=7),
    *(Keys(prefix) for prefix in (b"", b"\0\0\0", None, "text")),
    *(Keys(A[:4], after, limit) for after, limit in ((7, 10), (b"", -1), (b"", None))),
    *(Count(group) for group in ("users", -1, 1 << 40)),
    *(Report(1, stats, touched) for stats, touched in ((None, ()), (Stats(), (7,)), (Stats(), ([],)), (Stats(), None))),
    *(Report(1, Stats(), (), asked) for asked in (None, [], ((A, 1, 1),), (Asked(A, 0, 1),), (Asked(A, 1, -1),))),
    Report(1, Stats(), (), (Asked(full("a", 2), 1, 1),)),
    Report(1, Stats(), (), inherited=1),
    *(Report(1, Stats(), (), (), hits) for hits in (None, [], ((A, 1),), (Hits(A, 0),), (Hits(A, "1"),))),
    *(Report(1, Stats(), (), (), (Hits(key, 1),)) for key in (full("a", 2), b"", "a")),
    *(Copy(ticket, ()) for ticket in (-1, 1 << 80, None)),
    *(Copy(7, copies) for copies in (None, 7, [COPIED], (A,), (COPIED._replace(key=b""),))),
    *(Copy(7, (COPIED._replace(record=each),)) for each in (None, "value", b"", b"short", SEALED[:19], STUB, NAN)),
    *(Copy(7, (COPIED._replace(version=version),)) for version in (-1, 1 << 64, None, 1.5)),
    *(Renew(tokens) for tokens in (None, 7, (A,), ((A, "one"),), (("a", 1),))),
    *(Repeat(futures) for futures in (None, 7, [])),
    *(Explain(key, b"", b"") for key in (b"", "a", None)),
    *(Explain(A, about, note) for about, note in ((7, b""), (b"", "text"))),
    Get(1, (A, A), 1, calls=(Call(b""),)),
    Get(1, (A,), 1, calls=("call",)),
    Get(1, (A,), 1, calls=(Call(b"", frame=[]),)),
    Get(1, (A,), 1, definition="text"),
    *(Get(1, (A,), 1, number=number) for number in (-1, None, 1 << 64)),
]
NO_MESSAGES = [None, 0, 7, -1.5, "text", b"bytes", (), [], {}, ..., Get, GET.__class__, Exception("no"), 1 << 80]


@pytest.fixture
def bench(tmp_path, clock):
    """A shard that has something, is loading something, and lets somebody compute something."""
    bench = ShardBench(tmp_path, clock)
    bench.define()
    bench.set("a", "of a")
    bench.set("kept", "of kept", ttl_s=100.0)
    bench.get("loading")
    bench.ask("filling", fill=True)
    yield bench
    bench.close()


def state(bench):
    """All that a message may change."""
    slots = list(bench.versions.slots)
    return bench.info(), bench.pages.items(b"", 1000), bench.stats(), slots, len(bench.loader.loads), bench.shard.epoch


def goes_on(bench):
    """It answers as if nothing had been."""
    assert bench.peek("a", "kept") == ["of a", "of kept"]
    bench.bring(bench.loader.loads[0], "loaded")
    assert bench.peek("loading") == ["loaded"]
    assert bench.set("b", "new").done == 1
    assert bench.remove("b").done == 1
    assert bench.clear().done == 3
    assert bench.info().bytes == bench.info().entries == 0


@pytest.mark.parametrize("message", TO_SHARD, ids=lambda message: type(message).__name__)
def test_a_shard_does_nothing_of_a_message_with_nonsense_in_it(bench, message):
    before = state(bench)
    with pytest.raises(Malformed, match=f"a message {type(message).__name__} was not acted on: .+"):
        bench.shard.handle(message)

    assert state(bench) == before
    goes_on(bench)


@pytest.mark.parametrize("message", [*NO_MESSAGES, Hello, GetView(), Weigh({})], ids=repr)
def test_what_a_shard_does_not_know_is_of_another_version(bench, message):
    """In words: which one this is, and what to do."""
    before = state(bench)
    with pytest.raises(VersionMismatch, match=rf"raycache {raycache.__version__}, which knows no message .* version"):
        bench.shard.handle(message)

    assert state(bench) == before
    goes_on(bench)


def test_messages_of_many_keys_are_answered(bench):
    keys = tuple(full(f"key-{number}") for number in range(100_000))

    assert len(bench.shard.handle(Get(1, keys, 1, load=False)).items) == len(keys)
    assert bench.shard.handle(Delete(1, keys, ALONE)).done == 0
    assert bench.shard.handle(Bump(keys)).epoch == 1
    goes_on(bench)


def test_a_message_about_nothing_is_answered_by_nothing(bench):
    answers = [bench.shard.handle(each) for each in (Get(1, (), 1), Set(1, (), ALONE), Delete(1, (), ALONE), Bump(()))]

    assert isinstance(answers[0], Answers)
    assert (answers[0].items, [answer.done for answer in answers[1:]]) == ([], [0, 0, 0])
    goes_on(bench)


@pytest.mark.parametrize("size", [511, 70_000, 1 << 20])
def test_keys_of_any_length_are_keys(bench, size):
    """Clients make none of more than 64 KiB; to a shard they are bytes."""
    bench.define(3, "long", capacity_bytes=4 << 20)
    key = messages.group_prefix(3) + b"b" + b"x" * size
    answer = bench.shard.handle(Set(3, ((key, TEXT, None),), ALONE))

    assert answer.done == 1
    assert len(bench.shard.handle(Get(3, (key,), 1, load=False)).items) == 1
    assert bench.shard.handle(Delete(3, (key,), ALONE)).done == 1
    goes_on(bench)


@pytest.mark.parametrize("ttl_s", [0.0, 5e-324, 1e14, math.inf])
def test_a_ttl_may_be_anything_that_is_a_time(bench, ttl_s, clock):
    bench.set("b", "value", ttl_s=ttl_s)
    clock.advance(1.0)
    bench.shard.tick()

    assert (bench.pages.get(full("b")) is None) == (ttl_s < 1)


def test_handed_entries_that_are_not_what_was_stored_are_not_taken(bench):
    """The rest of the batch is, and they are counted."""
    bench.grant(messages.Standing.LEASED, SHARED)
    mine = [name for name in map(str, range(50)) if SHARED.owner(full(name)) == "here"]
    good, torn, other, short = mine[:4]

    def sealed(name):
        return record.sealed(full(name), record.pack(record.Header(math.inf, 0.0, 0.0, 1), name.encode()))

    entries = [Moving(full(good), sealed(good), None), Moving(full(torn), sealed(torn)[:-1], None)]
    entries += [Moving(full(other), sealed(good), None), Moving(full(short), b"", None)]
    dropped = bench.info().dropped

    assert bench.shard.handle(Adopt("there", SHARED, tuple(entries), 0.0)).done == 1
    assert bench.peek(good, epoch=2) == [good]
    assert [bench.pages.get(full(name)) for name in (torn, other, short)] == [None] * 3
    assert bench.info().dropped == dropped + 3


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, -1.0, 1e9, 101])
def test_a_ring_of_absurd_weights_cannot_be_made(weight):
    with pytest.raises(ValueError, match=r"from 0 to 100: \{'b'"):
        Ring(1, {"a": 1.0, "b": weight})


# --------------------------------------------------------------------------------------------- directory

HELLO = Hello("a", Place("node", "/folder"), 1.0, 0, -1, 0.0)
TO_DIRECTORY = [
    *(replace(HELLO, id=id) for id in (None, 7, b"a")),
    *(replace(HELLO, place=place) for place in (None, "node", ("node", "/folder"))),
    *(replace(HELLO, weight=weight) for weight in (math.nan, math.inf, -1.0, 1e9, "1", None)),
    *(replace(HELLO, epoch=epoch) for epoch in (1 << 80, -7, math.nan, None)),
    *(replace(HELLO, ticket=ticket) for ticket in (-1, 1 << 80, None, 1.5)),
    *(replace(HELLO, sent=sent) for sent in (math.nan, math.inf, None)),
    *(Fence(id, ticket) for id, ticket in ((None, 1), ("a", -1), ("a", "one"))),
    Leave(7, 1),
    *(Drain(ids) for ids in (7, None, "a", (7,))),
    *(Drain(("a",), timeout_s=timeout) for timeout in (math.nan, -1.0, math.inf, "1 s")),
    *(Weigh(weights) for weights in ({"a": math.nan}, {"a": 1e9}, {"a": -1.0}, {"a": "1"}, {7: 1.0}, None)),
    *(Scale(number) for number in (0, -1, 1.5, 1 << 20, None)),
    *(Suspect(ids) for ids in (None, 7, (7,))),
    *(replace(Register(SPEC), spec=spec) for what, spec in SPECS.items() if what != "of id 0"),
]


@pytest.fixture
def directory(clock):
    directory = Directory(CacheOptions(capacity_bytes=CAPACITY), clock=clock, tickets=iter(range(1, 100)).__next__)
    ticket = directory.handle(HELLO).ticket
    directory.handle(replace(HELLO, ticket=ticket))
    return directory


@pytest.mark.parametrize("message", TO_DIRECTORY, ids=lambda message: type(message).__name__)
def test_a_directory_does_nothing_of_a_message_with_nonsense_in_it(directory, message):
    before = directory.state(), directory.changes, directory.view
    with pytest.raises(Malformed, match=f"a message {type(message).__name__} was not acted on: .+"):
        directory.handle(message)

    assert (directory.state(), directory.changes, directory.view) == before


@pytest.mark.parametrize("message", [*NO_MESSAGES, GET, SET], ids=repr)
def test_what_a_directory_does_not_know_is_of_another_version(directory, message):
    with pytest.raises(VersionMismatch, match=f"raycache {raycache.__version__}"):
        directory.handle(message)

    assert list(directory.view.ring.members) == ["a"]


# ------------------------------------------------------------------------------------------------ anything

ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 80), 1 << 80),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=8),
        st.sampled_from([A, (A,), ALONE, SHARED, TEXT, SEALED, SPEC, OPTIONS, Stats(), FILLED.result, ADOPT.entries]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
KINDS = [type(message) for message in (GET, SET, DELETE, FILLED, ADOPT)]
KINDS += [Bump, Count, Define, Keys, Learn, Renew, Repeat, Report]


@st.composite
def anything(draw):
    """A message of some kind with anything in its fields."""
    kind = draw(st.sampled_from(KINDS))
    message = object.__new__(kind)
    defaults = {name: getattr(GET, name, None) for name in kind.__slots__}
    for name in kind.__slots__:
        object.__setattr__(message, name, draw(ANYTHING) if draw(st.integers(0, 2)) else defaults[name])
    return message


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(anything(), min_size=1, max_size=5))
def test_whatever_is_sent_the_books_of_a_shard_stay_right(bench, sent):
    """It is refused or done, and nothing else: nobody gets any other error."""
    for message in sent:
        with contextlib.suppress(Malformed):
            bench.shard.handle(message)
    stored = bench.pages.items(b"", 1000)

    assert bench.info().entries == len(stored)
    assert bench.info().bytes == sum(len(key) + record.value_bytes(each) for key, each in stored)
