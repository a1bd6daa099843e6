"""Files that processes tell each other something with: lines that are appended, and a barrier made of them."""

from __future__ import annotations

import os
from pathlib import Path

from waiting import until


class Marks:
    """A file of lines; any number of processes may add to it at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, line: str) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, f"{line}\n".encode("utf-8", "surrogatepass"))
        finally:
            os.close(file)

    def lines(self) -> list[str]:
        if not self.path.exists():
            return []
        return self.path.read_text(encoding="utf-8", errors="surrogatepass").splitlines()

    def await_lines(self, number: int) -> None:
        """Returns when there are so many lines."""
        until(lambda: len(self.lines()) >= number, f"{number} lines in {self.path}")


class Barrier(Marks):
    """Nobody passes before so many have come."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(path)
        self._number = number

    def wait(self) -> None:
        self.add(str(os.getpid()))
        self.await_lines(self._number)
