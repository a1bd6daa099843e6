"""Programs: processes outside of the tests' Ray, which a test talks to by lines of text."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
#: Opens every program: what it prints itself is all that comes on its standard output. Ray prints messages of the
#: raylet on that of every driver, at any moment; they go to standard error.
OWN_OUTPUT = """\
import functools, sys
print = functools.partial(print, file=sys.stdout)
sys.stdout = sys.stderr
"""


class Program:
    """A Python program that runs beside the test; as a context it is ended with it."""

    def __init__(self, text: str, *arguments: Any, starter: Sequence[str] = (), **environment: str) -> None:
        """The arguments and environment variables are its own; `starter` is a command that runs it."""
        path = os.pathsep.join([os.fspath(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [*starter, sys.executable, "-c", OWN_OUTPUT + textwrap.dedent(text), *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": path} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors += line

    def line(self) -> str:
        """The next line that it prints."""
        line = self._lines.get(timeout=PATIENCE_S)
        assert line is not None, f"the program ended:\n{self.errors}"
        return line

    def tell(self, line: str = "") -> None:
        """Gives it a line, which it reads by `input()`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def end(self, patience_s: float = PATIENCE_S) -> list[str]:
        """Waits for its end, which must be a good one; what it has printed since the last look."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the program goes on after {patience_s:g} s:\n{self.errors}") from None
        for reader in self._readers:
            reader.join(PATIENCE_S)
        assert code == 0, f"the program ended with {code}:\n{self.errors}"
        return list(iter(self._lines.get_nowait, None))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


def run(text: str, *arguments: Any, patience_s: float = PATIENCE_S, starter: Sequence[str] = ()) -> list[str]:
    """Runs a program to its end; the lines that it prints."""
    with Program(text, *arguments, starter=starter) as program:
        return program.end(patience_s)


def with_shared_memory(megabytes: int) -> list[str]:
    """A starter in a mount namespace of its own, where /dev/shm has so much room."""
    namespace = ["unshare", "--mount"] + (["--map-root-user"] if os.getuid() else [])
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && exec "$@"'
    return [*namespace, "sh", "-c", mount, "sh"]
