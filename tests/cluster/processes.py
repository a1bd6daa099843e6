"""Processes as /proc shows them, told from later ones with the same id."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    started: int  # ticks since boot
    parent: int
    command: str

    @property
    def lives(self) -> bool:
        """Whether it is there and no zombie."""
        now = _process(self.pid)
        return now is not None and now.started == self.started


def _process(pid: int) -> Process | None:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    state, parent, *fields = rest.split()
    return None if state in "ZX" else Process(pid, int(fields[17]), int(parent), name.partition("(")[2])


def process(pid: int) -> Process:
    """A process that is there now."""
    found = _process(pid)
    assert found is not None, f"there is no process {pid}"
    return found


def alive(pid: int) -> bool:
    return _process(pid) is not None


def descendants(pid: int | None = None) -> list[Process]:
    """All below a process, by default below this one."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    everybody = [found for each in pids if (found := _process(each)) is not None]

    def below(parent: int) -> Iterator[Process]:
        for each in everybody:
            if each.parent == parent:
                yield each
                yield from below(each.pid)

    return list(below(os.getpid() if pid is None else pid))
