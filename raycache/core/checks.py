"""What a process that runs a function looks up by itself, checked there: whether it is what was fingerprinted.

Code that is there by name is compared by its fingerprint. A module that has been edited since the process imported
it is imported once more; if that does not help, StaleCode.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterable
from typing import Any, NamedTuple

from raycache.core.fingerprint.identity import ByIdentity
from raycache.core.fingerprint.packages import MAIN, installed
from raycache.core.fingerprint.values import fingerprint
from raycache.errors import StaleCode, UnhashableArgument

_ABSENT: Any = object()
_UNLIKE_ANY = b"?"
#: The source that modules were loaded from, by their spec: that is made anew whenever a module is loaded.
_sources: ByIdentity[bytes] = ByIdentity()


class Check(NamedTuple):
    """What is looked up where the function runs, and its fingerprint where the function comes from."""

    module: str
    path: str  # "": the module as a whole
    digest: bytes  # b"": it is not there


def checks_of(found: Iterable[Any], looked_up: Iterable[tuple[str, str]] = ()) -> tuple[Check, ...]:
    """What other processes are to check.

    Args:
        found: classes, functions and modules of the user's; those count that can be imported by their names.
        looked_up: names in modules.
    """
    places = [place for value in found if (place := _place(value)) is not None]
    return tuple(
        Check(module, path, _digest(module, path))
        for module, path in dict.fromkeys((*places, *looked_up))
        if module not in MAIN
    )


def _place(value: Any) -> tuple[str, str] | None:
    """Where other processes find the value."""
    if isinstance(value, types.ModuleType):
        return (value.__name__, "") if sys.modules.get(value.__name__) is value else None
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not isinstance(module, str) or module in MAIN or installed(module) or _found(module, path) is not value:
        return None
    return module, path


def check(checks: Iterable[Check]) -> bool:
    """Sees to it that what code looks up is here what it is where the function comes from.

    Returns whether a module was imported once more, so that objects that were unpickled before may be of its older
    state. Raises StaleCode.
    """
    again = False
    for each in checks:
        _imported(each)
        if _same(each):
            continue
        again = True
        _reloaded(each)
        if not _same(each):
            what = f"{each.module}.{each.path}" if each.path else f"the module {each.module}"
            raise StaleCode(
                f"{what} is not the same in the process that should run the function as in the one that called it, "
                f"and not in the module's file either; put into the file what was changed at run time, or memoize "
                f"with where='caller'"
            )
    return again


def _imported(each: Check) -> None:
    if each.module not in sys.modules:
        _loaded(each, importlib.import_module(each.module))


def _reloaded(each: Check) -> None:
    _loaded(each, importlib.reload(sys.modules[each.module]))


def _loaded(each: Check, module: types.ModuleType) -> None:
    if not each.path:
        _sources.put(module.__spec__, _fingerprint(module))


def _same(each: Check) -> bool:
    if each.path:
        return _digest(each.module, each.path) == each.digest
    # Its source is that of the file, which may be newer than what was loaded from it.
    return _sources.get(sys.modules[each.module].__spec__) == each.digest


def _digest(module: str, path: str) -> bytes:
    if path:
        found = _found(module, path)
        return b"" if found is _ABSENT else _fingerprint(found)
    known = sys.modules[module]
    digest = _fingerprint(known)
    if known.__spec__ is not None:
        _sources.put(known.__spec__, digest)
    return digest


def _fingerprint(value: Any) -> bytes:
    try:
        return fingerprint(value)
    except UnhashableArgument:  # of something that does not count, as in arguments that are ignored
        return _UNLIKE_ANY


def _found(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, _ABSENT)
    return found
