"""Calls of memoized functions as loads: how a function and its arguments travel to where they run.

The user's own functions travel by value: what runs is the very code that was fingerprinted, also where the process
that runs it has imported an older state of the same module. Classes travel by reference as long as they can be
imported, so that a result is an instance of the class that everybody knows.
"""

from __future__ import annotations

import inspect
import io
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cloudpickle

from raycache.core.codec import Blob, decode
from raycache.core.fingerprint.packages import installed
from raycache.core.getters import dump
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


#: Gives what `Call` has packed: `Arguments`, or an item of a batch. Raises `Lost` where it is gone.
Unpack = Callable[[Any], Any]


def getter_of(function: Callable[..., Any], unpack: Unpack, *, batch: bool) -> Callable[..., Any]:
    """The getter of a memoized function: takes a call, or a list of calls that share all but their items."""
    if batch:

        def of_many(calls: Sequence[Call]) -> Any:
            args, kwargs, _ = unpack(calls[0].arguments).with_items([unpack(call.item) for call in calls])
            return function(*args, **kwargs)

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


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Pickles the user's own functions by value, wherever they could be imported from."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType) and not installed(getattr(obj, "__module__", None)):
            return self._dynamic_function_reduce(obj)
        if (by_value := getattr(type(obj), "__raycache_by_value__", None)) is not None:
            return by_value(obj)
        return super().reducer_override(obj)


def dump_function(function: Callable[..., Any], name: str) -> bytes:
    """A memoized function as bytes; UnpicklableGetter names it and what stood in the way."""
    stream = io.BytesIO()
    try:
        _ByValue(stream, protocol=5).dump(function)
        return stream.getvalue()
    except Exception:  # a module's global that does not pickle, say: by reference nobody needs it
        return dump(function, name)


def packed(blob: Blob) -> bytes:
    """A small blob as one run of bytes."""
    tag, data = blob.packed()
    return bytes((tag,)) + data


def unpacked(data: bytes) -> Any:
    """The value of a packed blob. Its arrays can be written to, as a caller's own could."""
    return decode(data[0], (bytearray(data[1:]),))
