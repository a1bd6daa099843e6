"""A client's journal: a file to which it appends when an operation begins and when it has ended.

What a killed client had begun is in it. A line is one `write`, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from chaos.history import Operation


class Journal:
    """The file of one client, to append to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def begin(self, kind: str, versions: Mapping[str, int]) -> None:
        """An operation begins, on these keys; of a write with the versions that the source gets now."""
        self._write({"kind": kind, "versions": versions, "began": monotonic()})

    def end(self, **what: Any) -> None:
        """The operation that was begun last has ended."""
        self._write({"ended": monotonic(), **what})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def operations(folder: Path) -> list[Operation]:
    """All operations of all journals in a folder."""
    return [operation for path in sorted(folder.glob("*.journal")) for operation in _operations(path)]


def _operations(path: Path) -> Iterator[Operation]:
    begun: dict[str, Any] = {}
    for text in path.read_text().split("\n")[:-1]:
        line = json.loads(text)
        if "kind" in line:
            begun = line
        else:
            yield Operation(client=path.stem, **begun | line)
            begun = {}
    if begun:
        yield Operation(client=path.stem, **begun, ended=inf)
