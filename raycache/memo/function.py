"""`memoize` and `Memoized`: what users decorate with, and what they hold then."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, overload

import cloudpickle

from raycache.cache import Cache
from raycache.core.fingerprint.registry import register_handler
from raycache.core.fingerprint.trace import current
from raycache.core.fingerprint.values import Encoder
from raycache.errors import InvalidOption
from raycache.memo.explain import Explanation, explain
from raycache.memo.identity import Snapshot
from raycache.memo.info import CacheInfo, cache_info
from raycache.memo.mapping import imap
from raycache.memo.memo import Memo
from raycache.memo.options import MemoOptions, memo_options
from raycache.memo.panel import memoized_panel
from raycache.options import Duration, Policy, Size

_REFUSED = (
    (inspect.isgeneratorfunction, "a generator function: what it yields is used up by whoever reads it first"),
    (inspect.isasyncgenfunction, "an async generator function: what it yields is used up by whoever reads it first"),
    (inspect.isclass, "a class: every process would get copies of one instance; memoize a function that returns it"),
)


@overload
def memoize(function: Callable[..., Any], /, **options: Any) -> Memoized: ...


@overload
def memoize(
    function: None = None,
    /,
    *,
    ttl: Duration | None = None,
    negative_ttl: Duration | None = None,
    load_timeout: Duration | None = None,
    ignore: Iterable[str] | None = None,
    key: Callable[..., Any] | None = None,
    version: object = None,
    depends: Iterable[Any] | None = None,
    name: str | None = None,
    capacity: Size | None = None,
    policy: Policy | None = None,
    where: Literal["task", "caller"] = "task",
    batch: str | None = None,
    batch_size: int | None = None,
    task_options: Mapping[str, Any] | None = None,
    cache: Cache | str | None = None,
) -> Callable[[Callable[..., Any]], Memoized]: ...


def memoize(function: Any = None, /, **options: Any) -> Any:
    """Shares the results of a function between all processes of the cluster, keyed by its code and its arguments.

    Bare, `@raycache.memoize`, or with options, `@raycache.memoize(ttl="1d")`. For plain functions, `async def`,
    methods, static and class methods. (It stands above `@classmethod`: from Python 3.13 on what is below can be called,
    but `map`, `peek` and the like do not know the class.) Connects to the cache with the first call.

    Args:
        ttl: how long results live: seconds, a timedelta, or "1d"; by default until they are evicted. A result keeps the
            ttl that it was computed with.
        negative_ttl: how long a raised NotFound is remembered; by default not at all.
        load_timeout: a computation that takes longer is ended, the time included that its task waits for what
            `task_options` ask for; 10 minutes by default. Of where="task" alone.
        ignore: names of arguments that do not count.
        key: a function of the same arguments; what it returns counts in their place.
        version: counts in the place of the function's code, which is not looked at then: change it with the code.
        depends: what else the function depends on: functions, classes, modules, values. (Of a file give what is in it.)
        name: what the function is called in the cache; its module and qualified name by default.
        capacity: bytes per shard of its own; by default it shares those of all memoized functions.
        policy: which results of a capacity of its own go first: "gdsf", those that cost the least to compute again for
            their bytes and hits; or "lru", "s3fifo", "sieve".
        where: "task" runs it as a Ray task, "caller" in the calling process; in both cases once per key in the cluster.
        batch: the list argument of a vectorised function, which returns one value for each of its items, in order. Each
            item is cached by itself, and only the missing ones are passed on; a call returns a list.
        batch_size: items in one call, at most; 256 by default.
        task_options: of the Ray task: num_cpus, num_gpus, runtime_env, ...; by default it takes no CPU.
        cache: a `Cache` or the name of one; by default the one that `raycache.connect()` gives.

    Raises:
        InvalidOption: an option, or what is decorated, is not what it should be.
    """
    checked = memo_options(**options)
    if function is None:
        return functools.partial(_memoized, options=checked)
    return _memoized(function, checked)


def _memoized(function: Any, options: MemoOptions) -> Any:
    if isinstance(function, staticmethod):
        return staticmethod(_memoized(function.__func__, options))
    if isinstance(function, classmethod):
        return MemoizedClassMethod(_memoized(function.__func__, options))
    if isinstance(function, Memoized):
        raise InvalidOption(f"{function!r} is memoized already")
    if not callable(function):
        raise InvalidOption(f"memoize({function!r:.100}): that cannot be called; decorate a function")
    for refused, why in _REFUSED:
        if refused(function):
            raise InvalidOption(f"memoize({getattr(function, '__qualname__', function)}): this is {why}")
    return memoized(function, options)


def memoized(function: Callable[..., Any], options: MemoOptions, snapshot: Snapshot | None = None) -> Memoized:
    """A function, memoized. It gets a class of its own, whose `__call__` can be made for it."""
    kind = type("Memoized", (Memoized,), {"__module__": Memoized.__module__, "__doc__": Memoized.__doc__})
    made: Memoized = kind(function, options, snapshot)
    return made


class Memoized:
    """A function whose results all processes of the cluster share. From `raycache.memoize`.

    Called like the function itself; of an `async def` calls are awaited. `peek`, `forget`, `key` and `explain` take the
    arguments of a call and never compute it.
    """

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[..., Any], options: MemoOptions, snapshot: Snapshot | None = None) -> None:
        _look_like(self, function)
        self._memo = Memo(function, options, snapshot)
        self._memo.quickened = self._quicken
        self._front: tuple[Any, ...] = ()  # of a bound method: the object
        self._origin = self  # of a bound method: the function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        call = self._memo.acall if self._memo.is_async else self._memo.call
        return call((*self._front, *args), kwargs)

    @classmethod
    def _quicken(cls, method: Callable[..., Any] | None) -> None:
        """Takes another `__call__`, with the function's own parameters: each function has a class of its own."""
        cls.__call__ = staticmethod(method) if method else Memoized._call  # type: ignore[method-assign]

    _call = __call__

    def __get__(self, instance: Any, owner: type | None = None) -> Memoized:
        """As a method: bound to an object, which is an argument like others and must have a fingerprint."""
        return self if instance is None else _bound(self, instance)

    def __eq__(self, other: object) -> bool:
        """As bound methods: the same function, bound to the same object."""
        return isinstance(other, Memoized) and self._bound_to == other._bound_to

    def __hash__(self) -> int:
        return hash(self._bound_to)

    @property
    def _bound_to(self) -> tuple[int, ...]:
        return id(self._memo), *map(id, self._front)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's own, without what is bound."""
        signature = self._memo.identity.signature
        return signature.replace(parameters=[*signature.parameters.values()][len(self._front) :])

    # ------------------------------------------------------------------------------------- single calls

    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of a call, as text: the fingerprint of the code, and that of the arguments."""
        self._one_key("key")
        return self._memo.plan((*self._front, *args), kwargs).order[0].hex()

    def peek(self, *args: Any, **kwargs: Any) -> Any:
        """The result if it is in the cache, else None; never computes. Of a batch a list, with None for what is not."""
        plan, binding = self._memo.plan((*self._front, *args), kwargs), self._memo.binding()
        look = binding.look(plan.works, counted=False)
        if not look.done:
            binding.group.drive(look.ask(load=False))
        found = [binding.reader.meant(key, look.got[binding.reader.full(key)], None) for key in plan.order]
        return found if self._memo.options.batch is not None else found[0]

    def forget(self, *args: Any, **kwargs: Any) -> bool:
        """Removes the result of a call everywhere; whether there was one."""
        plan, binding = self._memo.plan((*self._front, *args), kwargs), self._memo.binding()
        return binding.group.remove_many(plan.works) > 0

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Computes a call anew and returns the result; others get the old one meanwhile. Awaited if the function is."""
        call = self._memo.acall if self._memo.is_async else self._memo.call
        return call((*self._front, *args), kwargs, fresh=True)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Whether a call would hit, where its result lies; or why it would miss."""
        self._one_key("explain")
        return explain(self._memo, (*self._front, *args), kwargs)

    def _one_key(self, method: str) -> None:
        if self._memo.options.batch is not None:
            raise InvalidOption(f"{self.__name__}.{method}() is of one key, and {self.__name__} has one for every item")

    # ---------------------------------------------------------------------------------------- many calls

    def map(
        self,
        iterable: Iterable[Any],
        *,
        progress: bool | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
        fixed: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """The results for all items: cached ones at once, the others computed in parallel over the cluster.

        Args:
            iterable: the first argument of each call; of a vectorised function the items of its batch.
            progress: whether to show a bar; by default where somebody sees it, when it takes longer than a second.
            return_exceptions: whether an item's exception stands in the place of its result. Otherwise the first one
                is raised, with a note that names the item; what was computed is kept.
            ordered: False gives the results in the order in which they come.
            fixed: further arguments, the same for all items.
        """
        return list(
            self.imap(iterable, progress=progress, return_exceptions=return_exceptions, ordered=ordered, fixed=fixed)
        )

    def imap(
        self,
        iterable: Iterable[Any],
        *,
        progress: bool | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
        fixed: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        """`map` as an iterator: reads only so far ahead as it takes to keep the cluster busy."""
        return imap(
            self._memo,
            self._front,
            iterable,
            dict(fixed or {}),
            progress=progress,
            return_exceptions=return_exceptions,
            ordered=ordered,
        )

    # --------------------------------------------------------------------------------------- as functools

    def cache_info(self) -> CacheInfo:
        """Hits, misses, entries; and what the hits saved, over all processes."""
        return cache_info(self._memo)

    def cache_clear(self) -> None:
        """Removes all results of the function, those of its older code as well, everywhere."""
        self._memo.binding().group.clear()

    def cache_parameters(self) -> dict[str, Any]:
        """The options that the function was memoized with, under functools' names where it has one."""
        options = {name: value for name, value in vars(self._memo.options).items() if value not in (None, (), {})}
        return {"maxsize": None, "typed": True, **options}

    # ------------------------------------------------------------------------------------------- as value

    def __raycache_key__(self) -> tuple[Any, ...]:
        """What it is to code that reads it: its function, or what stands for that, by its options."""
        identity, options = self._memo.identity, self._memo.options
        if options.version is not None:
            return identity.name, identity.code.digest, *self._front
        return identity.name, self.__wrapped__, *options.depends, *self._front

    def __repr__(self) -> str:
        return f"<raycache.memoize {self._memo.identity.name}{self._memo.identity.signature}>"

    def _repr_html_(self) -> str:
        return memoized_panel(self._memo.identity, self._memo.bound).html()

    def __reduce__(self) -> Any:
        """By its name where others can import it, as functions travel; else by value, with the code as it is here."""
        if self._front:
            return _bound, (self._origin, *self._front)
        if _importable(self):
            return self.__qualname__
        if not self._memo.identity.reads_modules:
            return _by_value(self)
        # In a pickle of its own: what it reads of the user's modules goes along, whatever state of them others have.
        return cloudpickle.loads, (self._memo.identity.dumped(self),)

    @staticmethod
    def __raycache_by_value__(memoized: Memoized) -> tuple[Any, ...]:
        """How it travels with a function that reads it: as it is here, whatever others would import."""
        return (_bound, (memoized._origin, *memoized._front)) if memoized._front else _by_value(memoized)


def _encode(memoized: Memoized, encoder: Encoder) -> None:
    """As an argument, by what it does; in what other code reads, by its function, which is a part of that code."""
    encoder.tag(b"memoized")
    if current.tracer is None:
        encoder.data(memoized._memo.identity.code.digest)
        encoder.value(memoized._front)
    else:
        encoder.value(memoized.__raycache_key__())


register_handler(Memoized, _encode)


class MemoizedClassMethod(classmethod):  # type: ignore[type-arg]  # its type parameters say nothing here
    """A class method whose function is memoized; what it gives is bound to the class."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.__func__.__get__(type(instance) if owner is None else owner, owner)


def _look_like(memoized: Memoized, function: Callable[..., Any]) -> None:
    functools.update_wrapper(memoized, function)
    if inspect.iscoroutinefunction(function):  # so that frameworks await it
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(memoized)
        else:
            memoized._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


def _bound(memoized: Memoized, instance: Any) -> Memoized:
    bound = object.__new__(Memoized)
    bound.__dict__.update(memoized.__dict__, _front=(instance,))
    return bound


def _importable(memoized: Memoized) -> bool:
    if memoized.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(memoized.__module__)
    for name in memoized.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is memoized


def _by_value(of: Memoized) -> tuple[Any, ...]:
    memo = of._memo
    return memoized, (memo.function, memo.options, memo.identity.snapshot())
