"""Scenes: one history for each rule of the protocol that breaks a promise where the rule is left out.

The docstring of each says whose place it is that makes it hard. With all rules on, every scene ends well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

from stage import Stage

from scenes import copies, delays, directory, leases, owners, rounds

Scene = Callable[[Stage], None]


def _scenes(module: ModuleType) -> Iterator[tuple[str, Scene]]:
    """Its public functions, in the order in which they are written."""
    for name, play in vars(module).items():
        if inspect.isfunction(play) and play.__module__ == module.__name__ and not name.startswith("_"):
            yield name, play


SCENES = dict(scene for module in (rounds, copies, leases, owners, directory, delays) for scene in _scenes(module))
