"""The family's messages, by their bytes."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool

from raycache.edge.gateway import messages
from raycache.edge.gateway.messages import (
    GetRequest,
    GetResponse,
    Request,
    ResponseForDelete,
    ResponseForGet,
    SetRequest,
    parsed,
)

#: Messages with the bytes that they are on the wire: a tag (number * 8 + wire type) before each field.
GOLDEN = {
    "get request": (
        GetRequest(group=b"scores", key=b"Tom"),
        b"\x0a\x06scores\x12\x03Tom",
    ),
    "get request of bytes that are no UTF-8": (
        GetRequest(group=b"g", key=b"\xff\x00"),
        b"\x0a\x01g\x12\x02\xff\x00",
    ),
    "get response": (
        GetResponse(value=b"630", expire=0),
        b"\x0a\x03630\x18\x00",
    ),
    "get response without expiry, of the first groupcache": (
        GetResponse(value=b"630"),
        b"\x0a\x03630",
    ),
    "get response of an empty value": (
        GetResponse(value=b"", expire=0),
        b"\x0a\x00\x18\x00",
    ),
    "get response that expires at 1,700,000,000 s": (
        GetResponse(value=b"630", expire=1_700_000_000_000_000_000),
        b"\x0a\x03630\x18\x80\x80\xa8\xb1\xe3\x9f\xe7\xcb\x17",
    ),
    "get response with the queries per minute": (
        GetResponse(value=b"v", minute_qps=1.5),
        b"\x0a\x01v\x11\x00\x00\x00\x00\x00\x00\xf8\x3f",
    ),
    "set request": (
        SetRequest(group=b"g", key=b"k", value=b"v"),
        b"\x0a\x01g\x12\x01k\x1a\x01v",
    ),
    "set request with an expiry": (
        SetRequest(group=b"g", key=b"k", value=b"v", expire=300),
        b"\x0a\x01g\x12\x01k\x1a\x01v\x20\xac\x02",
    ),
    "set request with an expiry before 1970": (
        SetRequest(group=b"g", key=b"k", value=b"", expire=-1),
        b"\x0a\x01g\x12\x01k\x1a\x00\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ),
    "gRPC request": (
        Request(group="scores", key="Tom"),
        b"\x0a\x06scores\x12\x03Tom",
    ),
    "gRPC request of text": (
        Request(group="g", key="ü"),
        b"\x0a\x01g\x12\x02\xc3\xbc",
    ),
    "gRPC request of nothing": (Request(), b""),
    "gRPC value": (ResponseForGet(value=b"630"), b"\x0a\x03630"),
    "gRPC value that is empty": (ResponseForGet(value=b""), b""),
    "gRPC deleted": (ResponseForDelete(value=True), b"\x08\x01"),
    "gRPC not there": (ResponseForDelete(value=False), b""),
}


@pytest.mark.parametrize(("message", "data"), GOLDEN.values(), ids=GOLDEN)
def test_messages_are_these_bytes(message, data):
    assert message.SerializeToString() == data


@pytest.mark.parametrize(("message", "data"), GOLDEN.values(), ids=GOLDEN)
def test_these_bytes_are_the_messages(message, data):
    assert parsed(type(message), data) == message


UNUSUAL = {
    "the last of two of a field": (SetRequest, b"\x0a\x01x\x0a\x01g\x12\x01k", SetRequest(group=b"g", key=b"k")),
    "fields in another order": (SetRequest, b"\x12\x01k\x0a\x01g", SetRequest(group=b"g", key=b"k")),
    "a length of more bytes than it needs": (Request, b"\x0a\x83\x80\x00abc", Request(group="abc")),
    "truth that is greater than 1": (ResponseForDelete, b"\x08\x02", ResponseForDelete(value=True)),
}


@pytest.mark.parametrize(("kind", "data", "message"), UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_a_message_all_the_same(kind, data, message):
    assert parsed(kind, data) == message


UNKNOWN = {
    "another number": b"\x7a\x03xyz",
    "a varint where bytes are known": b"\x08\x01",
    "eight bytes where bytes are known": b"\x11\x00\x00\x00\x00\x00\x00\x00\x00",
    "four bytes": b"\x1d\x00\x00\x00\x00",
    "bytes where a varint is known": b"\x22\x01x",
    "a group that ends": b"\x7b\x08\x01\x7c",
}


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_fields_that_are_not_known_are_passed_over(unknown):
    """Also known numbers with another wire type."""
    message = parsed(SetRequest, unknown + b"\x0a\x01g\x12\x01k" + unknown)

    assert (message.group, message.key, message.value, message.expire) == (b"g", b"k", b"", 0)


MALFORMED = {
    "a tag that is cut off": (Request, b"\x80"),
    "a tag alone": (Request, b"\x0a"),
    "a length that is cut off": (Request, b"\x0a\x80"),
    "a length beyond the end": (Request, b"\x0a\x04abc"),
    "a length of more than ten bytes": (Request, b"\x0a" + b"\x80" * 10 + b"\x01"),
    "a length that is negative": (Request, b"\x0a" + b"\xff" * 9 + b"\x01"),
    "a number of more than ten bytes": (SetRequest, b"\x0a\x01g\x12\x01k\x20" + b"\xff" * 10 + b"\x01"),
    "a number that is cut off": (SetRequest, b"\x0a\x01g\x12\x01k\x20\xff"),
    "eight bytes that are seven": (GetResponse, b"\x11\x00\x00\x00\x00\x00\x00\x00"),
    "the field number 0": (Request, b"\x02\x00"),
    "wire type 6": (Request, b"\x0e\x00"),
    "wire type 7": (Request, b"\x0f\x00"),
    "a group that does not end": (Request, b"\x7b\x08\x01"),
    "an end of no group": (Request, b"\x7c"),
    "text that is no UTF-8": (Request, b"\x0a\x01\xff"),
    "no JSON": (SetRequest, b'{"group": "g"}'),
}


@pytest.mark.parametrize(("kind", "data"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_messages_are_refused(kind, data):
    with pytest.raises(ValueError, match=f"^{len(data)} bytes are no {kind.DESCRIPTOR.full_name}: "):
        parsed(kind, data)


@pytest.mark.parametrize(
    ("data", "missing"),
    [(b"", "group and key"), (b"\x0a\x01g", "key"), (b"\x12\x01k", "group"), (b"\x08\x01\x10\x01", "group and key")],
)
def test_requests_of_groupcache_without_group_or_key_are_refused(data, missing):
    for kind in (GetRequest, SetRequest):
        with pytest.raises(ValueError, match=f"^a groupcachepb.{kind.__name__} without {missing}$"):
            parsed(kind, data)


def test_the_messages_are_not_in_the_pool_that_all_programs_share():
    """A program may have messages of its own by these names."""
    for name in ("pb.Request", "groupcachepb.GetRequest"):
        messages.POOL.FindMessageTypeByName(name)
        with pytest.raises(KeyError):
            descriptor_pool.Default().FindMessageTypeByName(name)
