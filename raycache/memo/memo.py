"""`Memo`: one memoized function in this process. It looks results up, and has computed what is missing."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from raycache.cache import connect
from raycache.core.calls import listed
from raycache.core.fetch import Claimed, NotThere
from raycache.core.getters import Expiring, computing, raised
from raycache.core.lookup import RAISE, Lookup
from raycache.core.messages import Absent, Raised
from raycache.core.near import name_of
from raycache.errors import NotFound
from raycache.memo.binding import Binding, Changed, Computed
from raycache.memo.identity import Code, Identity, Plan, Snapshot, Work
from raycache.memo.options import MemoOptions
from raycache.memo.quick import Quick


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
        while True:
            plan, binding = self.plan(args, kwargs), self.binding()
            look = binding.look(plan.works, counted=not fresh, local=not fresh)
            if self._computes(look):
                return self.function(*args, **kwargs)
            try:
                if not look.done:
                    binding.group.drive(binding.ask(look, plan.code, plan.works, fresh=fresh))
                computed = self.compute(binding, plan.code, plan.works, look)
            except Changed:
                continue
            if fresh and not _failed(look, computed):
                binding.group.drive(binding.client.refreshed(binding.reader.spec, look.fulls))
            self.alias(binding, plan.code, plan.order[-1] if plan.order else b"", args, kwargs)
            return self._value(binding, plan, look, computed)

    async def acall(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, fresh: bool = False) -> Any:
        """`call` for an event loop."""
        while True:
            plan = self.plan(args, kwargs)
            binding = self._binding
            if binding is None or not binding.up:
                binding = await asyncio.to_thread(self.binding)
            look = binding.look(plan.works, counted=not fresh, local=not fresh)
            if self._computes(look):
                return await self.function(*args, **kwargs)
            try:
                if not look.done:
                    await binding.group.adrive(binding.ask(look, plan.code, plan.works, fresh=fresh))
                computed = await self._acompute(binding, plan.code, plan.works, look)
            except Changed:
                continue
            if fresh and not _failed(look, computed):
                await binding.group.adrive(binding.client.refreshed(binding.reader.spec, look.fulls))
            return self._value(binding, plan, look, computed)

    def _computes(self, look: Lookup) -> bool:
        """Whether this very call is being computed here: the function calls itself with the same arguments."""
        return not look.done and not computing.get().isdisjoint(look.missing)

    def _value(self, binding: Binding, plan: Plan, look: Lookup, computed: Mapping[bytes, Computed]) -> Any:
        """What the caller gets: a value, of a batch a list; or the first error in order."""
        values = [self.value_of(binding, key, look, computed) for key in plan.order]
        return values if self.options.batch is not None else values[0]

    def value_of(self, binding: Binding, key: bytes, look: Lookup, computed: Mapping[bytes, Computed]) -> Any:
        """The value of one key of a lookup that is over; or raises what its computation raised."""
        full = binding.reader.full(key)
        if full in computed:
            value = computed[full].meant()
            return value.value if isinstance(value, Expiring) else value
        got = look.got[full]
        if isinstance(got, NotThere):  # said by the function: a memoized one always has something to compute it with
            raise NotFound(got.message or f"{self.identity.name} raised NotFound, without a message")
        return binding.reader.meant(self.identity.name, got, RAISE)

    def alias(self, binding: Binding, code: Code, key: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Has the next call with these arguments find the near entry without a fingerprint."""
        options, reader = self.options, binding.reader
        if self.is_async or options.batch is not None or options.key is not None or options.ignore:
            return
        entry = reader.near.entries.get(name_of(key, reader.full(key)))
        if entry is None or not entry.has_value:
            return
        with self._lock:
            if code is self._seen and self.quick.remember(entry, args, kwargs, reader.clock()) and not self._is_quick:
                self._is_quick = True
                name = self.function.__name__
                self.quickened(self.quick.method(name, code, reader.clock, reader.decoded, slow_call))

    # ------------------------------------------------------------------------------ computed by the caller

    def compute(
        self, binding: Binding, code: Code, by_key: Mapping[bytes, Work], look: Lookup
    ) -> dict[bytes, Computed]:
        """Computes what this process has claimed, and brings it to the shards."""
        if not (claimed := look.claimed):
            return {}
        works = {binding.reader.full(key): work for key, work in by_key.items()}
        done: dict[bytes, Computed] = {}
        try:
            with binding.holding.held(claimed):
                for some in self._portions(list(claimed)):
                    computed = self._run(some, works)
                    for full, each in computed.items():
                        done[full] = self._bring(binding, code, full, claimed[full], works[full], each)
        finally:  # whoever waits must not wait for what was given up
            for full in claimed.keys() - done.keys():
                binding.release(code, full, claimed[full])
        return done

    def _portions(self, fulls: list[bytes]) -> list[list[bytes]]:
        """What is computed in one call of the function."""
        size = 1 if self.options.batch is None else self.options.batch_size
        return [fulls[at : at + size] for at in range(0, len(fulls), size)]

    def _run(self, fulls: list[bytes], works: dict[bytes, Work]) -> dict[bytes, Computed]:
        token = computing.set(computing.get() | set(fulls))
        began = time.perf_counter()
        try:
            args, kwargs = self._arguments(fulls, works)
            value = self.function(*args, **kwargs)
            if inspect.isawaitable(value):  # an async function in `map`
                value = asyncio.run(_awaited(value))
        except Exception as error:
            return dict.fromkeys(fulls, Computed(None, error, time.perf_counter() - began))
        finally:
            computing.reset(token)
        return self._apart(fulls, value, time.perf_counter() - began)

    def _arguments(self, fulls: list[bytes], works: dict[bytes, Work]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        called = works[fulls[0]].called
        if self.options.batch is not None:
            called = called.with_items([works[full].item for full in fulls])
        return called.args, called.kwargs

    def _apart(self, fulls: list[bytes], value: Any, cost_s: float) -> dict[bytes, Computed]:
        """The values of one call of the function."""
        if self.options.batch is None:
            return {fulls[0]: Computed(value, None, cost_s)}
        try:
            values = listed(value, len(fulls))
        except Exception as error:
            return dict.fromkeys(fulls, Computed(None, error, cost_s))
        return {full: Computed(each, None, cost_s / len(fulls)) for full, each in zip(fulls, values, strict=True)}

    def _bring(
        self, binding: Binding, code: Code, full: bytes, claimed: Claimed, work: Work, computed: Computed
    ) -> Computed:
        result, blob = binding.result(code, full, computed)
        binding.group.drive(binding.fill(code, full, claimed, work, result, blob))
        return _told(computed, result)

    async def _acompute(
        self, binding: Binding, code: Code, by_key: Mapping[bytes, Work], look: Lookup
    ) -> dict[bytes, Computed]:
        if not (claimed := look.claimed):
            return {}
        works = {binding.reader.full(key): work for key, work in by_key.items()}
        done: dict[bytes, Computed] = {}
        try:
            with binding.holding.held(claimed):
                for some in self._portions(list(claimed)):
                    for full, each in (await self._arun(some, works)).items():
                        result, blob = binding.result(code, full, each)
                        filling = binding.fill(code, full, claimed[full], works[full], result, blob)
                        await binding.group.adrive(filling)
                        done[full] = _told(each, result)
        finally:
            for full in claimed.keys() - done.keys():
                binding.release(code, full, claimed[full])
        return done

    async def _arun(self, fulls: list[bytes], works: dict[bytes, Work]) -> dict[bytes, Computed]:
        token = computing.set(computing.get() | set(fulls))
        began = time.perf_counter()
        try:
            args, kwargs = self._arguments(fulls, works)
            value = await self.function(*args, **kwargs)
        except Exception as error:
            return dict.fromkeys(fulls, Computed(None, error, time.perf_counter() - began))
        finally:
            computing.reset(token)
        return self._apart(fulls, value, time.perf_counter() - began)


def slow_call(memoized: Any, given: tuple[Any, ...]) -> Any:
    """A call that the quick method did not answer, with one value for each parameter."""
    memo: Memo = memoized._memo
    return memo.call(*memo.quick.as_called(given))


def _is_name(cache: Any) -> bool:
    return cache is None or isinstance(cache, str)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


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
