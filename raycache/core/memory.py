"""Folders in shared memory: where a shard's pages and slots lie, and the sweep of what dead sessions left behind.

A folder belongs to an owner, a process whose end ends the session (for a shard its node's raylet, for an inline cache
the process itself), and is locked by the process that uses it. It may be swept when both are gone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from raycache.options import default_capacity

SHARED_MEMORY = Path("/dev/shm")
#: Room beside the capacity: version slots, the table of readers, the reserve for deletes.
OVERHEAD_BYTES = 4 << 20
#: The map is larger than the capacity: pages are partly empty, a value just over half a page takes a whole one.
MAP_FACTOR = 3
#: How long a process waits for its folder: one that is ending holds it until gigabytes of memory are freed.
HELD_S = 10.0


def _prefix() -> str:
    return f"raycache-{os.getuid()}-"


def _roots() -> list[Path]:
    return [root for root in (SHARED_MEMORY, Path(tempfile.gettempdir())) if root.is_dir()]


def usual_capacity() -> int:
    """The default capacity of a shard on this machine."""
    return default_capacity(os.fspath(_roots()[0]))


class Folder:
    """A folder of this process, mode 0700; `remove` or the sweep ends it."""

    def __init__(self, name: str, capacity_bytes: int, owner: int) -> None:
        """Makes the folder, or takes it over from an earlier process of the same name.

        Args:
            name: unique among all caches of the user on this machine.
            capacity_bytes: what is to fit in it; decides whether shared memory will do.
            owner: the process id whose end ends the session.
        """
        self.path = _place(_prefix() + name, capacity_bytes + OVERHEAD_BYTES)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        status = self.path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise PermissionError(f"{self.path} is no folder but a link or a file; pages are not kept there: remove it")
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise PermissionError(
                f"{self.path} belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}; pages are only "
                f"kept where nobody else can write: remove it"
            )
        self._lock = os.open(self.path / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._hold()
        except BlockingIOError:
            os.close(self._lock)
            raise
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps({"pid": owner, "started": _started(owner)}).encode(), 0)

    def _hold(self) -> None:
        """Locks the folder. A sweep may look at it, or its last process be ending: it is waited for, for a while."""
        deadline = time.monotonic() + HELD_S
        while True:
            try:
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise BlockingIOError(
                        f"{self.path} is still used by another process after {HELD_S:g} s, and pages have one writer: "
                        f"end that process (fuser {self.path / 'owner'} names it)"
                    ) from error
            time.sleep(0.05)

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _place(name: str, needed: int) -> Path:
    roots = _roots()
    for root in roots:
        if (root / name).is_dir():
            return root / name
    free = shutil.disk_usage(roots[0]).free
    return (roots[0] if free >= needed else roots[-1]) / name


def warn_if_slow(folders: Iterable[Path]) -> None:
    """Says once for all of these folders that they lie outside of shared memory."""
    slow = [folder for folder in folders if SHARED_MEMORY.is_dir() and SHARED_MEMORY not in folder.parents]
    if slow:
        free = shutil.disk_usage(SHARED_MEMORY).free
        warnings.warn(
            f"{SHARED_MEMORY} has only {free:,} bytes free, too few for the cache's capacity: its pages lie on disk, "
            f"in {slow[0].parent}. Give {SHARED_MEMORY} more room (docker run --shm-size=...) or the cache a smaller "
            f"capacity=",
            RuntimeWarning,
            stacklevel=2,
        )


def folders(of: str = "") -> list[Path]:
    """The folders of this user's caches on this machine; `of`: whose names start with this."""
    return [folder for root in _roots() for folder in root.glob(f"{_prefix()}{of}*") if _is_own(folder)]


def _is_own(folder: Path) -> bool:
    """Whether it is a folder of this user's: anybody may make something of that name in shared memory."""
    with contextlib.suppress(OSError):
        status = folder.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return False


def last_used(name: str) -> str:
    """The name of the folder that a process has taken last: this one, or one that has more after it and a dash."""
    path = _prefix() + name
    named = [folder for folder in folders(name) if folder.name == path or folder.name.startswith(f"{path}-")]
    return max(named, key=_taken).name.removeprefix(_prefix()) if named else name


def _taken(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return (folder / "owner").lstat().st_mtime_ns
    return 0


def sweep(ended: str | None = None, *, sparing: str | None = None) -> list[Path]:
    """Removes folders that their processes have left behind; which.

    Args:
        ended: what the names of the folders start with whose cache or shard has ended. Without it: of sessions that
            have ended.
        sparing: the name of one that is to stay.
    """
    swept = []
    for folder in folders(ended or ""):
        if sparing is not None and folder.name == _prefix() + sparing:
            continue
        with contextlib.suppress(OSError), _unused(folder / "owner", ended is not None) as unused:
            if unused:
                shutil.rmtree(folder, ignore_errors=True)
                swept.append(folder)
    return swept


@contextlib.contextmanager
def _unused(owner: Path, ended: bool) -> Iterator[bool]:
    """Whether nobody uses the folder of this file any more, nor will, as its session or cache has ended. Locks it."""
    file = os.open(owner, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            yield False
            return
        try:
            told = json.loads(os.pread(file, 4096, 0))
            yield ended or _started(int(told["pid"])) != told["started"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            yield False  # being made at this moment, or damaged
    finally:
        os.close(file)


def _started(pid: int) -> int | None:
    """When a process began, in ticks since boot: tells it from a later one of the same id. None if there is none."""
    try:
        fields_text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = fields_text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])  # a process that has ended and was not waited for runs nothing
