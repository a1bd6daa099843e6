"""A value as a `Blob` and back: what travels between processes and lies in pages and in the object store.

A blob is a tag and parts: the bytes themselves for bytes and str, otherwise a pickle (protocol 5) followed by its
out-of-band buffers, so that an array is neither copied into the pickle nor out of it. A value decoded from read-only
parts has read-only arrays, which may be shared between callers; `shareable` tells which values may.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import io
import pathlib
import pickle
import struct
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cloudpickle

from raycache.core.classes import is_main, reduced_alike
from raycache.errors import UncacheableValue

RAW, TEXT, PICKLE, FRAMES = range(4)  # FRAMES: a pickle with buffers, packed into one run of bytes
ABSENT, STUB = 4, 5  # in records only: a NotFound with its message; a large value that lies elsewhere

_ALIGN = 16
_COUNT, _LENGTH = struct.Struct("<I"), struct.Struct("<Q")


class Blob(NamedTuple):
    """An encoded value. The parts are bytes-like; `PICKLE` has one part, or the pickle and then its buffers."""

    tag: int
    parts: tuple[Any, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in self.parts)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Parts travel out of band: through the object store without being copied."""
        return _blob, (self.tag, *(pickle.PickleBuffer(part) for part in self.parts))

    def packed(self) -> tuple[int, bytes]:
        """The tag and the bytes of a blob of one part, for a record; a copy of everything."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return self.tag, part if type(part) is bytes else bytes(part)
        out = bytearray(_COUNT.pack(len(self.parts)))
        for part in self.parts:
            out += _LENGTH.pack(memoryview(part).nbytes)
        for part in self.parts:
            out += bytes(-len(out) % _ALIGN)
            out += part
        return FRAMES, bytes(out)


def _blob(tag: int, *parts: Any) -> Blob:
    return Blob(tag, tuple(memoryview(part) for part in parts))


def _frames(data: Any) -> list[memoryview]:
    view = memoryview(data)
    (count,) = _COUNT.unpack_from(view)
    at = _COUNT.size + count * _LENGTH.size
    parts = []
    for number in range(count):
        (size,) = _LENGTH.unpack_from(view, _COUNT.size + number * _LENGTH.size)
        at += -at % _ALIGN
        parts.append(view[at : at + size])
        at += size
    return parts


#: Makes a pickler that writes to a stream, and calls a function with each buffer that it has left out.
Pickling = Callable[[io.BytesIO, Callable[[Any], Any]], cloudpickle.Pickler]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Refuses what would be dead or wrong when it is read again."""

    def __init__(self, stream: io.BytesIO, buffer_callback: Callable[[Any], Any], refuse: Callable[[Any], None]):
        super().__init__(stream, protocol=5, buffer_callback=buffer_callback)
        self._refuse = refuse

    def reducer_override(self, obj: Any) -> Any:
        self._refuse(obj)
        reduced = super().reducer_override(obj)
        return reduced_alike(obj, reduced) if is_main(obj) else reduced


class Codec:
    """Encodes and decodes values; `refused` are types that no cached value may hold, at any depth."""

    def __init__(self, refused: tuple[type, ...] = ()) -> None:
        self.refused = refused

    def refuse(self, value: Any) -> None:
        """Raises UncacheableValue for a value that is refused by itself."""
        if self.refused and isinstance(value, self.refused):
            raise UncacheableValue(
                f"the value holds {value!r:.100}: what a {type(value).__name__} refers to does not live as long as "
                f"the cache; cache the data itself (ray.get it first)"
            )

    def _pickler(self, stream: io.BytesIO, buffer_callback: Callable[[Any], Any]) -> _Pickler:
        return _Pickler(stream, buffer_callback, self.refuse)

    def encode(self, value: Any, pickler: Pickling | None = None) -> Blob:
        """The value as a blob, whose buffers may still be the value's own memory.

        Args:
            pickler: in the place of the codec's own, for a value that is not to be kept.

        Raises:
            UncacheableValue: it cannot be pickled, or holds something that is refused.
        """
        if type(value) is bytes:
            return Blob(RAW, (value,))
        if type(value) is str:
            return Blob(TEXT, (value.encode("utf-8", "surrogatepass"),))
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        try:
            (pickler or self._pickler)(stream, buffers.append).dump(value)
            return Blob(PICKLE, (stream.getvalue(), *(buffer.raw() for buffer in buffers)))
        except UncacheableValue:
            raise
        except Exception as error:
            raise UncacheableValue(
                f"a value of type {type(value).__qualname__} cannot be pickled ({error}); return data instead, "
                f"or give its class a __reduce__"
            ) from error


def decode(tag: int, parts: Sequence[Any]) -> Any:
    """The value of a blob, or of a record's tag and bytes; arrays use the parts' memory, without a copy."""
    if tag == FRAMES:
        tag, parts = PICKLE, _frames(parts[0])
    if tag == PICKLE:
        return pickle.loads(parts[0], buffers=parts[1:])
    if tag == RAW:
        return bytes(parts[0])
    if tag == TEXT:
        return str(parts[0], "utf-8", "surrogatepass")
    raise ValueError(f"no value has the tag {tag}")


def decode_first(tag: int, data: bytes, behind: int) -> Any:
    """The value of bytes with so many others behind them. A pickle ends where it says so, without a slice; of a short
    text a copy is quicker than a view."""
    if tag == PICKLE:
        return pickle.loads(data)
    if tag == TEXT:
        return data[:-behind].decode("utf-8", "surrogatepass")
    return decode(tag, (memoryview(data)[:-behind],))


_IMMUTABLE = frozenset(
    {bytes, str, int, float, bool, complex, type(None), type(Ellipsis), range, uuid.UUID, decimal.Decimal}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone}
    | {fractions.Fraction, pathlib.PurePosixPath, pathlib.PosixPath}
)

_MUTABLE = frozenset({dict, list, set, bytearray})


def shareable(value: Any) -> bool:
    """Whether a decoded value may be handed to several callers: nobody can change it."""
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    if kind in _MUTABLE:
        return False
    if isinstance(value, enum.Enum):
        return kind.__module__ != "__main__"  # a cell that is run again makes another class of it
    if kind is tuple or kind is frozenset:
        return all(map(shareable, value))
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        # Read-only down to the bytes below, so that nobody can make it writable again.
        while type(value) is numpy.ndarray:
            if value.flags.writeable or value.dtype.hasobject:
                return False
            value = value.base
        return isinstance(value, bytes) or (isinstance(value, memoryview) and value.readonly)
    return False
