"""Keys as bytes: equal keys have equal bytes, different ones different bytes, and the way back gives the key."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import InvalidKey
from raycache.core import keys

TEXT = st.text(st.characters())  # with lone surrogates, as in file names
PLAIN = st.one_of(TEXT, st.binary(), st.integers(), st.floats(), st.booleans())
KEYS = st.one_of(
    TEXT.filter(len),
    st.binary(min_size=1),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.recursive(st.tuples(PLAIN), lambda inner: st.lists(PLAIN | inner, min_size=1, max_size=3).map(tuple)),
)
ALIKE = [1, 1.0, True, "1", b"1", 0, 0.0, -0.0, False, "0", "a", b"a", -1, 255, 256, -128, -129]
ALIKE += [("ab", "c"), ("a", "bc"), ("abc",), (("ab", "c"),), (("ab",), "c"), ("ab", ("c",)), ("ab", "c", "")]
ALIKE += [(1,), (1.0,), (True,), ("1",), (b"1",), ((1,),), (0.0,), (-0.0,), ("",), (b"",), ((),), math.nan, math.inf]
ALIKE += ["\ud800", "�", "\U0001f600", "\ud83d\ude00", b"\xff", b"\xed\xa0\x80", "s", "i\x01", "(", ("s",)]


def same(one: Any, other: Any) -> bool:
    """Whether two keys are one: of the same types, and equal, where NaN equals itself and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one == other


@given(key=KEYS)
def test_a_key_comes_back_from_its_bytes(key):
    assert same(keys.decode(keys.encode(key)), key)


@given(key=KEYS, prefix=st.binary(max_size=5))
def test_an_encoder_puts_a_prefix_before_the_bytes_of_every_key(key, prefix):
    assert keys.encoder(prefix)(key) == prefix + keys.encode(key)


@pytest.mark.parametrize("char", ["a", "é", "€", "\U0001f600", "\ud800"])
@pytest.mark.parametrize("more", [0, 1])
def test_an_encoder_takes_strs_up_to_the_same_length(char, more):
    """Many short keys are not measured in bytes; the longest ones are."""
    size = len(char.encode("utf-8", "surrogatepass"))
    key = char * ((keys.MAX_KEY_BYTES - 1) // size + more)

    def encoded():
        return keys.encoder(b"group")(key)

    if more:
        with pytest.raises(InvalidKey):
            encoded()
    else:
        assert encoded() == b"group" + keys.encode(key)


@given(one=KEYS, other=KEYS)
def test_two_keys_have_the_same_bytes_only_if_they_are_one(one, other):
    assert (keys.encode(one) == keys.encode(other)) == same(one, other)


def test_keys_that_look_alike_have_different_bytes():
    """1, 1.0, True and "1" are four keys; so are ("ab", "c") and ("a", "bc")."""
    for one, other in itertools.combinations(ALIKE, 2):
        assert keys.encode(one) != keys.encode(other), f"{one!r} and {other!r}"


def test_all_nans_are_one_key():
    assert keys.encode(-math.nan) == keys.encode(math.nan) == keys.encode(math.inf - math.inf)


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "50%", "/a//b", ".", "..", "\U0001f600", "\ud800", b"\xff\xfe\0", "a\0b"]
)
def test_keys_with_odd_characters_come_back(key):
    assert keys.decode(keys.encode(key)) == key


@given(some=st.lists(TEXT.filter(len)) | st.lists(st.binary(min_size=1)))
def test_bytes_keep_the_order_of_str_and_bytes_keys(some):
    assert sorted(some, key=keys.encode) == sorted(some)


@given(key=TEXT.filter(len), prefix=TEXT)
def test_a_str_starts_with_a_prefix_if_and_only_if_its_bytes_do(key, prefix):
    assert keys.encode(key).startswith(keys.encode_prefix(prefix)) == key.startswith(prefix)
    assert keys.encode(prefix + key).startswith(keys.encode_prefix(prefix))


@given(key=st.binary(min_size=1), prefix=st.binary(max_size=3))
def test_bytes_start_with_a_prefix_if_and_only_if_their_bytes_do(key, prefix):
    assert keys.encode(key).startswith(keys.encode_prefix(prefix)) == key.startswith(prefix)


@given(key=st.lists(PLAIN, min_size=1, max_size=4).map(tuple), prefix=st.lists(PLAIN, max_size=2).map(tuple))
def test_a_tuple_starts_with_items_if_and_only_if_its_bytes_do(key, prefix):
    starts = same(key[: len(prefix)], prefix)

    assert keys.encode(key).startswith(keys.encode_prefix(prefix)) == starts
    assert keys.encode(prefix + key).startswith(keys.encode_prefix(prefix))


def test_no_prefix_is_the_prefix_of_all_keys():
    assert keys.encode_prefix(None) == b""


@pytest.mark.parametrize("prefix", [1, 1.0, True, ["a"]])
def test_what_has_no_prefixes_is_refused_as_one(prefix):
    with pytest.raises(InvalidKey, match="prefix="):
        keys.encode_prefix(prefix)


@pytest.mark.parametrize("key", ["", b"", ()])
def test_an_empty_key_is_refused(key):
    with pytest.raises(InvalidKey, match="is empty; a key has at least one"):
        keys.encode(key)


class Text(str):
    """A str with a life of its own: what it equals, its bytes cannot tell."""


@pytest.mark.parametrize("key", [None, ["a"], {"a"}, {"a": 1}, bytearray(b"a"), object, 1j, Text("a"), frozenset("a")])
def test_a_key_of_another_type_is_refused_with_its_value_and_type(key):
    with pytest.raises(InvalidKey) as refused:
        keys.encode(key)

    assert repr(key) in str(refused.value)
    assert type(key).__name__ in str(refused.value)


@pytest.mark.parametrize("key", [("a", None), ("a", ("b", ["c"])), (("x",), {"y"})])
def test_what_is_no_key_inside_a_tuple_is_named_with_the_tuple(key):
    with pytest.raises(InvalidKey) as refused:
        keys.encode(key)

    assert f"inside {key!r}" in str(refused.value)


@pytest.mark.parametrize("make", [lambda n: "x" * n, lambda n: b"x" * n, lambda n: 1 << 8 * n, lambda n: ("x" * n,)])
def test_a_key_that_is_too_long_is_refused_with_its_length(make):
    keys.encode(make(keys.MAX_KEY_BYTES - 10))

    with pytest.raises(InvalidKey, match=r"65,\d\d\d bytes is too long \(at most 65,536\); use a digest"):
        keys.encode(make(keys.MAX_KEY_BYTES))


def test_invalid_keys_are_type_and_value_errors():
    assert issubclass(InvalidKey, TypeError)
    assert issubclass(InvalidKey, ValueError)


def test_bytes_of_no_key_are_not_decoded():
    with pytest.raises(InvalidKey, match="not the bytes of a key"):
        keys.decode(b"?x")


@given(key=KEYS)
def test_a_digest_has_64_bits_and_is_the_same_every_time(key):
    data = keys.encode(key)

    assert 0 <= keys.digest(data) < 2**64
    assert keys.digest(data) == keys.digest(bytes(bytearray(data)))


def test_known_digests_do_not_change():
    """Processes of one cache must agree on them."""
    assert keys.digest(keys.encode("alice")) == 4569603799954660772
