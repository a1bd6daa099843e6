"""The codec: what goes in comes out, what would be wrong later is refused now."""

from __future__ import annotations

import datetime
import decimal
import enum
import pickle
import sys
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import UncacheableValue
from raycache.core.codec import ABSENT, Blob, Codec, decode, decode_first, shareable

ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary())
FROZEN = ATOMS | st.lists(ATOMS, max_size=3).map(tuple) | st.frozensets(ATOMS, max_size=3)
HASHABLE = FROZEN | st.tuples(FROZEN, FROZEN)
NESTED = st.recursive(
    st.deferred(lambda: HASHABLE) | st.dates() | st.decimals(allow_nan=False) | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ATOMS, inner, max_size=3),
    max_leaves=8,
)


class Reference:
    """Stands for what Ray calls an ObjectRef."""


class Color(enum.Enum):
    RED = 1


def exactly(value: object) -> str:
    """All of a value as text: types, signs of zero and NaNs too, but not the order of sets, which has no meaning."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(exactly, value))})"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({list(map(exactly, value))})"
    if isinstance(value, dict):
        return f"dict({[(exactly(key), exactly(each)) for key, each in value.items()]})"
    return repr(value)


@given(value=NESTED)
def test_a_value_comes_back_as_it_was(value):
    blob = Codec().encode(value)
    tag, data = blob.packed()

    assert exactly(decode(*blob)) == exactly(value)
    assert exactly(decode(tag, (data,))) == exactly(value)


@given(value=NESTED)
def test_a_blob_comes_back_from_a_message(value):
    blob = Codec().encode(value)
    buffers: list[pickle.PickleBuffer] = []
    message = pickle.dumps(blob, protocol=5, buffer_callback=buffers.append)
    arrived = pickle.loads(message, buffers=buffers)

    assert exactly(decode(*arrived)) == exactly(value)
    assert (arrived.tag, arrived.size) == (blob.tag, blob.size)


@given(value=st.binary() | st.text(st.characters()))
def test_bytes_and_text_are_stored_as_they_are(value):
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")

    assert Codec().encode(value).packed()[1] == data


@given(parts=st.lists(st.binary(max_size=40), min_size=2, max_size=6))
def test_the_buffers_of_a_packed_blob_come_back(parts):
    """Also empty ones; each at a multiple of 16 bytes, as array code wants it."""
    value = [pickle.PickleBuffer(bytearray(part)) for part in parts]
    blob = Codec().encode(value)
    tag, data = blob.packed()

    assert [bytes(part) for part in decode(tag, (data,))] == parts
    assert blob.size == sum(memoryview(part).nbytes for part in blob.parts)


@given(value=NESTED)
def test_the_size_of_a_blob_is_that_of_its_parts(value):
    blob = Codec().encode(value)

    assert blob.size == sum(map(len, blob.parts)) == len(blob.packed()[1])


NEST = {
    "alone": lambda ref: ref,
    "in a list": lambda ref: [1, [2, [ref]]],
    "in a dict": lambda ref: {"a": {"b": ref}},
    "as a key": lambda ref: {ref: 1},
    "in a set": lambda ref: {1, ref},
    "in an attribute": lambda ref: type("Holder", (), {})() if ref is None else _holder(ref),
    "in a closure": lambda ref: lambda: ref,
}


def _holder(ref: Reference) -> object:
    holder = type("Holder", (), {})()
    holder.deep = (ref,)
    return holder


@pytest.mark.parametrize("nest", NEST.values(), ids=NEST)
def test_what_is_refused_is_refused_at_any_depth(nest):
    with pytest.raises(UncacheableValue, match=r"the value holds .*Reference.* cache the data itself"):
        Codec(refused=(Reference,)).encode(nest(Reference()))


def test_what_one_codec_refuses_another_takes():
    Codec(refused=(Reference,))

    assert isinstance(decode(*Codec().encode(Reference())), Reference)


@pytest.mark.parametrize("value", [threading.Lock(), [threading.Lock()], (each for each in "abc"), sys._getframe()])
def test_a_value_that_cannot_be_pickled_is_named_with_a_remedy(value):
    with pytest.raises(UncacheableValue) as refused:
        Codec().encode(value)

    assert f"a value of type {type(value).__qualname__} cannot be pickled" in str(refused.value)
    assert "return data instead" in str(refused.value)
    assert refused.value.__cause__ is not None


def test_a_value_whose_own_pickling_fails_is_refused_with_what_it_said():
    class Stubborn:
        def __reduce__(self):
            raise ValueError("I stay here")

    with pytest.raises(UncacheableValue, match=r"Stubborn cannot be pickled .*I stay here"):
        Codec().encode(Stubborn())


def test_classes_and_functions_of_a_notebook_are_values_too():
    def double(number):
        return 2 * number

    assert decode(*Codec().encode(double))(4) == 8


def test_a_tag_of_no_value_is_not_decoded():
    with pytest.raises(ValueError, match=f"no value has the tag {ABSENT}"):
        decode(ABSENT, (b"",))


@given(value=NESTED)
def test_what_may_be_shared_can_be_hashed_so_nobody_can_change_it(value):
    shared = shareable(decode(*Codec().encode(value)))

    assert not shared or isinstance(hash(value), int)


@given(value=HASHABLE)
def test_nested_immutable_values_may_be_shared(value):
    assert shareable(decode(*Codec().encode(value)))


@pytest.mark.parametrize(
    "value",
    [uuid.UUID(int=1), decimal.Decimal("1.5"), datetime.date(2024, 2, 29), range(3), ..., Color.RED, 1j],
    ids=repr,
)
def test_plain_data_may_be_shared(value):
    assert shareable(value)


class Point(tuple):
    """An immutable type's subclass, which has attributes to change."""


@pytest.mark.parametrize(
    "value",
    [[], {}, set(), bytearray(b"a"), ([],), frozenset([Point()]), Reference(), Point((1, 2)), (1, (2, {3})), object()],
    ids=lambda value: type(value).__name__,
)
def test_what_can_be_changed_is_never_shared(value):
    assert not shareable(value)


def test_a_blob_is_its_tag_and_parts():
    assert Codec().encode(b"abc") == Blob(0, (b"abc",))


@given(value=NESTED, behind=st.binary(min_size=1, max_size=30))
def test_a_value_is_read_from_bytes_that_have_others_behind_them(value, behind):
    tag, data = Codec().encode(value).packed()

    assert exactly(decode_first(tag, data + behind, len(behind))) == exactly(value)


def test_an_array_that_is_read_from_bytes_with_others_behind_them_uses_their_memory():
    numpy = pytest.importorskip("numpy")
    tag, data = Codec().encode(numpy.arange(1000.0)).packed()
    stored = data + bytes(20)
    array = decode_first(tag, stored, 20)

    assert array.tolist() == list(range(1000))
    assert shareable(array)
    assert array.flags.aligned
    assert numpy.shares_memory(array, numpy.frombuffer(stored, numpy.uint8))
