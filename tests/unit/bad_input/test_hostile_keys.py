"""Keys that somebody has thought out: they are keys like others, or refused; and they cost nobody else anything."""

from __future__ import annotations

import itertools
import math
import sys
import time
import unicodedata

import pytest

from raycache import InvalidKey
from raycache.core import keys
from raycache.core.messages import group_prefix
from raycache.core.versions import slot_of

ODD = [
    "\ud800",
    "a\udcff",
    "\udc80\ud800",
    "\0",
    "a\0",
    "a\0b",
    b"\0",
    b"\0" * 600,
    "\uffff",
    "\U0010ffff",
    "\u202eevil",
    "x" * 495,
    "x" * 505,
    "x" * 506,
    "x" * 507,
    "x" * 60_000,
    b"\xff" * 60_000,
    0,
    -1,
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63) - 1,
    1 << 400_000,
    -(1 << 400_000),
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    sys.float_info.max,
    math.inf,
    -math.inf,
    True,
    ((((((((("deep",),),),),),),),),),
    ("", b"", 0, 0.0, False, ("",)),
    tuple(range(5000)),
]


def test_odd_keys_have_their_own_values(inline):
    """All at the same time, in one group: loaded once each, found, listed and removed."""
    calls = []

    def value(key):
        calls.append(key)
        return f"{len(calls)}"

    group = inline(shards=2).group("odd", value, capacity="4 MiB")
    first = [group.get(key) for key in ODD]

    assert first == [str(number + 1) for number in range(len(ODD))]
    assert [group.get(key) for key in ODD] == first
    assert sorted(map(keys.encode, group.keys())) == sorted(map(keys.encode, ODD))
    assert group.remove_many(ODD) == len(ODD)
    assert len(group) == 0


def test_nan_is_one_key(inline):
    group = inline().group("odd", repr)

    assert {group.get(math.nan), group.get(-math.nan), group.get(math.inf - math.inf)} == {"nan"}
    assert (len(group), group.stats().loads) == (1, 1)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_keys_that_look_the_same_are_different_keys(inline, form):
    group = inline().group("odd", lambda key: key)
    one = "\u00c5\u212b\ufb01"
    other = unicodedata.normalize(form, one)

    assert (group.get(one), group.get(other)) == (one, other)
    assert len(group) == 2


def deep(levels):
    key = ("x",)
    for _ in range(levels):
        key = (key,)
    return key


REFUSED = {
    "of ten megabytes": "x" * (10 << 20),
    "of ten megabytes of bytes": b"x" * (10 << 20),
    "one byte too long": "x" * (64 << 10),
    "deeper than the stack": deep(100_000),
    "a number of a megabyte": 1 << (8 << 20),
    "many items": (0,) * 1_000_000,
    "empty": "",
}


@pytest.mark.parametrize("key", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("face", ["get", "set", "remove", "peek"])
def test_keys_that_are_too_much_are_refused_in_few_words_and_at_once(inline, key, face):
    group = inline().group("odd", lambda key: 1)
    began = time.monotonic()
    with pytest.raises(InvalidKey) as refused:
        getattr(group, face)(key, *([1] if face == "set" else []))

    assert len(str(refused.value)) < 400
    assert time.monotonic() - began < 5.0
    assert (group.get("fine"), len(group)) == (1, 1)


def test_a_key_that_is_not_hashable_or_claims_to_be_another_is_refused(inline):
    class Liar(str):
        def __hash__(self):
            return hash("fine")

        def __eq__(self, other):
            return True

    group = inline().group("odd", lambda key: key)
    for key in (Liar("fine"), ["a"], {"a": 1}, {"a"}, bytearray(b"a"), None, object(), 1j):
        with pytest.raises(InvalidKey):
            group.get(key)

    assert group.get("fine") == "fine"


def colliding(number, group):
    """Keys of one version slot."""

    def slot(name):
        return slot_of(keys.digest(group_prefix(group) + keys.encode(name)))

    wanted = slot("key-0")
    return list(itertools.islice((f"key-{n}" for n in itertools.count() if slot(f"key-{n}") == wanted), number))


def test_keys_that_share_a_version_slot_cost_each_other_near_hits_alone(inline):
    group = inline().group("odd", lambda key: f"value of {key}")
    victim, *others = colliding(4, 1)
    group.get(victim)
    for other in others:
        group.get(other)
        group.remove(other)
        assert group.get(victim) == f"value of {victim}"

    assert group.stats().loads == 1 + len(others)
