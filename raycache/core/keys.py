"""A group's key as canonical bytes and back.

Equal keys have equal bytes, different keys different ones: every item starts with its type, so that `1`, `1.0`,
`True` and `"1"` differ, and items of tuples are length-prefixed, so that `("ab", "c")` and `("a", "bc")` differ.
Bytes of str and bytes keys keep the order of the keys, and a prefix of a key is a prefix of its bytes.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import mmh3

from raycache.errors import InvalidKey

Key = str | bytes | int | float | tuple[Any, ...]

MAX_KEY_BYTES = 64 << 10
#: Of a str: it fits, whatever its characters are.
_SURELY_FITS = MAX_KEY_BYTES // 4 - 1

_STR, _BYTES, _INT, _FLOAT, _BOOL, _TUPLE = b"s", b"b", b"i", b"f", b"t", b"("
_LENGTH = struct.Struct(">I")


def encode(key: Key) -> bytes:
    """The canonical bytes of a key.

    Raises:
        InvalidKey: the key is of another type (at any depth), empty, or longer than 64 KiB.
    """
    if isinstance(key, (str, bytes, tuple)) and not key:
        raise InvalidKey(f"the key {key!r} is empty; a key has at least one character, byte or item")
    try:
        data = _encode(key, key)
    except RecursionError:
        if not isinstance(key, tuple):  # it is the caller's own stack that is full
            raise
        raise InvalidKey("a key of tuples in tuples, too deep to be encoded; use a digest of it as the key") from None
    if len(data) > MAX_KEY_BYTES:
        raise InvalidKey(
            f"a key of {len(data):,} bytes is too long (at most {MAX_KEY_BYTES:,}); use a digest of it as the key"
        )
    return data


def encoder(prefix: bytes) -> Callable[[Key], bytes]:
    """What puts a prefix and the canonical bytes of a key together. A str, as most keys are, takes one step."""
    start = prefix + _STR

    def encoded(key: Key) -> bytes:
        if type(key) is str and 0 < len(key) <= _SURELY_FITS:
            try:
                return start + key.encode()
            except UnicodeEncodeError:  # a lone surrogate, as in file names that are not UTF-8
                pass
        return prefix + encode(key)

    return encoded


def encoder_of_many(prefix: bytes) -> Callable[[Sequence[Key]], list[bytes]]:
    """The same for many keys at once."""
    one, start = encoder(prefix), prefix + _STR

    def encoded(keys: Sequence[Key]) -> list[bytes]:
        if {str}.issuperset(map(type, keys)) and all(keys) and max(map(len, keys), default=0) <= _SURELY_FITS:  # type: ignore[arg-type]
            with contextlib.suppress(UnicodeEncodeError):  # see above
                return [start + key.encode() for key in keys]  # type: ignore[union-attr]
        return [one(key) for key in keys]

    return encoded


def _encode(item: Any, key: Any) -> bytes:
    kind = type(item)
    if kind is str:
        return _STR + str.encode(item, "utf-8", "surrogatepass")
    if kind is bytes:
        return _BYTES + bytes(item)
    if kind is bool:
        return _BOOL + bytes((item,))
    if kind is int:
        return _INT + int.to_bytes(item, item.bit_length() // 8 + 1, "big", signed=True)
    if kind is float:
        return _FLOAT + struct.pack(">d", math.nan if item != item else item)  # one NaN
    if kind is tuple:
        items = (_encode(each, key) for each in item)
        return _TUPLE + b"".join(_LENGTH.pack(len(data)) + data for data in items)
    where = "" if item is key else f" inside {key!r:.200}"
    raise InvalidKey(
        f"{item!r:.200} of type {kind.__name__}{where} is no key; keys are str, bytes, int, float, bool, "
        f"or tuples of them"
    )


def decode(data: bytes) -> Key:
    """The key whose canonical bytes these are.

    Raises:
        InvalidKey: they are those of no key.
    """
    try:
        key = _decode(data)
        if encode(key) == data:  # there is no other way to write it
            return key
    except (UnicodeDecodeError, struct.error, RecursionError, InvalidKey):
        pass
    raise InvalidKey(f"{data!r:.100} are not the bytes of a key")


def _decode(data: bytes) -> Key:
    kind, body = data[:1], data[1:]
    if kind == _STR:
        return body.decode("utf-8", "surrogatepass")
    if kind == _BYTES:
        return body
    if kind == _INT:
        return int.from_bytes(body, "big", signed=True)
    if kind == _BOOL:
        return body == b"\1"
    if kind == _FLOAT:
        return float(struct.unpack(">d", body)[0])
    if kind != _TUPLE:
        raise InvalidKey(f"{data!r:.100} are not the bytes of a key")
    items: list[Key] = []
    at = 0
    while at < len(body):
        (size,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        items.append(_decode(body[at : at + size]))
        at += size
    return tuple(items)


def encode_prefix(prefix: Key | None) -> bytes:
    """What the canonical bytes of all keys with this prefix start with: of a str, of bytes, or items of a tuple."""
    if prefix is None:
        return b""
    if type(prefix) in (str, bytes, tuple):
        return _encode(prefix, prefix)
    raise InvalidKey(f"prefix={prefix!r:.200}: only str, bytes and tuple keys have prefixes")


#: A key's hash, as two numbers of 64 bits. Hot paths take the first, which is its `digest`, without a call more.
hashed: Callable[[bytes], tuple[int, int]] = mmh3.mmh3_x64_128_utupledigest


def digest(data: bytes) -> int:
    """64 bits that place a key: all of them on the ring, the low ones among the version slots."""
    return hashed(data)[0]
