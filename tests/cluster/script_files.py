"""Scripts: Python files as users write them, in a folder of their own, run to their end against the tests' Ray.

A script answers through a file, whose path is in the variable ANSWERS: Ray prints messages of the raylet on the
standard output of every driver, at any moment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

PATIENCE_S = 90.0


class Scripts:
    """A folder of scripts and modules."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self._address = folder, address
        folder.mkdir(exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        """Puts a text in the place of a file."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, name: str, *arguments: Any, **environment: str) -> list[str]:
        """The lines that a script writes to ANSWERS; it must end well."""
        answers = self.folder.with_name(f"{self.folder.name}-answers")
        answers.write_text("")
        given = {"RAY_ADDRESS": self._address, "PYTHONDONTWRITEBYTECODE": "1", "ANSWERS": os.fspath(answers)}
        ended = subprocess.run(
            [sys.executable, self.folder / name, *map(str, arguments)],
            env=os.environ | given | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.returncode == 0, f"{name} ended with {ended.returncode}:\n{ended.stderr}"
        return answers.read_text().splitlines()
