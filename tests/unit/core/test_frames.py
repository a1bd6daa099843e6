"""Frames: what goes in comes out, and whatever else comes is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core import frames
from raycache.core.frames import HEAD, MOST_KEY_BYTES, MOST_KEYS, MOST_REQUEST_BYTES, BadFrame
from raycache.core.messages import PREFIX_BYTES, Served

KEYS = st.lists(st.binary(min_size=PREFIX_BYTES + 1, max_size=40), min_size=1, max_size=20)
RECORDS = st.lists(st.none() | st.binary(min_size=1, max_size=40), min_size=1, max_size=20)


def body(frame):
    """The count and the body of a frame, whose length it has checked."""
    size, count = HEAD.unpack_from(frame)
    assert len(frame) == HEAD.size + size
    return count, frame[HEAD.size :]


@given(KEYS)
def test_keys_come_as_they_were_asked_for(keys):
    frame, count = frames.request(keys)

    assert (count, frames.asked(*body(frame))) == (len(keys), keys)


@given(RECORDS, st.floats(allow_nan=False))
def test_records_come_as_they_were_served(records, now):
    served = Served(records, now)

    assert frames.served(*body(frames.reply(served))) == served


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ([b"12345"] * (MOST_KEYS + 1), MOST_KEYS),
        ([bytes(MOST_KEY_BYTES)] * 20, MOST_REQUEST_BYTES // (MOST_KEY_BYTES + 4)),
        ([bytes(MOST_KEY_BYTES)], 1),
    ],
    ids=["many", "long", "the longest"],
)
def test_a_request_takes_as_many_of_the_first_keys_as_are_allowed(keys, count):
    frame, taken = frames.request(keys)

    assert taken == count
    assert frames.asked(*body(frame)) == keys[:count]
    assert len(frame) <= HEAD.size + MOST_REQUEST_BYTES


@given(KEYS, RECORDS, st.data())
def test_another_count_or_another_length_is_no_frame(keys, records, data):
    """Nothing is cut short or filled up in silence."""
    change = data.draw(st.integers(-3, 3).filter(bool))
    for decode, frame in ((frames.asked, frames.request(keys)[0]), (frames.served, frames.reply(Served(records, 1.0)))):
        count, whole = body(frame)
        for wrong in (
            (count, whole + bytes(change)) if change > 0 else (count, whole[:change]),
            (count + MOST_KEYS, whole),
        ):
            with pytest.raises(BadFrame):
                decode(*wrong)


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=200))
def test_whatever_comes_is_decoded_or_refused(count, garbage):
    for decode in (frames.asked, frames.served):
        try:
            decoded = decode(count, garbage)
        except BadFrame:
            continue

        assert len(decoded if decode is frames.asked else decoded.records) == count


@pytest.mark.parametrize("size", [PREFIX_BYTES, MOST_KEY_BYTES + 1], ids=["a bare prefix", "too long"])
def test_keys_that_no_group_can_have_are_refused(size):
    with pytest.raises(BadFrame, match="keys of"):
        frames.asked(*body(frames.request([bytes(size)])[0]))


@given(st.integers(-1, 1 << 62), st.integers(0, (1 << 64) - 1), st.binary(min_size=PREFIX_BYTES + 1, max_size=40))
def test_a_get_comes_as_it_was_sent(epoch, number, key):
    count, whole = body(frames.get(epoch, number, key))

    assert count == 0
    assert frames.wanted(whole) == (epoch, number, key)


@pytest.mark.parametrize("started", [True, False])
def test_word_of_a_load_comes_as_it_was_sent(started):
    count, whole = body(frames.loading(started))

    assert (count, frames.started(whole)) == (0, started)


@pytest.mark.parametrize("size", [0, 15, 16 + PREFIX_BYTES, 16 + MOST_KEY_BYTES + 1])
def test_a_get_without_a_whole_key_is_no_frame(size):
    with pytest.raises(BadFrame, match="get"):
        frames.wanted(bytes(size))


@pytest.mark.parametrize("size", [0, 2])
def test_more_or_less_than_one_byte_is_no_word_of_a_load(size):
    with pytest.raises(BadFrame, match="load"):
        frames.started(bytes(size))
