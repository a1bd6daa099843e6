"""Constants of compiled code as bytes, and the cache by identity that what was found in code is kept in."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core.fingerprint.bytecode import encode_constant
from raycache.core.fingerprint.identity import ByIdentity

SIMPLE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
CONSTANTS = st.recursive(
    SIMPLE | st.complex_numbers(allow_nan=False) | st.just(...),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(SIMPLE, max_size=3),
)


def same(one, other) -> bool:
    """Whether two constants are one to a compiler: of one type all the way down, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    return repr(one) == repr(other)


@given(one=CONSTANTS, other=CONSTANTS)
def test_two_constants_have_the_same_bytes_only_if_they_are_one(one, other):
    assert (encode_constant(one) == encode_constant(other)) == same(one, other)


@given(constant=CONSTANTS, others=st.lists(CONSTANTS, max_size=2))
def test_a_constant_has_the_same_bytes_every_time(constant, others):
    assert encode_constant((constant, *others)) == encode_constant((constant, *others))


def test_what_no_compiler_makes_a_constant_of_is_refused():
    with pytest.raises(TypeError, match="constant of type list"):
        encode_constant([1])


class Thing:
    """Equal to everything, and not hashable."""

    __hash__ = None

    def __eq__(self, other):
        return True


def test_entries_are_by_identity():
    cache, one, other = ByIdentity(), Thing(), Thing()
    cache.put(one, 1)

    assert cache.get(one) == 1
    assert cache.get(other) is None


def test_entries_go_with_their_objects():
    cache, thing = ByIdentity(), Thing()
    cache.put(thing, 1)
    del thing
    gc.collect()

    assert not cache._entries


def test_a_full_cache_starts_anew():
    cache, things = ByIdentity(4), [Thing() for _ in range(5)]
    for number, thing in enumerate(things):
        cache.put(thing, number)

    assert [cache.get(thing) for thing in things] == [None, None, None, None, 4]
