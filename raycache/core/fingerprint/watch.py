"""Whether what was read is still the same: checked on every cache hit, so by identity wherever that proves it.

What can change in place is fetched and fingerprinted again; only that is not held. A watch is filled while code is
looked into, then sealed and only checked, by any thread.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

#: What the names in a written condition start with.
PREFIX = "_rc_"


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

    def sealed(self) -> Seal | None:
        """The check of all this; None if there is nothing to watch."""
        written = _Written()
        for function, code, defaults, keywords in self._functions.values():
            of = written.name(function)
            written.add(f"{of}.__code__ is {written.name(code)}")
            written.add(f"{of}.__defaults__ is {written.name(defaults)}")
            written.add(f"{of}.__kwdefaults__ is {written.name(keywords)}")
        for mapping, name, value in self._items.values():
            written.add(f"{written.name(mapping)}[{written.name(name)}] is {written.name(value)}")
        for cell, value in self._cells.values():
            written.add(f"{written.name(cell)}.cell_contents is {written.name(value)}")
        for mapping, names in self._absent.values():
            for name in sorted(names):
                written.add(f"{written.name(name)} not in {written.name(mapping)}")
        for mapping, size in self._sizes.values():
            written.add(f"{written.name(len)}({written.name(mapping)}) == {size}")
        if (more := self._more()) is not None:
            written.add(f"{written.name(more)}()")
        return written.sealed(self._looked_up()) if written.conditions else None

    def _looked_up(self) -> dict[int, frozenset[Any]]:
        names: dict[int, set[Any]] = {}
        for mapping, name, _ in self._items.values():
            names.setdefault(id(mapping), set()).add(name)
        return {of: frozenset(some) for of, some in names.items()}

    def _more(self) -> Callable[[], bool] | None:
        """The check of what takes more than a look at an object."""
        empty, changeable = tuple(self._empty.values()), tuple(self._changeable)
        if not (empty or changeable):
            return None

        def same() -> bool:
            return not any(map(has_value, empty)) and all(
                fingerprint(fetch()) == digest for fetch, fingerprint, digest in changeable
            )

        return same


class Seal:
    """What was watched, and whether it is still so.

    The check is written as one expression and compiled, which takes half the time of a loop over what is watched; who
    has a function of his own for hits can make it a part of that.
    """

    __slots__ = ("condition", "looked_up", "space", "unchanged")

    def __init__(self, condition: str, space: dict[str, Any], looked_up: Mapping[int, frozenset[Any]]) -> None:
        #: True if nothing has changed; it may raise instead of being false. `space` has the names in it.
        self.condition, self.space = condition, space
        #: The names that were looked up in each mapping, by the id of the mapping, which `space` holds.
        self.looked_up = looked_up
        # A name or a captured variable may be gone, or a value have no fingerprint any more.
        source = f"def unchanged():\n    try:\n        return {condition}\n    except Exception:\n        return False"
        exec(source, made := dict(space))
        self.unchanged: Callable[[], bool] = made["unchanged"]


class _Written:
    """Conditions, and the names of what they are about."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self._space: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def name(self, value: Any) -> str:
        name = self._names.setdefault(id(value), f"{PREFIX}{len(self._names)}")
        self._space[name] = value  # held, so that its id stays its own
        return name

    def add(self, condition: str) -> None:
        self.conditions.append(condition)

    def sealed(self, looked_up: Mapping[int, frozenset[Any]]) -> Seal:
        return Seal(" and ".join(self.conditions), self._space, looked_up)


def has_value(cell: types.CellType) -> bool:
    """Whether the variable that it is of has been assigned."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
