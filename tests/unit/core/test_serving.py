"""A connection as the page server sees it: nothing goes out before the proof, and nothing that comes does any harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core import frames, handshake
from raycache.core.frames import HEAD, MOST_REQUEST_BYTES
from raycache.core.handshake import ANSWER_BYTES, PROOF_BYTES, Handshake
from raycache.core.messages import Served
from raycache.core.serving import Refused, ServedConnection

SECRET, SHARD = b"s" * 32, "node.0"
VALUE = b"the value that nobody else may see"


class Sides:
    """Both ends of a connection, and what the server has sent."""

    def __init__(self, secret=SECRET, shard=SHARD, lease=True):
        server, self.client = Handshake(SECRET, SHARD), Handshake(secret, shard)
        self.reads, self.gets, self.got = [], [], True
        self.lease = lease
        self.connection = ServedConnection(server, self._read, self._get)
        self.answer = self.client.answer(server.greeting())

    def _read(self, keys):
        self.reads.append(keys)
        return Served([VALUE] * len(keys), 1.0) if self.lease else None

    def _get(self, epoch, number, key):
        self.gets.append((epoch, number, key))
        return self.got if self.lease else None

    def send(self, *chunks):
        """What the server sends for that; None where it closes the connection."""
        sent = []
        try:
            for chunk in chunks:
                self.connection.receive(chunk)
                while (reply := self.connection.reply()) is not None:
                    sent.append(reply)
        except Refused:
            return None
        return b"".join(sent)


def in_chunks(data, sizes):
    """The data, cut at places that the sizes name."""
    while data:
        size = sizes[0] if sizes else len(data)
        yield data[:size]
        data, sizes = data[size:], sizes[1:]


REQUEST, _ = frames.request([b"12345", b"123456"])
REPLY = frames.reply(Served([VALUE, VALUE], 1.0))
SIZES = st.lists(st.integers(1, 60), max_size=30)


@given(SIZES, st.integers(1, 3))
def test_who_proves_itself_is_answered_however_the_bytes_come(sizes, requests):
    """In the order of its requests, after the server's own proof."""
    sides = Sides()
    sent = sides.send(*in_chunks(sides.answer + requests * REQUEST, sizes))

    assert sides.client.confirmed(sent[:PROOF_BYTES])
    assert sent[PROOF_BYTES:] == requests * REPLY


@pytest.mark.parametrize("other", [{"secret": b"t" * 32}, {"secret": b""}, {"shard": "node.1"}], ids=str)
def test_who_lacks_the_secret_of_this_shard_gets_nothing(other):
    sides = Sides(**other)

    assert sides.send(sides.answer + REQUEST) is None
    assert sides.reads == []


@given(SIZES, st.binary(max_size=300))
def test_no_garbage_gets_anything_before_a_proof(sizes, garbage):
    sides = Sides()
    sent = sides.send(*in_chunks(garbage, sizes))

    assert sent == (b"" if len(garbage) < ANSWER_BYTES else None)
    assert sides.reads == []


@given(st.integers(0, ANSWER_BYTES - 1), st.integers(1, 255))
def test_a_proof_with_one_bit_changed_is_none(at, change):
    sides = Sides()
    answer = bytearray(sides.answer)
    answer[at] ^= change

    assert sides.send(bytes(answer) + REQUEST) is None


def test_a_proof_is_good_for_one_connection():
    """Who has overheard one cannot use it again, nor give the server its own words back."""
    first, second = Sides(), Sides()

    assert second.send(first.answer) is None
    assert Sides().send(Handshake(b"", SHARD).greeting()[len(handshake.MAGIC) :] + first.send(first.answer)) is None


@given(SIZES, st.integers(0, len(REQUEST) - 1), st.integers(0, 255), st.binary(max_size=100))
def test_a_changed_request_is_answered_or_refused(sizes, at, byte, more):
    """Never with anything but frames, nor with any other exception."""
    sides, request = Sides(), bytearray(REQUEST)
    request[at] = byte
    sent = sides.send(sides.answer, *in_chunks(bytes(request) + more, sizes))
    while sent and (rest := sent[PROOF_BYTES:]):
        size, count = HEAD.unpack_from(rest)
        frames.served(count, rest[HEAD.size : HEAD.size + size])
        sent = sent[:PROOF_BYTES] + rest[HEAD.size + size :]


@pytest.mark.parametrize("size", [MOST_REQUEST_BYTES + 1, (1 << 32) - 1])
def test_a_request_that_is_too_long_is_not_waited_for(size):
    sides = Sides()
    sides.send(sides.answer)

    assert sides.send(HEAD.pack(size, 1)) is None


def test_without_a_lease_the_connection_is_closed():
    sides = Sides(lease=False)

    assert sides.send(sides.answer + REQUEST) is None


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400", bytes(40), handshake.MAGIC + bytes(31)])
def test_a_client_answers_no_other_greeting(greeting):
    assert Handshake(SECRET, SHARD).answer(greeting) is None


GET = frames.get(3, 7, b"12345")


@given(SIZES)
def test_a_get_is_answered_at_once_and_again_when_its_load_has_ended(sizes):
    """And then the next request."""
    sides = Sides()
    at_once = sides.send(*in_chunks(sides.answer + GET, sizes))[PROOF_BYTES:]
    sides.connection.end(Served([VALUE], 1.0))

    assert sides.gets == [(3, 7, b"12345")]
    assert at_once == frames.loading(True)
    assert sides.send(b"") == frames.reply(Served([VALUE], 1.0))
    assert sides.send(REQUEST) == REPLY


def test_a_get_of_what_is_there_is_answered_once():
    sides = Sides()
    sides.got = Served([VALUE], 1.0)

    assert sides.send(sides.answer + 2 * GET)[PROOF_BYTES:] == 2 * frames.reply(sides.got)


def test_who_asks_for_more_while_a_load_is_waited_for_is_cut_off():
    sides = Sides()
    sides.send(sides.answer + GET)

    assert sides.send(REQUEST) is None


def test_without_a_lease_a_get_is_cut_off():
    sides = Sides(lease=False)

    assert sides.send(sides.answer + GET) is None
