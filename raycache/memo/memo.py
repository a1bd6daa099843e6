"""`Memo`: one memoized function in this process. It looks results up, and has computed what is missing.

What it does is written once, as `Moves`: a generator that says what to wait for and what to call. A thread or an event
loop does both for it. Whatever ends there is raised in the generator too, so that its tokens are given back.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple, TypeVar

from raycache.connecting import connect
from raycache.core.calls import Arguments as Called
from raycache.core.calls import listed, packed, unpacked
from raycache.core.codec import shareable
from raycache.core.fetch import Claimed, NotThere
from raycache.core.futures import in_thread
from raycache.core.getters import Expiring, computing, raised
from raycache.core.lookup import RAISE, Lookup
from raycache.core.messages import Absent, Call, Raised
from raycache.core.near import name_of
from raycache.core.steps import Wait
from raycache.errors import NotFound
from raycache.memo.binding import Binding, Changed, Changes, Computed
from raycache.memo.identity import Code, Identity, Plan, Snapshot, Work
from raycache.memo.options import MemoOptions
from raycache.memo.quick import Quick

T = TypeVar("T")


class Invoke(NamedTuple):
    """Yielded by moves: call the function, for these keys. They are sent a `Computed`."""

    fulls: list[bytes]
    called: Called


class Connect(NamedTuple):
    """Yielded by moves: the first call connects to the cache. They are sent the `Binding`."""


Moves = Generator[Wait | Invoke | Connect, Any, T]


class Memo:
    """A function, its options, and the cache that it was bound to with the first call."""

    def __init__(self, function: Callable[..., Any], options: MemoOptions, snapshot: Snapshot | None = None) -> None:
        self.function, self.options = function, options
        self.identity = Identity(function, options, snapshot)
        self.is_async = inspect.iscoroutinefunction(function)
        self.quick = Quick(self.identity.signature)  # of the code that was last seen
        #: Told of a method that finds quick entries, and, with None, that there is none at the moment.
        self.quickened: Callable[[Callable[..., Any] | None], None] = lambda method: None
        self._seen: Code | None = None
        self._is_quick = False
        self._binding: Binding | None = None
        self._lock = threading.RLock()

    @property
    def bound(self) -> Binding | None:
        """The function in its cache, if it has been called."""
        return self._binding

    def binding(self) -> Binding:
        """The function in its cache, which is connected to if need be."""
        binding = self._binding
        if binding is None or not binding.up:
            with self._lock:
                if self._binding is None or not self._binding.up:
                    cache = self.options.cache
                    self._slow_down()
                    self._binding = Binding(self.identity, connect(cache or "default") if _is_name(cache) else cache)
                binding = self._binding
        assert binding is not None
        return binding

    def plan(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        """The keys of a call, by the code as it is now."""
        plan = self.identity.plan(args, kwargs)
        self.see(plan.code)
        return plan

    def see(self, code: Code) -> None:
        """What is known under arguments alone is of one code; it goes when the code has changed."""
        if code is not self._seen:
            with self._lock:
                self._slow_down()
                self._seen = code

    def _slow_down(self) -> None:
        self.quick.clear()
        self._is_quick = False
        self.quickened(None)

    # --------------------------------------------------------------------------------------------- calls

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, fresh: bool = False) -> Any:
        """The result of a call, from the cache or computed; `fresh`: computed in any case."""
        return self.run(self._call(args, kwargs, fresh))

    async def acall(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, fresh: bool = False) -> Any:
        """`call` for an event loop."""
        return await self._arun(self._call(args, kwargs, fresh))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: bool) -> Moves[Any]:
        changes = Changes(self.identity.name)
        while True:
            plan, binding = self.plan(args, kwargs), self._binding
            if binding is None or not binding.up:
                binding = yield Connect()
            assert binding is not None
            look = binding.look(plan.works, counted=not fresh, local=not fresh)
            if self._computes(look):
                own: Computed = yield Invoke([], Called(args, kwargs))
                return own.meant()
            try:
                computed = yield from self.finish(binding, plan.code, plan.works, look, fresh=fresh)
            except Changed:
                changes.seen(plan.code)
                continue
            if fresh and not _failed(look, computed):
                yield from binding.client.refreshed(binding.reader.spec, look.fulls)
            self.alias(binding, plan.code, plan.order[-1] if plan.order else b"", args, kwargs)
            return self._value(binding, plan, look, computed)

    def finish(
        self,
        binding: Binding,
        code: Code,
        works: Mapping[bytes, Work],
        look: Lookup,
        *,
        calls: Mapping[bytes, Call] | None = None,
        fresh: bool = False,
    ) -> Moves[dict[bytes, Computed]]:
        """Has what a lookup is missing computed, by tasks or here; gives what was computed here.

        Works are by the user's keys; `calls`, by full keys, are packed already. Raises Changed.
        """
        if look.done:
            return {}
        by_full = {binding.reader.full(key): work for key, work in works.items()}
        if calls is None:
            calls = binding.packed({full: by_full[full] for full in look.missing})
        computed: dict[bytes, Computed] = {}
        while look.missing:
            yield from binding.ask(look, code, calls, fresh=fresh)
            computed |= yield from self._compute(binding, code, by_full, look.take_claimed())
        return computed

    def run(self, moves: Moves[T]) -> T:
        """Makes the moves in this thread."""
        try:
            want = next(moves)
            while True:
                came: Any
                try:
                    if isinstance(want, Wait):
                        assert self._binding is not None
                        came = self._binding.cache.network.wait(want)
                    else:
                        came = self._invoke(want) if isinstance(want, Invoke) else self.binding()
                except BaseException as error:
                    want = moves.throw(error)
                else:
                    want = moves.send(came)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _arun(self, moves: Moves[T]) -> T:
        """Makes the moves in this event loop."""
        try:
            want = next(moves)
            while True:
                came: Any
                try:
                    if isinstance(want, Wait):
                        assert self._binding is not None
                        came = await self._binding.cache.network.await_(want)
                    elif isinstance(want, Invoke):
                        came = await self._ainvoke(want)
                    else:
                        came = await asyncio.to_thread(self.binding)
                except BaseException as error:
                    want = moves.throw(error)
                else:
                    want = moves.send(came)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _computes(self, look: Lookup) -> bool:
        """Whether this very call is being computed here: the function calls itself with the same arguments."""
        return not look.done and not computing.get().isdisjoint(look.missing)

    def _value(self, binding: Binding, plan: Plan, look: Lookup, computed: Mapping[bytes, Computed]) -> Any:
        """What the caller gets: a value, of a batch a list; or the first error in order."""
        given: set[bytes] = set()
        values = [self.value_of(binding, key, look, computed, given) for key in plan.order]
        return values if self.options.batch is not None else values[0]

    def value_of(
        self, binding: Binding, key: bytes, look: Lookup, computed: Mapping[bytes, Computed], given: set[bytes]
    ) -> Any:
        """The value of one key of a lookup that is over; or raises what its computation raised.

        Keys that are `given` already, for the same item at another place, get a value of their own.
        """
        full = binding.reader.full(key)
        if full in computed:
            value = computed[full].meant()
            value = value.value if isinstance(value, Expiring) else value
        else:
            value = self.meant(binding, look.got[full])
        if key not in given:
            given.add(key)
            return value
        return value if shareable(value) else unpacked(packed(binding.cache.codec.encode(value)))

    def meant(self, binding: Binding, got: Any) -> Any:
        """The value that a lookup has got; or raises what its computation raised."""
        if isinstance(got, NotThere):  # said by the function: a memoized one always has something to compute it with
            raise NotFound(got.message or f"{self.identity.name} raised NotFound, without a message")
        return binding.reader.meant(self.identity.name, got, RAISE)

    def alias(self, binding: Binding, code: Code, key: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Has the next call with these arguments find the near entry without a fingerprint."""
        options, reader = self.options, binding.reader
        if self.is_async or options.batch is not None or options.key is not None or options.ignore:
            return
        near_name, now = name_of(key, reader.full(key)), reader.clock()
        with self._lock:
            if code is not self._seen or not self.quick.remember(reader.near, near_name, args, kwargs, now):
                return
            if not self._is_quick:
                self._is_quick = True
                name = self.function.__name__
                self.quickened(self.quick.method(name, code, reader.clock, reader.decoded, self._slowly))

    def _slowly(self, given: tuple[Any, ...]) -> Any:
        """A call that the quick method did not answer, with one value for each parameter."""
        return self.call(*self.quick.as_called(given))

    # ------------------------------------------------------------------------------ computed by the caller

    def _compute(
        self, binding: Binding, code: Code, works: Mapping[bytes, Work], claimed: Mapping[bytes, Claimed]
    ) -> Moves[dict[bytes, Computed]]:
        """Computes what this process has claimed, and brings it to the shards."""
        done: dict[bytes, Computed] = {}
        if not claimed:
            return done
        try:
            with binding.holding.held(claimed):
                for some in self._portions(list(claimed)):
                    computed: Computed = yield Invoke(some, self._called(some, works))
                    for full, each in self._apart(some, computed).items():
                        result, blob = binding.result(code, full, each)
                        yield from binding.fill(code, full, claimed[full], works[full], result, blob)
                        done[full] = _told(each, result)
        finally:  # whoever waits must not wait for what was given up
            for full in claimed.keys() - done.keys():
                binding.release(code, full, claimed[full])
        return done

    def _portions(self, fulls: list[bytes]) -> list[list[bytes]]:
        """What is computed in one call of the function."""
        size = 1 if self.options.batch is None else self.options.batch_size
        return [fulls[at : at + size] for at in range(0, len(fulls), size)]

    def _called(self, fulls: list[bytes], works: Mapping[bytes, Work]) -> Called:
        called = works[fulls[0]].called
        if self.options.batch is not None:
            called = called.with_items([works[full].item for full in fulls])
        return called

    def _apart(self, fulls: list[bytes], computed: Computed) -> dict[bytes, Computed]:
        """The values of one call of the function."""
        if self.options.batch is None or computed.error is not None:
            return dict.fromkeys(fulls, computed)
        try:
            values = listed(computed.value, len(fulls))
        except Exception as error:
            return dict.fromkeys(fulls, Computed(None, error, computed.cost_s))
        cost_s = computed.cost_s / len(fulls)
        return {full: Computed(each, None, cost_s) for full, each in zip(fulls, values, strict=True)}

    def _invoke(self, want: Invoke) -> Computed:
        token = computing.set(computing.get() | set(want.fulls))
        began = time.perf_counter()
        try:
            value = self.function(*want.called.args, **want.called.kwargs)
            if inspect.isawaitable(value):  # an async function in `map`
                value = _run_awaitable(value)
        except Exception as error:
            return Computed(None, error, time.perf_counter() - began)
        finally:
            computing.reset(token)
        return Computed(value, None, time.perf_counter() - began)

    async def _ainvoke(self, want: Invoke) -> Computed:
        token = computing.set(computing.get() | set(want.fulls))
        began = time.perf_counter()
        try:
            value = await self.function(*want.called.args, **want.called.kwargs)
        except Exception as error:
            return Computed(None, error, time.perf_counter() - began)
        finally:
            computing.reset(token)
        return Computed(value, None, time.perf_counter() - began)


def _is_name(cache: Any) -> bool:
    return cache is None or isinstance(cache, str)


def _run_awaitable(awaitable: Any) -> Any:
    """What it gives, in a loop of its own; that needs a thread of its own where this one has a loop at work."""

    async def awaited() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    context = contextvars.copy_context()
    return in_thread(lambda: context.run(asyncio.run, awaited())).result()


def _failed(look: Lookup, computed: dict[bytes, Computed]) -> bool:
    """Whether anything was not computed; the old value stays then."""
    return look.failed or any(each.error is not None for each in computed.values())


def _told(computed: Computed, result: Any) -> Computed:
    """What the caller is told: also that its value cannot be cached, or means that there is none."""
    if computed.error is None and isinstance(result, Raised):
        return computed._replace(error=raised(result))
    if computed.error is None and isinstance(result, Absent):  # it returned the NotFound of an item
        return computed._replace(error=NotFound(result.message))
    return computed
