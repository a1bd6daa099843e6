"""Entries for stores, and pages that are short of room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raycache.core import record
from raycache.core.pages import Pages, PagesFull
from raycache.core.store import Entry


def entry(data: bytes | str = b"", expires: float = record.NEVER) -> Entry:
    data = data.encode() if isinstance(data, str) else data
    return Entry(record.pack(record.Header(expires, 0.0, 0.0, 0), data))


def sealed(key: bytes, entry: Entry) -> Entry:
    """The entry as a store has it under this key."""
    return entry._replace(record=record.sealed(key, entry.record))


class NoRoom:
    """Pages without room for records of more than so many bytes."""

    def __init__(self, pages: Pages, room: int) -> None:
        self._pages, self.room = pages, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pages, name)

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        if sum(map(len, puts.values())) > self.room:
            raise PagesFull("no room")
        self._pages.write(puts, deletes)
