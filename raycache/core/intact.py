"""Whether pages that a process has left behind are whole. A program, run on their folder: it says what is wrong.

LMDB trusts its file: where that is damaged it crashes, hangs, or writes over what is in use. So before it may write
there, this looks at every page. Each has at most one use: in the tree of records, in the tree of free pages, as part of
a large record, or free. Keys are in order, and nothing points out of its page or out of the file. Then the writer's
lock is taken, which might never be given out where its file is damaged. Whether a record is what was stored under its
key is not looked at here; its checksum tells.

The format is that of LMDB 0.9, as py-lmdb has it on machines of 64 bits: a header in each of the first two pages.
"""

from __future__ import annotations

import mmap
import operator
import os
import signal
import struct
import sys
from typing import Any

import lmdb

_META = struct.Struct(
    "=IIQQ48s48sQQ"
)  # magic, version, address, map size, free tree, main tree, last page, transaction
_TREE = struct.Struct(
    "=IHHQQQQQ"
)  # page size (in the free one's), flags, depth, branches, leaves, large, entries, root
_HEAD = struct.Struct("=QHHHH")  # number, -, flags, and the bounds of what is free between pointers and nodes
_NODE = struct.Struct("=HHHH")  # size of the data (low, high half), flags, size of the key; a branch's has a number
_NUMBER, _POINTER, _COUNT = struct.Struct("=Q"), struct.Struct("=H"), struct.Struct("=I")
_MAGIC, _VERSION, _NOWHERE = 0xBEEFC0DE, 1, (1 << 64) - 1
_BRANCH, _LEAF, _LARGE, _META_PAGE = 1, 2, 4, 8
_DATA_ELSEWHERE = 1  # the only flag that a node of ours has
_DEEPEST = 32
#: How long the lock may take that nobody else wants.
LOCK_S = 2


class Damaged(Exception):
    """What is wrong."""


class _Tree:
    """What a walk through one of the two trees has found, to be compared with what the header says of it."""

    def __init__(self, packed: bytes, number_keys: bool) -> None:
        _, _, self.depth, *self.told, self.root = _TREE.unpack(packed)
        self.found = [0, 0, 0, 0]  # branches, leaves, pages of large records, entries
        self.number_keys = number_keys

    def order(self, key: bytes) -> Any:
        if not self.number_keys:
            return key
        _demand(len(key) == _NUMBER.size, "a free page has a wrong key")
        return _NUMBER.unpack(key)[0]


class _File:
    """All pages of the file, and which of them have a use."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        first = self._header(0, _HEAD.size)
        self._size = _TREE.unpack(first[4])[0]
        _demand(self._size in (1 << bits for bits in range(9, 17)), f"pages of {self._size} bytes")
        second = self._header(1, self._size + _HEAD.size)
        _demand(first[7] % 2 == 0 and abs(first[7] - second[7]) <= 1, "two headers that do not belong together")
        newest = max(first, second, key=lambda header: int(header[7]))
        _, _, address, map_bytes, self._free, self._main, last, self.transaction = newest
        needed = (last + 1) * self._size
        _demand(needed <= min(len(data), map_bytes) and not address, f"{len(data):,} bytes of {needed:,}")
        self._used = bytearray(last + 1)
        self._use(0, 2)

    def _header(self, page: int, at: int) -> tuple[Any, ...]:
        _demand(len(self._data) >= at + _META.size, "shorter than its header")
        header = _META.unpack_from(self._data, at)
        kind = _HEAD.unpack_from(self._data, at - _HEAD.size)[2]
        _demand((*header[:2], kind) == (_MAGIC, _VERSION, _META_PAGE), f"no header in page {page}")
        return header

    def check(self) -> None:
        """Walks through both trees."""
        self._walk(_Tree(self._main, number_keys=False))
        self._walk(_Tree(self._free, number_keys=True))

    def _use(self, page: int, count: int = 1) -> None:
        inside = page + count <= len(self._used)
        _demand(inside and not any(self._used[page : page + count]), f"page {page} has two uses, or is not there")
        self._used[page : page + count] = b"\1" * count

    def _walk(self, tree: _Tree) -> None:
        if tree.root != _NOWHERE:
            _demand(0 < tree.depth <= _DEEPEST, f"a tree of depth {tree.depth}")
            self._branch_or_leaf(tree, tree.root, 1, None, None)
        _demand(tree.found == tree.told, f"{tree.found} where there should be {tree.told}")

    def _branch_or_leaf(self, tree: _Tree, number: int, depth: int, low: Any, high: Any) -> None:
        """A page with all below it, whose keys are from `low` on and less than `high`."""
        self._use(number)
        page = bytes(self._data[number * self._size : (number + 1) * self._size])
        own, _, kind, lower, upper = _HEAD.unpack_from(page)
        leaf = depth == tree.depth
        _demand((own, kind) == (number, _LEAF if leaf else _BRANCH), f"page {number} is something else")
        _demand(_HEAD.size < lower <= upper <= self._size and not lower % 2, f"page {number} has wrong bounds")
        tree.found[leaf] += 1
        places = [place for (place,) in _POINTER.iter_unpack(page[_HEAD.size : lower])]
        _demand(upper <= min(places) and max(places) <= self._size - _NODE.size, f"page {number} points out of itself")
        if leaf:
            self._leaf(tree, page, places, upper, low, high)
        else:
            self._branch(tree, page, places, depth, low, high)

    def _branch(self, tree: _Tree, page: bytes, places: list[int], depth: int, low: Any, high: Any) -> None:
        children, bounds = [], [low]
        for rank, place in enumerate(places):
            one, two, three, size = _NODE.unpack_from(page, place)
            children.append(one | two << 16 | three << 32)
            if rank:  # of the first the key is not looked at
                bounds.append(tree.order(page[place + _NODE.size : place + _NODE.size + size]))
        self._ascending(bounds, low, high)
        for child, start, end in zip(children, bounds, [*bounds[1:], high], strict=True):
            self._branch_or_leaf(tree, child, depth + 1, start, end)

    def _leaf(self, tree: _Tree, page: bytes, places: list[int], upper: int, low: Any, high: Any) -> None:
        keys, taken = [], 0
        for place in places:  # of these there are millions
            short, high_half, flags, key_size = _NODE.unpack_from(page, place)
            size, at = short | high_half << 16, place + _NODE.size + key_size
            inside = size if not flags else _NUMBER.size
            if flags > _DATA_ELSEWHERE or at + inside > self._size:
                raise Damaged("a record points out of its page")
            keys.append(page[at - key_size : at])
            taken += (_NODE.size + key_size + inside + 1) & -2
            if flags or tree.number_keys:
                data: bytes | memoryview = page[at : at + inside]
                if flags:
                    data = self._large(tree, _NUMBER.unpack(data)[0], size)
                if tree.number_keys:
                    self._free_pages(data)
        _demand(taken == self._size - upper, "records lie over each other")
        self._ascending([tree.order(key) for key in keys] if tree.number_keys else keys, low, high)
        tree.found[3] += len(keys)

    def _ascending(self, keys: list[Any], low: Any, high: Any) -> None:
        """What a search relies on: what is not in order would not be found, and stay when it is deleted."""
        known = keys if keys[0] is not None else keys[1:]
        _demand(all(map(operator.lt, known, known[1:])), "keys are not in order")
        if known:
            _demand(low is None or low <= known[0], "a key lies too far behind")
            _demand(high is None or known[-1] < high, "a key lies too far ahead")

    def _large(self, tree: _Tree, number: int, size: int) -> memoryview:
        at = number * self._size
        _demand(number < len(self._used), "a large record points out of the file")
        own, _, kind, _, _ = _HEAD.unpack_from(self._data, at)
        (count,) = _COUNT.unpack_from(self._data, at + _HEAD.size - _COUNT.size)
        _demand((own, kind) == (number, _LARGE), f"page {number} is something else")
        _demand(0 < size + _HEAD.size <= count * self._size, "a large record has a wrong size")
        self._use(number, count)
        tree.found[2] += count
        return self._data[at + _HEAD.size : at + _HEAD.size + size]

    def _free_pages(self, listed: bytes | memoryview) -> None:
        """A list of free pages, which starts with their number."""
        _demand(len(listed) >= _NUMBER.size and not len(listed) % _NUMBER.size, "a list of free pages is cut")
        count, *pages = (number for (number,) in _NUMBER.iter_unpack(listed))
        _demand(count <= len(pages), "a list of free pages is too short")
        _demand(pages[:count] == sorted(pages[:count], reverse=True), "free pages are not in order")
        for page in pages[:count]:
            self._use(page)


def _demand(right: bool, wrong: str) -> None:
    if not right:
        raise Damaged(wrong)


def check(folder: str) -> None:
    """Raises Damaged for pages in which LMDB should neither read nor write."""
    try:
        with open(os.path.join(folder, "data.mdb"), "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        pages = _File(data)
        pages.check()
    except (OSError, ValueError, struct.error) as error:  # ValueError: it is empty
        raise Damaged(str(error)) from error
    signal.alarm(LOCK_S)  # ends this process
    with lmdb.open(folder, create=False, max_readers=1024, sync=False) as env, env.begin(write=True) as txn:
        _demand(txn.id() == pages.transaction + 1, "the lock is of other pages")
        txn.abort()


if __name__ == "__main__":
    try:
        check(sys.argv[1])
    except (Damaged, lmdb.Error) as error:
        sys.exit(f"damaged: {error}")
