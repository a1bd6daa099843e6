"""Decoders, given anything at all: the value, or the error that they name. Nothing from outside is ever unpickled."""

from __future__ import annotations

import ast
import math
import pickle
import struct
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raycache
from raycache import InvalidKey, InvalidOption
from raycache.core import keys, pages, record
from raycache.core.codec import FRAMES, RAW, TEXT, Codec, decode
from raycache.edge.text import KEY_TYPES, parse_key
from raycache.options import group_options, parse_seconds, parse_size

NESTED = b"".join(b"(" + struct.pack(">I", 5 * depth + 1) for depth in range(5000, 0, -1)) + b"i"
ODD_KEYS = [
    b"",
    b"s",
    b"b",
    b"s\xff",
    b"f",
    b"f123456789",
    b"i",
    b"i\0\1",
    b"t",
    b"t\2",
    b"(",
    b"x",
    b"(\0\0\0",
    NESTED,
]
ODD_KEYS += [
    b"(\xff\xff\xff\xffs",
    b"(\0\0\0\0",
    b"(\0\0\0\5s",
    b"f\xff\xf8\0\0\0\0\0\1",
    b"(" + b"\0\0\0\2i\1" * 3 + b"\0",
]


@given(data=st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: b"(" + rest))
def test_bytes_are_those_of_one_key_or_of_none(data):
    try:
        key = keys.decode(data)
    except InvalidKey as error:
        assert "are not the bytes of a key" in str(error)  # noqa: PT017  # that it is raised is not the point
    else:
        assert keys.encode(key) == data


@pytest.mark.parametrize("data", ODD_KEYS, ids=lambda data: repr(data[:12]))
def test_bytes_of_no_key_are_refused(data):
    with pytest.raises(InvalidKey, match="are not the bytes of a key"):
        keys.decode(data)


@given(data=st.binary(max_size=200), tag=st.sampled_from([RAW, TEXT]))
def test_text_and_bytes_of_any_content_are_a_value_or_a_unicode_error(data, tag):
    try:
        assert Codec().encode(decode(tag, (data,))).parts == (data,)
    except UnicodeDecodeError:
        assert tag == TEXT


@given(data=st.binary(max_size=200))
def test_frames_of_any_content_end(data):
    """They come from records that are sound alone: what goes wrong with others is an error like any other."""
    with pytest.raises(Exception):  # noqa: PT011
        decode(FRAMES, (data,))


@pytest.mark.parametrize("tag", [-1, 4, 5, 6, 255])
def test_an_unknown_tag_is_named(tag):
    with pytest.raises(ValueError, match=f"the tag {tag}"):
        decode(tag, (b"",))


@given(key=st.binary(max_size=20), data=st.binary(max_size=200))
def test_nothing_that_was_not_sealed_is_sound(key, data):
    assert not record.sound(key, data) or data == record.sealed(key, data)


@given(key=st.binary(max_size=20), body=st.binary(max_size=50), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_sound_record_with_one_bit_changed_is_none(key, body, at, bit):
    stored = record.sealed(key, record.pack(record.Header(math.inf, 1.0, 1.0, RAW), body))
    changed = bytearray(stored)
    changed[at % len(stored)] ^= 1 << bit

    assert record.sound(key, stored)
    assert not record.sound(key, bytes(changed))
    assert not record.sound(key + b"x", stored)


@given(stored=st.binary(max_size=100))
def test_what_lies_under_a_cut_key_comes_apart_without_an_error(stored):
    full, rest = pages._split(stored)

    assert len(full) + len(rest) <= len(stored)


# ------------------------------------------------------------------------------------------------- options

UNITS = "0123456789.eE+-_ \tkKmMgGtTiIbBsShHdDwWinfaN\u0130\u212a\u0663\u00b2\0\ud800"
TYPED = st.text(UNITS, max_size=30) | st.text(max_size=20) | st.text("0123456789", min_size=300, max_size=5000)
OTHERS = st.none() | st.booleans() | st.floats() | st.binary(max_size=5) | st.lists(st.integers(), max_size=2)


@given(size=TYPED | OTHERS | st.integers())
def test_a_size_is_bytes_or_refused(size):
    try:
        assert 0 <= parse_size(size, "capacity") < 1 << 63
    except InvalidOption as error:
        assert str(error).startswith("capacity=")  # noqa: PT017
        assert len(str(error)) < 300  # noqa: PT017


@given(time=TYPED | OTHERS | st.integers() | st.timedeltas())
def test_a_time_is_seconds_or_refused(time):
    try:
        assert 0 <= parse_seconds(time, "ttl") < math.inf
    except InvalidOption as error:
        assert str(error).startswith("ttl=")  # noqa: PT017
        assert len(str(error)) < 300  # noqa: PT017


@pytest.mark.parametrize("ttl", [math.nan, -math.inf, -1, "-1s", "nan", "1e400", "9" * 400, timedelta(-1), True, b"1"])
def test_a_ttl_that_is_no_time_is_refused_by_name(ttl):
    with pytest.raises(InvalidOption, match="ttl="):
        group_options(1 << 20, ttl=ttl)


# ------------------------------------------------------------------------------------------- command line


@given(
    text=st.text(max_size=50) | st.text('[]{}",:.0123456789eE-ntrufalsIiyNa ', max_size=40),
    kind=st.sampled_from([*KEY_TYPES]),
)
def test_a_typed_key_is_a_key_or_a_value_error(text, kind):
    try:
        key = parse_key(text, kind)
    except ValueError as error:
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        if key not in ("", b""):
            assert keys.decode(keys.encode(key)) == key or key != key or "nan" in repr(key)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1}', "null", '[1, {"a": 1}]', "[]", "9" * 5000, "[null]"])
def test_json_that_is_no_key_is_refused_in_words(text):
    with pytest.raises(ValueError, match="cannot be read as json: "):
        parse_key(text, "json")


# ------------------------------------------------------------------------------------------------- pickles

#: Who unpickles, and what: messages and outcomes between actors of one cluster, records with a right checksum in pages
#: of the user's own, what the directory wrote to the GCS. Whoever reads anything else adds a decoder above instead.
UNPICKLING = {
    "cluster/directory.py": 1,
    "cluster/loader.py": 3,
    "cluster/peers.py": 1,
    "core/codec.py": 2,
    "core/getters.py": 2,
    "core/notes.py": 1,
    "memo/function.py": 1,
}


def unpickling(source):
    """How often a module names what unpickles."""
    return sum(
        isinstance(node, ast.Attribute) and node.attr in ("loads", "load", "Unpickler") and node.value.id in PICKLES
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    )


PICKLES = ("pickle", "cloudpickle", "marshal", "shelve", "dill")


def test_nobody_else_unpickles_anything():
    root = Path(raycache.__file__).parent
    found = {str(path.relative_to(root)): unpickling(path.read_text()) for path in root.rglob("*.py")}

    assert {name: count for name, count in found.items() if count} == UNPICKLING


def test_a_record_with_a_pickle_that_was_not_stored_under_its_key_is_not_sound():
    evil = record.pack(record.Header(math.inf, 0.0, 0.0, 2), pickle.dumps(print))

    assert not record.sound(b"key", evil)
