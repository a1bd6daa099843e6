"""Records: a header, a value, and a checksum over key and record by which a shard knows its own again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core import record
from raycache.core.record import HEADER_BYTES, NEVER, OVERHEAD_BYTES, Header

KEYS, DATA = st.binary(max_size=40), st.binary(max_size=200)
HEAD = Header(1234.5, 1000.0, 0.5, 2)


def made(key=b"key", data=b"data", head=HEAD):
    return record.sealed(key, record.pack(head, data))


@given(key=KEYS, data=DATA)
def test_a_sealed_record_is_sound_and_has_what_was_packed(key, data):
    stored = made(key, data)

    assert record.sound(key, stored)
    assert (record.header(stored), bytes(record.body(stored)), record.tag(stored)) == (HEAD, data, 2)
    assert len(stored) == OVERHEAD_BYTES + len(data) == record.value_bytes(stored)


@given(key=KEYS, data=DATA, place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_any_byte_that_is_changed_is_noticed(key, data, place, bits):
    stored = bytearray(made(key, data))
    stored[place % len(stored)] ^= bits

    assert not record.sound(key, bytes(stored))


@given(key=KEYS.filter(bool), data=DATA, place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_any_byte_of_the_key_that_is_changed_is_noticed(key, data, place, bits):
    other = bytearray(key)
    other[place % len(key)] ^= bits

    assert not record.sound(bytes(other), made(key, data))


@given(key=KEYS, data=DATA, cut=st.integers(1, 10**6))
def test_a_record_that_is_cut_short_is_noticed(key, data, cut):
    stored = made(key, data)

    assert not record.sound(key, stored[: len(stored) - 1 - cut % len(stored)])


@pytest.mark.parametrize("size", [*range(OVERHEAD_BYTES + 5), 4096])
def test_zeros_are_no_record(size):
    """Pages that were allocated and never written."""
    assert not record.sound(b"key", bytes(size))


def test_a_record_that_is_not_sealed_is_not_sound():
    assert not record.sound(b"key", record.pack(HEAD, b"data"))


@given(key=KEYS, data=DATA)
def test_sealing_again_for_another_key_makes_it_sound_there_alone(key, data):
    again = record.sealed(b"x" + key, made(key, data))

    assert record.sound(b"x" + key, again)
    assert not record.sound(key, again)


@given(data=DATA, seconds=st.sampled_from([-5000.0, -0.5, 0.0, 3600.0]), expires=st.sampled_from([NEVER, 1234.5]))
def test_a_record_by_another_clock_has_the_same_value_and_the_same_time_left(data, seconds, expires):
    stored = made(data=data, head=HEAD._replace(expires=expires))
    moved = record.shifted(stored, seconds)
    head = record.header(moved)

    assert (head.expires, head.stored) == (expires + seconds, pytest.approx(1000.0 + seconds))
    assert (head.cost_s, head.tag, bytes(record.body(moved)), len(moved)) == (0.5, 2, data, len(stored))
    assert record.sound(b"key", moved) == (seconds == 0.0)


def test_what_never_expires_does_not_by_any_clock():
    assert record.header(record.shifted(made(head=HEAD._replace(expires=NEVER)), 1e9)).expires == math.inf


def test_a_stub_stands_for_the_size_of_its_value_and_is_sealed_like_others():
    stub = record.sealed(b"key", record.stub(HEAD, 5000))

    assert record.sound(b"key", stub)
    assert record.is_stub(stub)
    assert record.is_stub(record.shifted(stub, 7.0))
    assert record.value_bytes(stub) == record.value_bytes(record.shifted(stub, 7.0)) == 5000 + len(stub)


def test_the_value_lies_aligned_for_arrays():
    assert HEADER_BYTES % 16 == 0
