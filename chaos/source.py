"""The source of truth: versions of keys in a mapped file, which getters read and clients write, in any process.

Writers take a lock in turn, and a version is never given out twice, also if its writer was killed before it was stored.
Reads take no lock: an aligned 8-byte load is atomic.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Bytes of values: in shared memory as they are, and as an object of Ray's.
SMALL, LARGE = 64, 200_000
_DELAY, _BROKEN, _OVER, _KEYS = 0, 1, 2, 8  # cells; of each key two: its version, and the last one given out


class SourceBroken(Exception):
    """What the getter raises while the source is broken."""


class Source:
    """A getter of a fixed set of keys. May be pickled: it is a file."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.path, self.keys = path, tuple(keys)
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, 8 * (_KEYS + 2 * len(keys)))

    def __call__(self, key: str) -> str:
        """The getter. A slow one returns what it has read at its beginning."""
        cells = _cells(self.path)
        version = cells[self._cell(key)]
        time.sleep(cells[_DELAY] / 1000)
        if cells[_BROKEN]:
            raise SourceBroken(f"no {key} now")
        return value(key, version)

    def _cell(self, key: str) -> int:
        return _KEYS + 2 * self.keys.index(key)

    def version(self, key: str) -> int:
        return _cells(self.path)[self._cell(key)]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile."""
        file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def give_out(self, keys: Sequence[str]) -> dict[str, int]:
        """New versions of these keys, which nobody has had before. Under the lock."""
        cells, versions = _cells(self.path), {}
        for key in keys:
            cells[self._cell(key) + 1] += 1
            versions[key] = cells[self._cell(key) + 1]
        return versions

    def store(self, versions: Mapping[str, int]) -> None:
        """From now on getters return these. Under the lock."""
        for key, version in versions.items():
            _cells(self.path)[self._cell(key)] = version

    def behave(self, *, delay_s: float = 0.0, broken: bool = False) -> None:
        """How long every getter takes from now on, and whether it raises then."""
        cells = _cells(self.path)
        cells[_DELAY], cells[_BROKEN] = round(1000 * delay_s), broken

    @property
    def over(self) -> bool:
        """Whether clients are to come to an end."""
        return bool(_cells(self.path)[_OVER])

    def end(self) -> None:
        _cells(self.path)[_OVER] = 1


@functools.lru_cache(maxsize=16)
def _cells(path: Path) -> memoryview:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")


def value(key: str, version: int) -> str:
    """The value of a key: it names both, and is full of the version to its end."""
    text = f"{version} "
    return f"{key} {(text * (size(key) // len(text) + 1))[: size(key)]}"


def size(key: str) -> int:
    """Bytes of a key's values."""
    return LARGE if key.startswith("large") else SMALL


def seen(key: str, got: object) -> int | None:
    """The version of a key that a value is; None if it is none, in whole."""
    words = got.split(" ", 2) if isinstance(got, str) else []
    if len(words) < 2 or not words[1].isdigit():
        return None
    version = int(words[1])
    return version if got == value(key, version) else None
