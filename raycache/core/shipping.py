"""Memoized functions on their way to the process that runs them: what runs there is what was fingerprinted here.

The user's own functions travel by value, and of the user's own modules what the functions read of them, whatever state
of the same modules the other process has imported. Classes travel by reference as long as they can be imported, so that
a result is an instance of the class that everybody knows; whether they are the same there is checked.
"""

from __future__ import annotations

import importlib
import io
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, NamedTuple

import cloudpickle

from raycache.core.fingerprint.packages import installed
from raycache.core.fingerprint.values import fingerprint
from raycache.core.getters import dump
from raycache.errors import StaleCode

#: The names that code looks up in a mapping, such as a module's, by the mapping's id.
LookedUp = Mapping[int, Set[Any]]


class Check(NamedTuple):
    """A class that travels by reference, and what it is where the function comes from."""

    module: str
    path: str
    digest: bytes


def dump_function(function: Callable[..., Any], name: str, looked_up: LookedUp) -> bytes:
    """A memoized function as bytes; UnpicklableGetter names it and what stood in the way."""
    try:
        return dump_by_value(function, looked_up)
    except Exception:  # something that the function need not read, as with version=, is not to be pickled
        return dump(function, name)


def dump_by_value(value: Any, looked_up: LookedUp) -> bytes:
    """A value as bytes, with the user's own functions by value; raises what pickle raises."""
    stream = io.BytesIO()
    _ByValue(stream, looked_up).dump(value)
    return stream.getvalue()


def checks_of(classes: Iterable[type]) -> tuple[Check, ...]:
    """What other processes are to check of these classes."""
    importable = (kind for kind in classes if kind.__module__ != "__main__" and _find(kind) is kind)
    return tuple(Check(kind.__module__, kind.__qualname__, fingerprint(kind)) for kind in importable)


def check(checks: Iterable[Check]) -> None:
    """Sees to it that classes are here what they are where the function comes from.

    A module that has been edited since this process imported it is imported once more. Raises StaleCode.
    """
    for each in checks:
        module = importlib.import_module(each.module)
        if not _matches(each):
            importlib.reload(module)
        if not _matches(each):
            raise StaleCode(
                f"the class {each.module}.{each.path} is not the same in the process that should run the function as "
                f"in the one that called it, and not in the module's file either; put into the file what was changed "
                f"at run time, or memoize with where='caller'"
            )


def _matches(check: Check) -> bool:
    found = _found(check.module, check.path)
    return isinstance(found, type) and fingerprint(found) == check.digest


def _find(kind: type) -> Any:
    return _found(kind.__module__, kind.__qualname__)


def _found(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


class StandIn(types.ModuleType):
    """What is read of a module, beside the one of its name that this process may have imported."""


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Pickles the user's own functions by value, wherever they could be imported from."""

    def __init__(self, stream: io.BytesIO, looked_up: LookedUp) -> None:
        super().__init__(stream, protocol=5)
        self._looked_up = looked_up

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType) and not installed(getattr(obj, "__module__", None)):
            return self._dynamic_function_reduce(obj)
        if isinstance(obj, StandIn):
            return StandIn, (obj.__name__,), vars(obj), None, None, _filled
        if isinstance(obj, types.ModuleType) and not installed(obj.__name__):
            names = self._looked_up.get(id(vars(obj)), frozenset())
            if names and "__spec__" not in names:  # that one is looked at where a module is used as a whole
                state = {name: vars(obj)[name] for name in names if name in vars(obj)}
                return StandIn, (obj.__name__,), state, None, None, _filled
        if (by_value := getattr(type(obj), "__raycache_by_value__", None)) is not None:
            return by_value(obj)
        return super().reducer_override(obj)


def _filled(module: types.ModuleType, state: dict[str, Any]) -> None:
    vars(module).update(state)
