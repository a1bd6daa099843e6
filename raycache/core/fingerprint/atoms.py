"""The values that hold no others, as bytes: one function for each exact type.

Every encoding starts with the type and says where it ends, so that encodings one after the other can be told apart
again, whatever they hold. Data of 64 KiB and more are represented by their digest: an encoding stays small, and what is
behind it is hashed where it lies.
"""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import os
import pathlib
import struct
import uuid
from collections.abc import Callable
from typing import Any

from blake3 import blake3

DIGEST_BYTES = 16
LARGE_BYTES = 64 << 10
_THREADS_FROM_BYTES = 1 << 20  # below, waking them takes longer than hashing

_head = struct.Struct("<cI").pack
_double = struct.Struct("<d").pack
_NAN = _double(float("nan"))
_DIGESTED = 0xFFFF_FFFF  # in the place of a length: not the data follow, but their digest

_threads = blake3.AUTO


def _one_thread() -> None:
    """The threads of a parent do not exist in a forked child, which would wait for them for ever."""
    global _threads
    _threads = 1


os.register_at_fork(after_in_child=_one_thread)


def threads(size: int) -> int:
    """How many threads blake3 should use for so many bytes."""
    return _threads if size >= _THREADS_FROM_BYTES else 1


def digest(data: Any) -> bytes:
    """16 bytes for a contiguous buffer, however large, without a copy."""
    size = data.nbytes if type(data) is memoryview else len(data)
    return blake3(data, max_threads=threads(size)).digest(DIGEST_BYTES)


def data(kind: bytes, raw: Any) -> bytes:
    """A contiguous buffer after a type of one byte."""
    size = raw.nbytes if type(raw) is memoryview else len(raw)
    if size >= LARGE_BYTES:
        return digested(kind, digest(raw))
    return _head(kind, size) + (raw if type(raw) is bytes else bytes(raw))


def digested(kind: bytes, digest_of_data: bytes) -> bytes:
    """The encoding of large data by their digest."""
    return _head(kind, _DIGESTED) + digest_of_data


def count(kind: bytes, number: int) -> bytes:
    """How many items follow, after a type of one byte."""
    return kind + number.to_bytes(8, "little")


def _str(value: str) -> bytes:
    try:
        raw = str.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, as in file names that are not UTF-8
        raw = str.encode(value, "utf-8", "surrogatepass")
    size = len(raw)
    return _head(b"s", size) + raw if size < LARGE_BYTES else digested(b"s", digest(raw))


def _int(value: int) -> bytes:
    return data(b"i", int.to_bytes(value, (int.bit_length(value) >> 3) + 1, "little", signed=True))


def _float(value: float) -> bytes:
    return b"f" + (_double(value) if value == value else _NAN)


def _complex(value: complex) -> bytes:
    return b"c" + _float(value.real) + _float(value.imag)


def _bytes(value: bytes) -> bytes:
    return data(b"b", value)


def _bytearray(value: bytearray) -> bytes:
    return data(b"a", value)


def _named(kind: bytes, *parts: Any) -> bytes:
    return data(b"n", kind) + b"".join(ATOMS[type(part)](part) for part in parts)


def _memoryview(value: memoryview) -> bytes:
    raw = value if value.c_contiguous and value.ndim else value.tobytes()
    shape = b"".join(map(_int, value.shape or ()))
    return _named(b"memoryview", value.format) + count(b"#", value.ndim) + shape + data(b"b", raw)


def _array(value: array.array[Any]) -> bytes:
    return _named(b"array", value.typecode) + data(b"b", memoryview(value))


def _decimal(value: decimal.Decimal) -> bytes:
    sign, digits, exponent = decimal.Decimal.as_tuple(value)
    return _named(b"decimal", sign, bytes(digits), exponent)


def _fraction(value: fractions.Fraction) -> bytes:
    return _named(b"fraction", value.numerator, value.denominator)


def _date(value: datetime.date) -> bytes:
    return _named(b"date", datetime.date.toordinal(value))


def _timedelta(value: datetime.timedelta) -> bytes:
    return _named(b"timedelta", value.days, value.seconds, value.microseconds)


def _timezone(value: datetime.timezone) -> bytes:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]  # what pickle uses; the name only if given
    return _named(b"timezone", offset, *name) + b"."


def _range(value: range) -> bytes:
    # Equal ranges may differ in what they say of themselves: range(0, 3, 2).stop, range(0, 4, 2).stop.
    return _named(b"range", value.start, value.stop, value.step)


def _uuid(value: uuid.UUID) -> bytes:
    return _named(b"uuid", value.bytes)


def _path(value: pathlib.PurePath) -> bytes:
    return _named(b"path", type(value).__name__, str(value))


ATOMS: dict[type, Callable[[Any], bytes]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: (b"F", b"T").__getitem__,
    type(None): lambda _: b"N",
    bytes: _bytes,
    complex: _complex,
    bytearray: _bytearray,
    memoryview: _memoryview,
    type(Ellipsis): lambda _: b"E",
    type(NotImplemented): lambda _: b"I",
    array.array: _array,
    decimal.Decimal: _decimal,
    fractions.Fraction: _fraction,
    datetime.date: _date,
    datetime.timedelta: _timedelta,
    datetime.timezone: _timezone,
    range: _range,
    uuid.UUID: _uuid,
    pathlib.PurePosixPath: _path,
    pathlib.PureWindowsPath: _path,
    pathlib.PosixPath: _path,
}
