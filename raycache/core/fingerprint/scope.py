"""Where code looks up the names it reads: captured variables, its module's globals, builtins, modules it imports.

The user's own modules are followed by attribute, so that of `helpers.clean` the function counts and not the module. A
name that does not exist is absent; that counts, and is watched, too.
"""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable, Mapping
from operator import attrgetter, getitem
from typing import Any

from raycache.core.fingerprint import imports
from raycache.core.fingerprint.installed import refer
from raycache.core.fingerprint.packages import Package
from raycache.core.fingerprint.reads import Read
from raycache.core.fingerprint.trace import Place, Trace

ABSENT = b"absent"


class Scope:
    """The names of one piece of code."""

    def __init__(
        self, trace: Trace, reader: str, namespace: dict[str, Any], cells: Mapping[str, types.CellType] | None = None
    ) -> None:
        self._trace = trace
        self._reader = reader
        self._namespace = namespace
        self._cells = cells or {}

    @classmethod
    def of(cls, trace: Trace, function: types.FunctionType) -> Scope:
        """That of a function."""
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        return cls(trace, function.__qualname__, function.__globals__, cells)

    def read(self, read: Read) -> bytes:
        """What stands for something that the code reads."""
        if read.kind == "import":
            return self._imported(read)
        if read.kind == "captured":
            return self._captured(read)
        for mapping in (self._namespace, vars(builtins)):
            if read.name in mapping:
                return self._item(mapping, read)
            self._trace.watch.absent(mapping, read.name)
        return ABSENT

    def _imported(self, read: Read) -> bytes:
        found = imports.load(read.name, self._namespace)
        installed = refer(found) if isinstance(found, types.ModuleType) else None
        if installed is not None:  # the same as before it was loaded
            found = installed.package
        if isinstance(found, Package):
            self._trace.package(found)
            return f"installed {found.name} {read}".encode()
        if found is None:
            return ABSENT
        reference = self._attribute(found, read) if read.attributes else self._trace.reference(found)
        self._lead(found, read.attributes)
        return reference

    def _lead(self, module: types.ModuleType, attributes: tuple[str, ...]) -> None:
        """Notes where an import leads to: it will be followed by the process that runs the code."""
        for name in attributes:
            inner = vars(module).get(name)
            if not isinstance(inner, types.ModuleType):
                self._trace.imported[module.__name__, name] = None
                return
            if refer(inner) is not None:
                return
            module = inner
        self._trace.imported[module.__name__, ""] = None

    def _captured(self, read: Read) -> bytes:
        cell = self._cells[read.name]
        try:
            value = cell.cell_contents
        except ValueError:
            self._trace.watch.empty(cell)
            return ABSENT
        same = functools.partial(self._trace.watch.cell, cell, value)
        return self._value(value, read, cell, functools.partial(attrgetter("cell_contents"), cell), same)

    def _item(self, mapping: Mapping[str, Any], read: Read) -> bytes:
        """What is under a name in a module."""
        value = mapping[read.name]
        same = functools.partial(self._trace.watch.item, mapping, read.name, value)
        return self._value(value, read, mapping, functools.partial(getitem, mapping, read.name), same)

    def _value(self, value: Any, read: Read, holder: Any, fetch: Callable[[], Any], same: Callable[[], None]) -> bytes:
        if read.attributes and isinstance(value, types.ModuleType):
            same()
            return self._attribute(value, read)
        key = (id(holder), read.name)
        bound = self._trace.bound.get(key)
        if bound is None:
            module = holder.get("__name__", "") if isinstance(holder, dict) else ""
            place = Place(read.kind, read.name, self._reader, module)
            bound = self._trace.bound[key] = self._trace.bind(value, place, fetch, same)
        if read.attributes and isinstance(value, types.FunctionType) and read.attributes[0] in vars(value):
            # Somebody has put an attribute on a function.
            return bound + self._item(vars(value), Read("global", read.attributes[0]))
        return bound

    def _attribute(self, module: types.ModuleType, read: Read) -> bytes:
        """What is read of a module; of an installed one its version counts, and what is read stands in the syntax."""
        if refer(module) is not None:
            return self._trace.reference(module)
        first, *more = read.attributes
        inner = vars(module)
        if first not in inner and "__path__" in inner:
            imports.load(f"{module.__name__}.{first}", inner)  # a submodule, as an import statement would load it
        if first in inner:
            return self._item(inner, Read("global", first, tuple(more)))
        self._trace.watch.absent(inner, first)
        return ABSENT + (self._item(inner, Read("global", "__getattr__")) if "__getattr__" in inner else b"")
