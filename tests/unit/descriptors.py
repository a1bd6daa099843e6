"""Descriptors of this process, by what they are open on."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def open_below(path: Path) -> list[str]:
    """What this process has open of a file, or below a folder. All descriptors cannot be counted: the garbage collector
    may close those of other tests meanwhile."""
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [each for each in opened if each.startswith(os.fspath(path))]
