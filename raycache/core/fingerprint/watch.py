"""Whether what was read is still the same: checked on every cache hit, so by identity wherever that proves it.

What can change in place is fetched and fingerprinted again; only that is not held. A watch is filled while code is
looked into, then sealed and only checked, by any thread.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any


class Watch:
    """What to look at, and how it was."""

    def __init__(self) -> None:
        self._items: dict[tuple[int, Any], tuple[Mapping[Any, Any], Any, Any]] = {}
        self._absent: dict[int, tuple[Mapping[Any, Any], set[str]]] = {}
        self._sizes: dict[int, tuple[Mapping[Any, Any], int]] = {}
        self._functions: dict[int, tuple[types.FunctionType, Any, Any, Any]] = {}
        self._cells: dict[int, tuple[types.CellType, Any]] = {}
        self._empty: dict[int, types.CellType] = {}
        self._changeable: list[tuple[Callable[[], Any], Callable[[Any], bytes], bytes]] = []

    def item(self, mapping: Mapping[Any, Any], name: Any, value: Any) -> None:
        """The mapping has to keep this very value under the name."""
        self._items[id(mapping), name] = (mapping, name, value)

    def absent(self, mapping: Mapping[Any, Any], name: str) -> None:
        """The mapping must not get anything under the name."""
        self._absent.setdefault(id(mapping), (mapping, set()))[1].add(name)

    def size(self, mapping: Mapping[Any, Any]) -> None:
        """The mapping must not get more names."""
        self._sizes[id(mapping)] = (mapping, len(mapping))

    def function(self, function: types.FunctionType) -> None:
        """The function has to keep its code and its defaults."""
        state = (function.__code__, function.__defaults__, function.__kwdefaults__)
        self._functions[id(function)] = (function, *state)

    def cell(self, cell: types.CellType, value: Any) -> None:
        """The captured variable has to keep this very value."""
        self._cells[id(cell)] = (cell, value)

    def empty(self, cell: types.CellType) -> None:
        """The captured variable has no value, and must not get one."""
        self._empty[id(cell)] = cell

    def changeable(self, fetch: Callable[[], Any], fingerprint: Callable[[Any], bytes], digest: bytes) -> None:
        """What is fetched has to keep its fingerprint."""
        self._changeable.append((fetch, fingerprint, digest))

    def sealed(self) -> Callable[[], bool] | None:
        """The check of all this, which tells whether nothing has changed; None if there is nothing to watch."""
        items, functions = tuple(self._items.values()), tuple(self._functions.values())
        cells, empty = tuple(self._cells.values()), tuple(self._empty.values())
        sizes, changeable = tuple(self._sizes.values()), tuple(self._changeable)
        absent = tuple((mapping, tuple(sorted(names))) for mapping, names in self._absent.values())
        if not (items or cells or functions or sizes or empty or changeable or absent):
            return None

        def unchanged() -> bool:
            # Plain loops: at the few items of most functions they are faster than map() over operators.
            try:
                for function, code, defaults, keywords in functions:
                    if (
                        function.__code__ is not code
                        or function.__defaults__ is not defaults
                        or function.__kwdefaults__ is not keywords
                    ):
                        return False
                for mapping, name, value in items:
                    if mapping[name] is not value:
                        return False
                for cell, value in cells:
                    if cell.cell_contents is not value:
                        return False
                for mapping, names in absent:
                    if not mapping.keys().isdisjoint(names):
                        return False
                for mapping, size in sizes:
                    if len(mapping) != size:
                        return False
                if empty and any(map(_has_value, empty)):
                    return False
                for fetch, fingerprint, digest in changeable:
                    if fingerprint(fetch()) != digest:
                        return False
            except Exception:  # a name or a captured variable is gone, or a value has no fingerprint any more
                return False
            return True

        return unchanged


def _has_value(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
