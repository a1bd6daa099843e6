"""Running getters: from keys to an `Outcome`, the same for loader tasks, the inline cache and a client on its own.

A load of many keys is bounded in time: what was not reached within `BUDGET_S` is left out of the outcome and loaded
by another task, so that a chunk of slow keys spreads over the cluster and nobody waits long for a neighbour.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import hashlib
import inspect
import itertools
import pickle
import random
import time
import traceback
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from raycache.core import keys as core_keys
from raycache.core.codec import Blob, Codec
from raycache.core.fingerprint import bytecode
from raycache.core.messages import PREFIX_BYTES, Absent, Call, GroupSpec, Loaded, Orphaned, Outcome, Raised
from raycache.errors import GetterFailed, NotFound, UnpicklableGetter
from raycache.options import GroupOptions, parse_seconds

#: A value up to this size travels inside messages and lies in the pages; a larger one is an object of its own. It is
#: Ray's own bound for what it sends inside a message.
INLINE_BYTES = 100 * 1024
#: Whether this is a getter at work. What it asks the cache for must not wait for its own task to be over.
loading: contextvars.ContextVar[bool] = contextvars.ContextVar("loading", default=False)
#: The full keys that are being computed here. A function that calls itself with the same arguments must not wait for
#: its own end.
computing: contextvars.ContextVar[frozenset[bytes]] = contextvars.ContextVar("computing", default=frozenset())
#: How long a load goes on to start keys.
BUDGET_S = 0.1
#: Stands for a key that a mapping from a batch getter does not have.
_NONE: Any = object()
#: Keys of one load that an async getter works on at the same time.
ASYNC_KEYS = 64


@dataclass(frozen=True, slots=True)
class Expiring:
    """Returned by a getter: a value with an expiry of its own (seconds, a timedelta, or "5m"; None: the group's)."""

    value: Any
    ttl: Any = None


def dump(getter: Callable[..., Any], name: str) -> bytes:
    """The getter as bytes; UnpicklableGetter names it and what stood in the way."""
    try:
        return bytes(cloudpickle.dumps(getter))
    except Exception as error:
        raise UnpicklableGetter(
            f"the getter {name} cannot be pickled, so that no other process can run it: {error}. Open files, locks and "
            f"connections inside the getter, and pass what it needs by value"
        ) from error


def identify(getter: Callable[..., Any]) -> tuple[str, str]:
    """A getter's name for people, and a digest of its code: the same in every process, whatever line it stands on."""
    function: Any = getter
    parts: list[str] = []
    while isinstance(function, functools.partial):
        parts += map(_simple, [*function.args, *itertools.chain(*sorted(function.keywords.items()))])
        function = function.func
    if not hasattr(function, "__code__"):
        function = getattr(function, "__func__", None) or type(function).__call__
    named = function if getter is function or parts else getter
    name = f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', type(named).__qualname__)}"
    cells = getattr(function, "__closure__", None) or ()
    parts += map(_captured, cells)
    parts += map(_simple, getattr(function, "__defaults__", None) or ())
    parts += map(_simple, itertools.chain(*sorted((getattr(function, "__kwdefaults__", None) or {}).items())))
    if code := getattr(function, "__code__", None):
        parts.append(bytecode.digest(code).hex())
    return name, hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _captured(cell: types.CellType) -> str:
    try:
        return _simple(cell.cell_contents)
    except ValueError:  # the variable has no value yet, as where a getter asks the very group it is made for
        return ""


def _simple(value: Any) -> str:
    """A captured value, where its repr tells it from others; else its type."""
    return repr(value) if isinstance(value, (str, bytes, int, float, type(None))) else type(value).__qualname__


class Lost(Exception):
    """Raised by a getter: what it needs is gone with the process that asked; others who want the key bring theirs."""


def run(
    getter: Callable[..., Any],
    spec: GroupSpec,
    keys: Sequence[bytes],
    codec: Codec,
    clock: Callable[[], float] = time.perf_counter,
    calls: Sequence[Call] = (),
) -> tuple[Outcome, tuple[Blob, ...] | None]:
    """Loads full keys: the outcome, and the large values if there are any.

    A getter takes the user's key; that of a memoized function (see `calls.getter_of`) the call for the key.

    Never raises for what a getter does; its exceptions are part of the outcome.
    """
    token, of_keys = loading.set(True), computing.set(frozenset(keys if len(keys) == 1 else ()))
    try:
        work = _Load(spec.options, codec, clock)
        named: dict[bytes, Any] = dict(zip(keys, calls, strict=True)) if calls else decoded(keys)
        if spec.batch:
            work.batch(getter, named)
        elif inspect.iscoroutinefunction(getter) or inspect.iscoroutinefunction(type(getter).__call__):
            asyncio.run(work.concurrently(getter, named))
        else:
            work.one_by_one(getter, named)
    finally:
        loading.reset(token)
        computing.reset(of_keys)
    return work.outcome, tuple(work.large) or None


def decoded(keys: Iterable[bytes]) -> dict[bytes, Any]:
    """The user's keys by full keys."""
    return {key: core_keys.decode(key[PREFIX_BYTES:]) for key in keys}


class _Load:
    """One load as it goes on."""

    def __init__(self, options: GroupOptions, codec: Codec, clock: Callable[[], float]) -> None:
        self.outcome: Outcome = {}
        self.large: list[Blob] = []
        self._inline_bytes = 0
        self._options, self._codec, self._clock = options, codec, clock
        self._end = clock() + BUDGET_S

    def _over(self) -> bool:
        """Time for another task: the budget is used up, or what was loaded should be on its way."""
        if not self.outcome:
            return False
        return self._clock() >= self._end or bool(self.large) or self._inline_bytes > 8 * INLINE_BYTES

    def one_by_one(self, getter: Callable[[Any], Any], named: Mapping[bytes, Any]) -> None:
        for key, name in named.items():
            if self._over():
                return
            began = self._clock()
            computing.set(frozenset((key,)))
            try:
                value = getter(name)
                if inspect.isawaitable(value):  # a plain function that returns a coroutine
                    value = asyncio.run(_awaited(value))
            except BaseException as error:
                self._failed(key, error, began)
            else:
                self._loaded(key, value, self._clock() - began)

    async def concurrently(self, getter: Callable[[Any], Awaitable[Any]], named: Mapping[bytes, Any]) -> None:
        gate = asyncio.Semaphore(ASYNC_KEYS)

        async def one(key: bytes, name: Any) -> None:
            async with gate:
                if self._over():
                    return
                began = self._clock()
                try:
                    value = await getter(name)
                except BaseException as error:
                    self._failed(key, error, began)
                else:
                    self._loaded(key, value, self._clock() - began)

        await asyncio.gather(*(one(key, name) for key, name in named.items()))

    def batch(self, getter: Callable[[list[Any]], Any], named: dict[bytes, Any]) -> None:
        began = self._clock()
        names = list(named.values())
        try:
            values = getter(names)
            if inspect.isawaitable(values):
                values = asyncio.run(_awaited(values))
            if isinstance(values, Mapping):
                # 1 and True are one name to a mapping: the first has its value, the others go with the next batch.
                first = {name: key for key, name in reversed(named.items())}
                named = {key: name for key, name in named.items() if first[name] == key}
                values = [values.get(name, _NONE) for name in named.values()]
            elif len(values) != len(names):
                raise ValueError(
                    f"the batch getter was given {len(names)} keys and returned {len(values)} values; "
                    f"return one for each in the same order, or a mapping of keys to values"
                )
        except BaseException as error:
            for key in named:
                self._failed(key, error, began, share=len(named))
            return
        cost = (self._clock() - began) / len(named)
        for (key, name), value in zip(named.items(), values, strict=True):
            if value is _NONE:
                self._absent(key, f"no value for {name!r:.200} from the batch getter", cost)
            else:
                self._loaded(key, value, cost)

    def _loaded(self, key: bytes, value: Any, cost_s: float) -> None:
        if isinstance(value, NotFound):  # in the values of a batch
            return self._absent(key, str(value), cost_s)
        try:
            ttl_s = self._options.ttl_s
            if isinstance(value, Expiring):
                ttl_s = ttl_s if value.ttl is None else parse_seconds(value.ttl, "ttl")
                value = value.value
            blob = self._codec.encode(value)
        except Exception as error:
            self.outcome[key] = Raised(dump_error(error), traceback.format_exc(), cost_s)
            return None
        ttl_s, size = lifetime(ttl_s, self._options), blob.size
        if size > INLINE_BYTES:
            self.outcome[key] = Loaded(blob.tag, len(self.large), ttl_s, cost_s, size)
            self.large.append(blob)
        else:
            tag, data = blob.packed()
            self._inline_bytes += size
            self.outcome[key] = Loaded(tag, data, ttl_s, cost_s, size)
        return None

    def _failed(self, key: bytes, error: BaseException, began: float, share: int = 1) -> None:
        cost_s = (self._clock() - began) / share
        if isinstance(error, NotFound):
            return self._absent(key, str(error), cost_s)
        if isinstance(error, Lost):
            self.outcome[key] = Orphaned()
            return None
        if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            raise error  # the task is being ended; that is not the getter's answer
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        if not isinstance(error, Exception):  # SystemExit must not end the process that asked
            error = GetterFailed(f"the getter raised {error!r}, which would end the process that asked")
        self.outcome[key] = Raised(dump_error(error), text, cost_s)
        return None

    def _absent(self, key: bytes, message: str, cost_s: float) -> None:
        negative_ttl_s = self._options.negative_ttl_s
        self.outcome[key] = Absent(message, cost_s, negative_ttl_s and lifetime(negative_ttl_s, self._options))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def lifetime(ttl_s: float | None, options: GroupOptions) -> float | None:
    """The seconds that a value with this ttl may live: capped, then shortened at random if the group says so."""
    if options.max_ttl_s is not None:
        ttl_s = options.max_ttl_s if ttl_s is None else min(ttl_s, options.max_ttl_s)
    if ttl_s is not None and options.ttl_jitter:
        ttl_s *= 1 - options.ttl_jitter * random.random()
    return ttl_s


def dump_error(error: BaseException) -> bytes:
    """The exception as bytes, or a GetterFailed in its place where it cannot travel."""
    try:
        data = cloudpickle.dumps(error.with_traceback(None))
        pickle.loads(data)  # an exception whose __init__ wants more arguments fails only here
        return bytes(data)
    except Exception as why:
        stand_in = GetterFailed(f"{type(error).__qualname__}: {error} (the exception itself cannot travel: {why})")
        return pickle.dumps(stand_in)


def raised(result: Raised) -> BaseException:
    """The getter's exception, with what it said where it was raised as a note."""
    try:
        error = pickle.loads(result.error)
    except Exception as why:  # its class cannot be imported here
        error = GetterFailed(f"the getter's exception cannot be read here ({why}); it said:\n{result.traceback}")
    note = f"raised by the getter, in the process that loaded the key:\n{result.traceback}"
    error.__notes__ = [*getattr(error, "__notes__", ()), note]  # add_note, for Python 3.10 as well
    assert isinstance(error, BaseException)
    return error


def said(result: Raised) -> str:
    """Type and text of what a getter raised, read from its traceback: the exception may be of a class that is unknown
    here."""
    lines = result.traceback.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line.strip() for line in after if line and not line.startswith(" ")), "an exception")
