"""A record: what lies under a key in the pages. The value's bytes, a fixed header behind them, and a checksum.

The value stands first, since a pickle ends where it says so: it is read from the record as it is, without a slice.

Times are seconds of the node's monotonic clock, which all its processes share and no setting of the wall clock moves.
What leaves the node carries the clock's reading of the moment, so that the other side can count what remains.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import mmh3

from raycache.core.codec import STUB

NEVER = math.inf

#: expires, stored, cost, tag. A cost has three digits, which is enough to tell what is worth keeping.
_HEADER = struct.Struct("<dfexB")
#: The largest cost that fits; more is counted as this.
_MOST_COST_S = 65_504.0
_UNPACK = struct.Struct("<d4xexB").unpack_from
_SIZE = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_UNSEALED = bytes(_CHECKSUM.size)
HEADER_BYTES = _HEADER.size
CHECKSUM_BYTES = _CHECKSUM.size
OVERHEAD_BYTES = HEADER_BYTES + CHECKSUM_BYTES
_TAG_AT = -CHECKSUM_BYTES - 1


class Header(NamedTuple):
    expires: float  # on the node's clock; NEVER
    stored: float  # when the value came in
    cost_s: float  # what the getter took for it
    tag: int  # of the codec


def pack(header: Header, data: bytes) -> bytes:
    """A record that is yet to be sealed."""
    return b"".join((data, _packed(header, header.tag), _UNSEALED))


def _packed(header: Header, tag: int) -> bytes:
    return _HEADER.pack(header.expires, header.stored, min(header.cost_s, _MOST_COST_S), tag)


def sealed(key: bytes, stored: bytes) -> bytes:
    """The record with its checksum, over key and record. It is looked at when a shard comes back to its pages."""
    content = stored[:-CHECKSUM_BYTES]
    return content + _checksum(key, content)


def sound(key: bytes, stored: bytes) -> bool:
    """Whether this is what was once stored under this key."""
    if len(stored) < OVERHEAD_BYTES:
        return False
    return stored[-CHECKSUM_BYTES:] == _checksum(key, stored[:-CHECKSUM_BYTES])


def _checksum(key: bytes, content: bytes) -> bytes:
    return _CHECKSUM.pack(mmh3.hash(content, mmh3.hash(key, signed=False), signed=False))


def shifted(stored: bytes, seconds: float) -> bytes:
    """The record by a clock that is so much ahead: that of another node. It is yet to be sealed again."""
    head = header(stored)
    moved = head._replace(expires=head.expires + seconds, stored=head.stored + seconds)
    return stored[:-OVERHEAD_BYTES] + _packed(moved, head.tag) + stored[-CHECKSUM_BYTES:]


def header(stored: bytes | memoryview) -> Header:
    return Header._make(_HEADER.unpack_from(stored, -OVERHEAD_BYTES))


def fields(stored: bytes) -> tuple[float, float, int]:
    """When it expires, its cost and its tag, where every tenth of a microsecond counts."""
    return _UNPACK(stored, -OVERHEAD_BYTES)


def tag(stored: bytes) -> int:
    """Of the codec, or ABSENT or STUB."""
    return stored[_TAG_AT]


def body(stored: bytes) -> memoryview:
    """The value's bytes, not copied."""
    return memoryview(stored)[:-OVERHEAD_BYTES]


def stub(head: Header, size: int) -> bytes:
    """The record of a value that lies in the object store: its header and its size."""
    return _SIZE.pack(size) + _packed(head, STUB) + _UNSEALED


def is_stub(stored: bytes | memoryview) -> bool:
    return stored[_TAG_AT] == STUB


def value_bytes(stored: bytes | memoryview) -> int:
    """Bytes that the entry takes: the record itself, and what a stub stands for."""
    if is_stub(stored):
        return len(stored) + int(_SIZE.unpack_from(stored)[0])
    return len(stored)
