"""The processes below this one, as /proc shows them, and signals that reach none but them.

A signal goes through a file descriptor of the process, opened before its ancestry is looked at: a process that has
taken over the id of one that has ended is never hit.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    parent: int
    title: str  # its command line; Ray gives its workers titles like "ray::ShardActor"


def processes(title: str, below: int | None = None) -> list[Process]:
    """Those whose title starts with this and that descend from a process, by default from this one; by their ids."""
    every = {found.pid: found for found in _every()}
    ancestor = os.getpid() if below is None else below

    def descends(each: Process) -> bool:
        while each.parent != ancestor:
            if each.parent not in every:
                return False
            each = every[each.parent]
        return True

    return sorted(each for each in every.values() if each.title.startswith(title) and descends(each))


def _every() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(int(folder.name), int(parent), title.strip())


def send(number: signal.Signals, pid: int) -> bool:
    """Sends a signal to a process below this one; whether it was there. Refuses all others with PermissionError."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if pid not in (each.pid for each in processes("")):
            if any(each.pid == pid for each in _every()):
                raise PermissionError(f"process {pid} is not below {os.getpid()}; it is not this program's to signal")
            return False
        signal.pidfd_send_signal(file, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(file)
    return True
