"""The command `raycache` as users run it: a process of its own, on a real Ray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

COMMAND = os.fspath(Path(sys.executable).with_name("raycache"))
TIMEOUT_S = 120.0


class Command:
    """Runs the command, or another program, and knows which processes come from it: they inherit a variable."""

    def __init__(self, *program: str) -> None:
        self._program = program or (COMMAND,)
        self._mark = uuid.uuid4().hex

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        """Starts it; its streams are pipes unless they are given."""
        # In a session of its own: as in a terminal, Ctrl-C reaches all processes of it.
        return subprocess.Popen(
            [*self._program, *arguments],
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams),
            text=True,
            env=os.environ | {"RAYCACHE_TEST": self._mark},
            start_new_session=True,
        )

    def run(self, *arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        with self.start(*arguments, **streams) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT_S)
            finally:
                process.kill()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def processes(self) -> list[str]:
        """What runs that was begun by the command."""
        return [os.fspath(path.parent) for path in Path("/proc").glob("[0-9]*/environ") if self._began(path)]

    def _began(self, environ: Path) -> bool:
        try:
            return f"RAYCACHE_TEST={self._mark}".encode() in environ.read_bytes()
        except OSError:  # it has ended, or is another user's
            return False


def errors(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of its standard error, but for the messages of the raylet, which Ray has every driver print."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", ran.stderr).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("(raylet")]
