"""Calls of memoized functions as loads: how their arguments travel, and what a getter makes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from raycache.core.checks import Check
from raycache.core.codec import Blob, decode
from raycache.core.messages import Call


class Arguments(NamedTuple):
    """What a function is called with. Of a batch the list is left out, and stands at this place or under this name."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int | str | None = None

    def with_items(self, items: list[Any]) -> Arguments:
        """The same with the list of a batch in its place."""
        if isinstance(self.batch, int):
            return Arguments((*self.args[: self.batch], items, *self.args[self.batch :]), self.kwargs)
        assert self.batch is not None
        return Arguments(self.args, self.kwargs | {self.batch: items})


class Packed(NamedTuple):
    """Arguments as they travel, and what is to be checked before anybody looks at them."""

    arguments: Any
    checks: tuple[Check, ...] = ()


#: Gives what `Call` has packed: `Arguments`, or an item of a batch. Raises `Lost` where it is gone.
Unpack = Callable[[Any], Any]


def getter_of(function: Callable[..., Any], unpack: Unpack, *, batch: bool) -> Callable[..., Any]:
    """The getter of a memoized function: takes a call, or a list of calls that share all but their items."""
    if batch:

        def of_many(calls: Sequence[Call]) -> Any:
            args, kwargs, _ = unpack(calls[0].arguments).with_items([unpack(call.item) for call in calls])
            values = function(*args, **kwargs)
            return _listed_later(values, len(calls)) if inspect.isawaitable(values) else listed(values, len(calls))

        return of_many
    if inspect.iscoroutinefunction(function):

        async def of_one_async(call: Call) -> Any:
            args, kwargs, _ = unpack(call.arguments)
            return await function(*args, **kwargs)

        return of_one_async

    def of_one(call: Call) -> Any:
        args, kwargs, _ = unpack(call.arguments)
        return function(*args, **kwargs)

    return of_one


def listed(values: Any, count: int) -> list[Any]:
    """What a vectorised function has returned for so many items, as a list.

    Raises TypeError for what has no order or iterates over something else than rows, ValueError for a wrong number.
    """
    kind = type(values).__name__
    if isinstance(values, (str, bytes, Mapping, Set)) or hasattr(values, "columns") or not isinstance(values, Iterable):
        raise TypeError(
            f"a vectorised function was given {count} items and returned a {kind}; it is to return a list with one "
            f"value for each, in the same order"
        )
    some = list(values)
    if len(some) != count:
        raise ValueError(
            f"a vectorised function was given {count} items and returned {len(some)} values; it is to return one for "
            f"each, in the same order"
        )
    return some


async def _listed_later(values: Any, count: int) -> list[Any]:
    return listed(await values, count)


def packed(blob: Blob) -> bytes:
    """A small blob as one run of bytes."""
    tag, data = blob.packed()
    return bytes((tag,)) + data


def unpacked(data: bytes) -> Any:
    """The value of a packed blob. Its arrays can be written to, as a caller's own could."""
    return decode(data[0], (bytearray(data[1:]),))
