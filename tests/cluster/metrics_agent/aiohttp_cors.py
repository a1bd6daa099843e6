"""Stands for the package of this name: where that can be imported, with others that are there, Ray has a metrics agent.

It is not installed with the tests, since an agent takes seconds of a core on every node of every Ray.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

ResourceOptions = dict


def setup(app: Any, defaults: Any) -> Any:
    """What is added to it may be asked for from anywhere; here nobody does."""
    return SimpleNamespace(add=lambda route: None)
