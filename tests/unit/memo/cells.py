"""Cells of a notebook: source that is run in one namespace, and run again after it was edited."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

_numbers = itertools.count()


class Cells:
    """The namespace of a notebook. Each run is a file of its own, as in IPython."""

    def __init__(self, **names: Any) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", **names}
        self.has_source = True

    def run(self, source: str) -> None:
        source = textwrap.dedent(source)
        name = f"<cell {next(_numbers)}>"
        if self.has_source:
            linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        exec(compile(source, name, "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]
