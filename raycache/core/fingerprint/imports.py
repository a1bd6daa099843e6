"""The modules that a function imports while it runs, as found before it runs.

The user's own modules are imported, as the function would do. Installed ones are not: they may be heavy, and count by
their version only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

from raycache.core.fingerprint.packages import Package, package_to_import


def load(name: str, namespace: dict[str, Any]) -> types.ModuleType | Package | None:
    """The module of an import statement: itself, only its package if it is installed, None if there is none."""
    try:
        absolute = importlib.util.resolve_name(name, _package_name(namespace)) if name.startswith(".") else name
    except ImportError:
        return None
    module = sys.modules.get(absolute)
    if module is not None:
        return module
    package = package_to_import(absolute)
    if package is not None:
        return package
    try:
        return importlib.import_module(absolute)
    except ImportError:
        return None


def _package_name(namespace: dict[str, Any]) -> str:
    package = namespace.get("__package__")
    return package if package is not None else str(namespace.get("__name__", "")).rpartition(".")[0]
