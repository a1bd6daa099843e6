"""Frames of the page server: a batch of keys there, the records that lie under them back.

    request  bytes, count : u32 | a length for each key : u32    | the keys
    reply    bytes, count : u32 | now : f64 | lengths : u32      | the records
    get      bytes, 0     : u32 | epoch : i64 | number : u64     | one key, to be loaded if it is not there
    loading  bytes, 0     : u32 | started : u8                   | and, when the load has ended, a reply

`bytes` is what follows the two numbers, NOT_HERE in place of a length stands for a key without a record, and all is
little-endian. Answers come in the order of the keys, and may be about the first of them only: ask for the rest again.

Invariants: what is decoded is what was encoded, or it is a `BadFrame`; no frame is waited for that is longer than the
limits; whatever there is for each key is done by one call in C for all of them, but for the slices.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

from raycache.core.keys import MAX_KEY_BYTES
from raycache.core.messages import PREFIX_BYTES, Served

#: In one request.
MOST_KEYS, MOST_KEY_BYTES, MOST_REQUEST_BYTES = 4096, PREFIX_BYTES + MAX_KEY_BYTES, 1 << 20
#: A reply that has come to so many bytes has no more records; it may be longer by the last few of them.
REPLY_BYTES, MOST_REPLY_BYTES = 1 << 20, 16 << 20

HEAD = struct.Struct("<II")
_NOW = struct.Struct("<d")
_GET = struct.Struct("<qQ")
_LOADING = struct.Struct("<?")
_LENGTH_BYTES = 4
_NOT_HERE = (1 << 32) - 1


class BadFrame(Exception):
    """Bytes that are none of these frames."""


def request(keys: Sequence[bytes]) -> tuple[bytes, int]:
    """A frame that asks for as many of the keys, from the first one on, as go into one; how many these are."""
    keys = keys[:MOST_KEYS]
    lengths = list(map(len, keys))
    if _LENGTH_BYTES * len(keys) + sum(lengths) > MOST_REQUEST_BYTES:
        sizes = accumulate(length + _LENGTH_BYTES for length in lengths)
        count = sum(size <= MOST_REQUEST_BYTES for size in sizes)
        keys, lengths = keys[:count], lengths[:count]
    return _frame(b"", lengths, keys), len(keys)


def reply(served: Served) -> bytes:
    """The frame that brings what is served."""
    here = [stored for stored in served.records if stored is not None]
    lengths = [_NOT_HERE if stored is None else len(stored) for stored in served.records]
    return _frame(_NOW.pack(served.now), lengths, here)


def get(epoch: int, number: int, key: bytes) -> bytes:
    """The frame of a get of one key that is to be loaded if it is not there."""
    return HEAD.pack(_GET.size + len(key), 0) + _GET.pack(epoch, number) + key


def loading(started: bool) -> bytes:
    """The frame that says that a load is waited for: a new one, or one that was there."""
    return HEAD.pack(_LOADING.size, 0) + _LOADING.pack(started)


def _frame(first: bytes, lengths: Sequence[int], parts: Sequence[bytes]) -> bytes:
    body = b"".join((first, struct.pack(f"<{len(lengths)}I", *lengths), *parts))
    return HEAD.pack(len(body), len(lengths)) + body


def asked(count: int, body: bytes) -> list[bytes]:
    """The keys in a request's body."""
    lengths = _lengths(count, body, 0)
    if min(lengths) <= PREFIX_BYTES or max(lengths) > MOST_KEY_BYTES:
        raise BadFrame(f"keys of {min(lengths):,} to {max(lengths):,} bytes")
    return _parts(body, lengths, _LENGTH_BYTES * count)


def wanted(body: bytes) -> tuple[int, int, bytes]:
    """Epoch, number and key of a get."""
    if not PREFIX_BYTES < len(body) - _GET.size <= MOST_KEY_BYTES:
        raise BadFrame(f"a get of {len(body):,} bytes")
    return *_GET.unpack_from(body), body[_GET.size :]


def started(body: bytes) -> bool:
    """Whether a load that is waited for is a new one."""
    if len(body) != _LOADING.size:
        raise BadFrame(f"{len(body):,} bytes about a load")
    return bool(body[0])


def served(count: int, body: bytes) -> Served:
    """What a reply's body brings."""
    lengths = _lengths(count, body, _NOW.size)
    at = _NOW.size + _LENGTH_BYTES * count
    if _NOT_HERE not in lengths:
        records: list[bytes | None] = [*_parts(body, lengths, at)]
    else:
        parts = _parts(body, [0 if length == _NOT_HERE else length for length in lengths], at)
        records = [None if length == _NOT_HERE else part for length, part in zip(lengths, parts, strict=True)]
    return Served(records, _NOW.unpack_from(body)[0])


def _lengths(count: int, body: bytes, at: int) -> tuple[int, ...]:
    if not 0 < count <= MOST_KEYS or at + _LENGTH_BYTES * count > len(body):
        raise BadFrame(f"{count:,} keys in {len(body):,} bytes")
    return struct.unpack_from(f"<{count}I", body, at)


def _parts(body: bytes, lengths: Sequence[int], at: int) -> list[bytes]:
    """What lies one after the other from there to the end."""
    ends = list(accumulate(lengths, initial=at))
    if ends[-1] != len(body):
        raise BadFrame(f"{ends[-1]:,} bytes are announced, and {len(body):,} have come")
    return [body[start:end] for start, end in pairwise(ends)]
