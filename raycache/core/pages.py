"""Pages: records under keys in an LMDB file in shared memory. One process writes, every process of the node reads.

A reader sees a consistent snapshot, copies out what it asked for and ends its transaction at once, since an open one
keeps freed pages from being used again. The file is opened without a writable map, and memory for it is reserved
before it is used: a full /dev/shm is then an error of a put (`PagesFull`), never a SIGBUS, and deletes still find the
few pages that they need. A key that is longer than LMDB allows is cut, ends in a digest, and stands in full before
its record.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from raycache.core import intact

_LONGEST = 511  # LMDB's bound on keys; exactly this length marks a key that was cut
_DIGEST = 16
_LENGTH = struct.Struct("<I")
_READERS = 1024
_LOCK_BYTES = 64 * (_READERS + 64)  # LMDB's table of readers: a cache line each, and its header
_BATCH = 100  # deletes in one transaction: they touch fewer pages than are reserved, and the next uses those again
_PAGE = 4096
_RESERVE = 1 << 20  # what is kept free for deletes
_STEP = 1 << 18  # in which the file grows

_CHECK_S = 60.0  # how long it may take to look at what an earlier process has left


class PagesFull(Exception):
    """No room for a write, in the map or in the file system; nothing of it was done."""


class Pages:
    """The file in one folder, as its only writer (`Pages.create`) or as a reader (`Pages.open`)."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._folder = folder
        self._env: Any = lmdb.open(os.fspath(folder), writemap=False, readahead=False, max_readers=_READERS, **options)
        self._reserved = 0
        _opened.add(self)

    @classmethod
    def create(cls, folder: Path, map_bytes: int, *, keep: bool = False) -> Pages:
        """Makes the pages in a folder; what a process before this one left there is dropped, unless it is to be kept.

        The files stay the same ones: readers have them open, and would go on to read the old entries from files that
        were unlinked. Raises PagesFull where there is no room, or where the files cannot be used.
        """
        try:
            lock = os.open(folder / "lock.mdb", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(lock, 0, _LOCK_BYTES)  # LMDB maps it: a hole would be a SIGBUS when /dev/shm is full
            finally:
                os.close(lock)
            if keep:
                _check(folder)
            pages = cls(folder, map_size=map_bytes, sync=False, metasync=False, meminit=False, mode=0o600)
            if not keep:
                pages.drop()
            return pages
        except (OSError, lmdb.Error) as error:
            raise PagesFull(f"{folder}: {error}") from error

    @classmethod
    def open(cls, folder: Path) -> Pages:
        """Opens the pages of another process for reading; raises OSError where there are none."""
        try:
            return cls(folder, readonly=True, create=False, map_size=0)  # 0: as large as the writer's
        except lmdb.Error as error:
            raise OSError(f"cannot read the pages in {folder}: {error}") from error

    # ------------------------------------------------------------------------------------------- reading

    def get(self, key: bytes) -> bytes | None:
        """A copy of the record, or None."""
        if len(key) >= _LONGEST:
            return self.get_many([key]).get(key)
        txn = self._env.begin()
        record: bytes | None = txn.get(key)
        txn.abort()
        return record

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Copies of the records that there are, all of one snapshot."""
        keys = list(keys)
        cut = list(map(_cut, keys)) if max(map(len, keys), default=0) >= _LONGEST else keys
        txn = self._env.begin()
        found = {key: record for key, record in zip(keys, map(txn.get, cut), strict=True) if record is not None}
        txn.abort()
        return found if cut is keys else _without_cut(found)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[bytes]:
        """The keys that start with the prefix, in the order of the file, after a key given by an earlier scan."""
        with self._env.begin(buffers=True) as txn:
            keys: list[bytes] = []
            for key, _ in self._range(txn, prefix, after):
                if limit is not None and len(keys) == limit:
                    break
                keys.append(key)
            return keys

    def items(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Copies of keys and records, in the order of the file, after a key given by an earlier call."""
        with self._env.begin(buffers=True) as txn:
            return [(key, bytes(stored)) for key, stored in islice(self._range(txn, b"", after), limit)]

    def _range(self, txn: Any, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        """Keys and records, in the order of the file."""
        with txn.cursor() as cursor:
            start = max(_cut(prefix)[: _LONGEST - _DIGEST], _cut(after))
            more = cursor.set_range(start) if start else cursor.first()
            while more:
                key, record = cursor.item()
                key = bytes(key)
                if not key.startswith(prefix[: _LONGEST - _DIGEST]):
                    return
                at, full = key, key
                if len(key) == _LONGEST:
                    full, record = _split(record)
                if at > _cut(after) and full.startswith(prefix):
                    yield full, record
                more = cursor.next()

    # ------------------------------------------------------------------------------------------- writing

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Deletes and stores, all or nothing; raises PagesFull when there is no room for all."""
        try:
            self._reserve(sum(_page_bytes(key, record) for key, record in puts.items()))
            with self._env.begin(write=True) as txn:
                for key in deletes:
                    txn.delete(_cut(key))
                for key in _in_order(txn, puts):
                    record = puts[key]
                    txn.put(_cut(key), record if len(key) < _LONGEST else _LENGTH.pack(len(key)) + key + record)
        except (OSError, lmdb.MapFullError, lmdb.DiskError, lmdb.TxnFullError) as error:
            raise PagesFull(f"{self._folder}: {error}") from error

    def _reserve(self, more: int) -> None:
        """Sees to it that there is memory for so many bytes of records, and a reserve for deletes beside them.

        Pages of deleted entries are used again, so what counts is what the entries take, not how long the file is.
        """
        if not more:
            return
        stat, map_bytes = self._env.stat(), self._env.info()["map_size"]
        used = (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * _PAGE
        needed = used + more + min(_RESERVE, map_bytes // 8)
        if needed > map_bytes:
            raise PagesFull(f"{self._folder}: the map of {map_bytes:,} bytes is full")
        if needed > self._reserved:
            needed = min(needed + -needed % _STEP, map_bytes)
            file = os.open(self._folder / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
            try:
                os.posix_fallocate(file, 0, needed)
            finally:
                os.close(file)
            self._reserved = needed

    def delete(self, keys: list[bytes]) -> None:
        """Deletes, in transactions so small that they find room where there is hardly any; raises PagesFull if not."""
        keys = sorted(keys)  # neighbours lie in the same pages
        for at in range(0, len(keys), _BATCH):
            self.write({}, keys[at : at + _BATCH])

    def delete_misplaced(self) -> int:
        """Deletes records that are not found by the long keys that stand before them; how many there were."""
        try:
            with self._env.begin(write=True) as txn, txn.cursor() as cursor:
                long_keys = (key for key in cursor.iternext(values=False) if len(key) == _LONGEST)
                misplaced = [key for key in long_keys if _cut(_split(cursor.value())[0]) != key]
                for key in misplaced:
                    txn.delete(key)
            return len(misplaced)
        except (lmdb.MapFullError, lmdb.DiskError, lmdb.TxnFullError) as error:
            raise PagesFull(f"{self._folder}: {error}") from error

    def drop(self) -> None:
        """Deletes everything, at once; raises PagesFull if there is no room even for that."""
        try:
            with self._env.begin(write=True) as txn:
                txn.drop(self._env.open_db(txn=txn), delete=False)
        except lmdb.Error as error:
            raise PagesFull(f"{self._folder}: {error}") from error

    def clear_dead_readers(self) -> int:
        """Frees what readers hold that died in the middle of a read; their number."""
        return int(self._env.reader_check())

    def file_bytes(self) -> int:
        """Bytes of memory that the file takes: it grows to what was needed at once and is used again after that."""
        return sum((self._folder / name).stat().st_blocks * 512 for name in ("data.mdb", "lock.mdb"))

    def close(self) -> None:
        _opened.discard(self)
        self._env.close()


def _check(folder: Path) -> None:
    """Raises OSError for pages that are not whole. In a process of its own: what is damaged may crash or hang it."""
    if not (folder / "data.mdb").exists():
        return
    command = [sys.executable, intact.__file__, os.fspath(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_CHECK_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"the pages cannot be checked within {_CHECK_S:g} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(f"the pages cannot be used: {said[-1] if said else f'their check ended by {-done.returncode}'}")


def _in_order(txn: Any, keys: Collection[bytes]) -> Iterable[bytes]:
    """In which order keys are put, so that pages get full. Those that come after all that there are fill page after
    page in their own order. Amid others that would leave every page half full, as LMDB splits it and nothing more comes
    to its first half; put in any other order they make pages two thirds full."""
    if len(keys) < 2:
        return keys
    with txn.cursor() as cursor:
        last = cursor.key() if cursor.last() else b""
    return sorted(keys, key=hash if min(keys) < last else None)


def _page_bytes(key: bytes, record: bytes) -> int:
    """What a record may add to the file: shared pages may be half full, larger ones have pages of their own."""
    size = len(key) + len(record)
    return 2 * size + 64 if size < _PAGE // 2 else size + 2 * _PAGE


def _cut(key: bytes) -> bytes:
    if len(key) < _LONGEST:
        return key
    return key[: _LONGEST - _DIGEST] + blake2b(key, digest_size=_DIGEST).digest()


def _without_cut(found: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Records as they are, without the full keys that stand before those of long keys."""
    split = {key: _split(stored) if len(key) >= _LONGEST else (key, stored) for key, stored in found.items()}
    return {key: record for key, (full, record) in split.items() if full == key}


def _split(stored: Any) -> tuple[bytes, bytes]:
    """The full key and the record of what lies under a cut key; no key where that is damaged."""
    if len(stored) < _LENGTH.size:
        return b"", b""
    at = _LENGTH.size + _LENGTH.unpack_from(stored)[0]
    return bytes(stored[_LENGTH.size : at]), bytes(stored[at:])


class _Nothing:
    """In place of an environment that may not be used: it finds nothing."""

    def begin(self, **_: Any) -> _Nothing:
        return self

    def get(self, _: bytes) -> None:
        return None

    abort = close = lambda self: None


# LMDB forbids to use an environment after a fork, and even closing it there would free the parent's place among the
# readers. So the child keeps it unused and finds nothing in the pages; what it asks goes to the shard.
_opened: weakref.WeakSet[Pages] = weakref.WeakSet()
_inherited: list[Any] = []


def _after_fork() -> None:
    for pages in list(_opened):
        _inherited.append(pages._env)
        pages._env = _Nothing()


os.register_at_fork(after_in_child=_after_fork)
