"""A journal: a file that any number of processes on this machine add lines to, and one of them reads as it grows."""

from __future__ import annotations

import os
from pathlib import Path


class Journal:
    """What nodes, getters and databases have done, in the order in which they did it. May be pickled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def note(self, line: str) -> None:
        """Adds a line; what processes add at the same time does not mix."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, f"{line}\n".encode("utf-8", "surrogateescape"))
        finally:
            os.close(file)

    def show(self) -> list[str]:
        """Prints the lines that have come since the last time, and returns them."""
        lines = self.path.read_text("utf-8", "surrogateescape").splitlines() if self.path.exists() else []
        new, self._read = lines[self._read :], len(lines)
        for line in new:
            print(f"    {line}")
        return new
