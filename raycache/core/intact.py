"""Whether the pages that a process has left behind are whole. Run as a program, on their folder: it says why not.

LMDB trusts its file: where that is damaged it crashes, hangs, or writes over what is in use. So every page is looked at
here before LMDB may write. Checked is what the file's structure promises: each page has at most one use, as a node of
one of the two trees, as part of a large record, or as a free page; keys are in order; nothing points out of its page or
out of the file. Whether a record is what was stored under its key, its checksum tells.

A program, as the last step opens the pages for writing: a lock that was damaged may never be given out.
"""

from __future__ import annotations

import mmap
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb

_META = struct.Struct("<IIQQ48s48sQQ")  # magic, version, address, map size, tree of free pages, main tree, last page, txn
_TREE = struct.Struct("<IHHQQQQQ")  # page size (of the first), flags, depth, branches, leaves, overflow, entries, root
_HEADER = struct.Struct("<QHHHH")  # page number, -, flags, and of trees the bounds of what is free in between
_NODE = struct.Struct("<HHHH")  # of a leaf: size of the data (low, high), flags, size of the key
_NUMBER = struct.Struct("<Q")
_COUNT = struct.Struct("<I")
_MAGIC, _VERSION, _NONE = 0xBEEFC0DE, 1, (1 << 64) - 1
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG = 1  # flag of a node whose data lies in pages of its own
_DEEPEST = 32
#: How long it may take to get the lock of a folder in which nobody else writes.
LOCK_S = 5


class Damaged(Exception):
    """What is not as it should be."""


class _File:
    """The pages of a file, each of which may be used once."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        first = self._meta(0, _HEADER.size)
        self.size = _TREE.unpack(first[4])[0]
        if self.size not in (1 << bits for bits in range(9, 17)):
            raise Damaged(f"a page size of {self.size}")
        newest = max(first, self._meta(1, self.size + _HEADER.size), key=lambda meta: int(meta[7]))
        _, _, address, self._map_bytes, self._free, self._main, self._last, _ = newest
        if _TREE.unpack(self._free)[0] != self.size or address:
            raise Damaged("two headers that do not belong together")
        if not (self._last + 1) * self.size <= min(len(data), self._map_bytes):
            raise Damaged(f"{len(data):,} bytes of {(self._last + 1) * self.size:,}")
        self._used = bytearray(self._last + 1)
        self._used[0:2] = b"\1\1"

    def _meta(self, page: int, at: int) -> tuple[Any, ...]:
        if len(self._data) < at + _META.size:
            raise Damaged("too short")
        meta = _META.unpack_from(self._data, at)
        if meta[:2] != (_MAGIC, _VERSION) or _HEADER.unpack_from(self._data, at - _HEADER.size)[2] != _META_PAGE:
            raise Damaged(f"no header in page {page}")
        return meta
