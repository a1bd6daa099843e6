"""A cache as one process sees it: its groups, what is asked of its shards and directory, and its end."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from raycache import scaling
from raycache.backend import Backend
from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.getters import identify
from raycache.core.members import Members
from raycache.core.messages import (
    Failed,
    GetOptions,
    GroupSpec,
    ShardInfo,
)
from raycache.core.stats import Stats
from raycache.core.steps import Steps, Wait, drive
from raycache.errors import CacheUnavailable, InvalidOption
from raycache.glance import Glance
from raycache.group import Group
from raycache.options import (
    MEMO_POLICY,
    Duration,
    Policy,
    Size,
    group_options,
    parse_seconds,
)
from raycache.panel import Panel
from raycache.registry import Registry
from raycache.report import Report, cache_panel

_UNSET: Any = type("_Unset", (), {"__repr__": lambda self: "not given"})()
#: How often a process tells the shards what it did.
REPORT_S = 1.0
#: How long the directory may take to answer, its restart included.
DIRECTORY_S = 10.0
#: How often it is looked whether shards have left.
WATCH_S = 0.2
#: How long the reporting thread waits for a shard on this node to serve, before it looks after other things.
HOST_S = 3.0


class Pickling(Protocol):
    """How a cache and its groups are pickled, as `__reduce__` gives it."""

    def cache(self, cache: Cache) -> tuple[Any, ...]: ...

    def group(self, spec: GroupSpec) -> tuple[Any, ...]: ...


class Cache:
    """A named cache in a Ray cluster, as this process sees it. From `raycache.connect`.

    As a context manager it ends what `connect` began: it destroys the cache if this process made it, else it only
    lets go of it.
    """

    def __init__(
        self,
        name: str,
        network: Backend,
        codec: Codec,
        clock: Callable[[], float],
        pickling: Pickling,
        *,
        made: bool,
    ) -> None:
        self.name = name
        self.closed = False
        self.network, self.codec, self._clock = network, codec, clock
        self._made, self._process, self._destroyed = made, os.getpid(), False
        self._members = Members(network, clock)
        self._client = Client(self._members)
        self._pickling = pickling
        self.registry = Registry(name, self._client, network, codec, clock, self._ask, pickling.group)
        self._glance = Glance(self.stats_by_group)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._drive(self._members.refresh())
        self._reporter = threading.Thread(target=self._report, name="raycache-report", daemon=True)
        self._reporter.start()
        atexit.register(self.close)

    def __repr__(self) -> str:
        count = len(self._members.ring.members)
        state = "closed" if self.closed else f"{count} {'shard' if count == 1 else 'shards'}"
        return f"<raycache.Cache {self.name!r} {self.network.where}, {state}, {len(self.registry)} groups here>"

    def _repr_html_(self) -> str:
        if self.closed:
            return Panel(f"cache {self.name!r} {self.network.where}", (("state", "closed in this process"),)).html()
        return cache_panel(self.network.where, len(self._members.ring.members), self.report()).html()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._pickling.cache(self)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy() if self._made else self.close()

    # -------------------------------------------------------------------------------------------- groups

    def group(
        self,
        name: str,
        getter: Callable[[Any], Any] | None = _UNSET,
        *,
        batch_getter: Callable[[list[Any]], Any] | None = None,
        capacity: Size | None = None,
        ttl: Duration | None = None,
        max_ttl: Duration | None = None,
        ttl_jitter: float | None = None,
        negative_ttl: Duration | None = None,
        load_timeout: Duration | None = None,
        batch_size: int | None = None,
        near: Size | None = None,
        policy: Policy | None = None,
        replace: bool = False,
    ) -> Group:
        """Registers a group, or joins one that is registered with the same definition.

        With nothing but a name it joins whatever group is registered.

        Args:
            getter: `getter(key)` returns the value of a key, plain or `async`; it raises NotFound for a key that does
                not exist, and may return `Expiring(value, ttl=...)`. None: values come from `set` alone.
            batch_getter: takes a list of keys instead, and returns a mapping, or a list in the same order.
            capacity: bytes per shard; by default 64 MiB, or a quarter of the shard if that is less.
            ttl: how long values live that name no ttl themselves; by default they do not expire.
            max_ttl: no value lives longer, whatever it names.
            ttl_jitter: share of a ttl, 0 up to 1, of which a random part is taken off it.
            negative_ttl: how long a NotFound is remembered; by default not at all.
            load_timeout: a getter that takes longer is ended; 10 minutes by default.
            batch_size: keys in one call of a batch getter, at most; 256 by default.
            near: bytes of values that each process keeps for itself; 32 MiB by default, 0 for none.
            policy: which entries go when there is no room: "lru" by default, the least recently used; "s3fifo" or
                "sieve", what is not used again; "gdsf", what costs the least to load again for its bytes and hits.
            replace: put this definition in the place of another one; its entries are dropped.

        Raises:
            UnknownGroup: only a name was given, and no such group is registered.
            GroupConflict: it is registered with another definition; the message names the difference.
            CapacityError: its capacity does not fit beside the other groups.
            UnpicklableGetter: the getter cannot travel; the message names what cannot.
            InvalidOption: an option that cannot be understood.
        """
        if not isinstance(name, str) or not name:
            raise InvalidOption(f"name={name!r}: a group's name is text, and not empty")
        if getter not in (_UNSET, None) and batch_getter is not None:
            raise InvalidOption("give a getter or a batch_getter, not both")
        given = {"capacity": capacity, "ttl": ttl, "max_ttl": max_ttl, "ttl_jitter": ttl_jitter, "near": near}
        given |= {"negative_ttl": negative_ttl, "load_timeout": load_timeout, "batch_size": batch_size}
        given |= {"policy": policy}
        if getter is _UNSET and batch_getter is None and not any(value is not None for value in given.values()):
            return self.registry.join(name)
        load = batch_getter if batch_getter is not None else None if getter is _UNSET else getter
        if load is not None and not callable(load):
            raise InvalidOption(f"getter={load!r:.100} is not callable; give a function that takes a key")
        options = group_options(self._ask(GetOptions()).capacity_bytes, **given)
        spec = GroupSpec(id=0, name=name, options=options, batch=batch_getter is not None)
        if load is None:
            return self.registry.register(spec, replace=replace)
        name_, code = identify(load)
        spec = self.network.packed(dataclasses.replace(spec, getter_name=name_, getter_code=code), load)
        return self.registry.register(spec, load, replace=replace)

    def memo_group(self, name: str, capacity_bytes: int | None, policy: Policy = MEMO_POLICY) -> Group:
        """The group of a memoized function: in the pool of them all, or with a capacity of its own.

        Raises CapacityError where that does not fit.
        """
        return self.registry.memo(name, capacity_bytes, policy)

    def groups(self) -> list[str]:
        """The names of all groups that are registered, sorted."""
        return sorted(self.registry.specs())

    # ----------------------------------------------------------------------------------------- questions

    def stats(self) -> Stats:
        """Counters of all groups, over all shards and client processes."""
        return sum(self.stats_by_group().values(), Stats())

    def stats_by_group(self) -> dict[str, Stats]:
        """Counters by the name of the group."""
        self._report_all()
        specs = self.registry.specs()
        self._drive(self._members.refresh())
        counts = self._drive(self._client.count())
        return {name: counts.get(spec.id, Stats()) for name, spec in sorted(specs.items())}

    def report(self) -> Report:
        """What the cache has saved, per memoized function and per group: hits, seconds, bytes.

        Waits for the cluster half a second at most; what came last is shown then, and when that was.
        """
        self._check_open()
        return Report(self.name, self._glance.look())

    def shards(self) -> list[ShardInfo]:
        """One record for each shard, also for those that do not answer."""
        self._check_open()
        shards: list[ShardInfo] = self._drive(self._client.describe())
        return shards

    # ------------------------------------------------------------------------------------------- members

    def spread(self, timeout: Duration = 60) -> list[ShardInfo]:
        """Has shards started on all nodes that should have them, not only where processes connect; all shards then.

        Also on nodes that were drained. Raises CacheUnavailable, with their names, for shards that do not come up.
        """
        self._check_open()
        self.network.ensure(everywhere=True, timeout_s=parse_seconds(timeout, "timeout"))
        return self.shards()

    def drain(self, node: str, *, timeout: Duration = 60) -> list[str]:
        """Has the shards of a node hand over their entries, and leave; their ids. The node gets no others.

        Args:
            node: Ray's id of it or how that begins, its address, or the id of a single shard.
            timeout: then they leave with what they still have.

        Raises:
            InvalidOption: no shard is there.
            CacheUnavailable: they have not left in time.
        """
        seconds = parse_seconds(timeout, "timeout")
        order = scaling.drain(node, self.shards(), seconds)
        self._ask(order)
        deadline = time.monotonic() + seconds + DIRECTORY_S
        while left := [id for id in order.ids if id in self._members.ring.members]:
            if time.monotonic() > deadline:
                raise CacheUnavailable(
                    f"{', '.join(left)} did not leave within {seconds + DIRECTORY_S:g} s; `raycache status` shows what "
                    f"they still hand over. Call it again, or with a longer timeout="
                )
            self._wake.wait(WATCH_S)
            self._check_open()
            self._drive(self._members.refresh())
        return list(order.ids)

    def scale(self, shards_per_node: int | None = None, *, weights: Mapping[str, float] | None = None) -> None:
        """Another number of shards on every node, or other shares of the keys: what moves is handed over.

        Comes back before all of that is done: `shards()` tells who hands over, and who has left.

        Args:
            shards_per_node: how many shards a node has from now on, 1 or more.
            weights: by node or shard as in `drain`: 1 is the usual share, 2 twice as much, 0 none.
        """
        if shards_per_node is not None:
            self._ask(scaling.scale(shards_per_node))
        if weights:
            self._ask(scaling.weigh(weights, self.shards()))
        self._drive(self._members.refresh())

    # ----------------------------------------------------------------------------------------- directory

    def _ask(self, message: Any) -> Any:
        """The directory's answer. While its process is restarted it is asked again, for a while."""
        self._check_open()
        deadline = time.monotonic() + DIRECTORY_S
        while True:
            left_s = max(deadline - time.monotonic(), 0.0)
            (answer,) = self.network.wait(Wait([self.network.ask_directory(message)], left_s))
            if answer is not None and not isinstance(answer, Failed):
                return answer
            if time.monotonic() > deadline:
                raise CacheUnavailable(
                    f"the directory of the cache {self.name!r} did not answer within {DIRECTORY_S:g} s "
                    f"({answer.reason if answer else 'silence'}); `raycache status` tells more"
                )
            time.sleep(0.1)

    def _check_open(self) -> None:
        if self.closed:
            raise CacheUnavailable(f"the cache {self.name!r} is closed in this process; connect again")

    # ----------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """This process lets go: counters are told, threads end, memory is let go. May be called again.

        A Ray that `connect` started ends with this process's use of it, and the cache with that Ray.
        """
        with self._lock:
            if self.closed or os.getpid() != self._process:  # a forked child ends nothing of its parent's
                return
            self.closed = True
        self._wake.set()
        self._reporter.join(DIRECTORY_S)
        self._let_go(f"the cache {self.name!r} is closed in this process; connect again")

    def _let_go(self, why: str) -> None:
        self.closed = True
        atexit.unregister(self.close)
        self._members.close(why)
        for group in self.registry:
            group.forget()
        self.network.close()

    def is_up(self) -> bool:
        """Whether this process may go on with it: neither closed here nor destroyed elsewhere. Asks Ray."""
        if not self.closed and self.network.ended:
            self.close()
        return not self.closed

    def destroy(self) -> None:
        """The cache itself ends, for all processes: no actor, no process, no file in shared memory is left.

        Raises CacheUnavailable where the directory does not answer. The cache ends then, too, within some seconds.
        """
        if not self._destroyed and os.getpid() == self._process:
            self._destroyed = True
            self.close()
            self.network.destroy()

    def _drive(self, steps: Steps[Any]) -> Any:
        return drive(steps, self.network.wait)

    def _report(self) -> None:
        """Tells the shards every second what this process did; sees to it that its node has a shard."""
        again = 0.0
        while not self.closed:
            self._wake.wait(REPORT_S)
            self._wake.clear()
            with contextlib.suppress(Exception):  # tried again in a second
                self._drive(self._members.probe())
            if not self._members.outage:  # else it would wait for every group in turn
                self._report_all()
            if not self._clock() < self._members.local.lease[0] and not self.closed and self._clock() >= again:
                hosted = True
                with contextlib.suppress(Exception):
                    hosted = self._see_to_a_shard()
                again = self._clock() + (0.0 if hosted else DIRECTORY_S)

    def _see_to_a_shard(self) -> bool:
        """This node has no shard that serves: it is being restarted, or is to be started, or the cache is no more.

        Whether it is to have one.
        """
        if self.network.ended:
            self._let_go(f"the cache {self.name!r} was destroyed; connect again to make a new one")
            return False
        hosted = self.network.ensure(timeout_s=HOST_S)
        self._drive(self._members.refresh())
        self._members.attach()
        return hosted

    def _report_all(self) -> None:
        for group in self.registry:
            with contextlib.suppress(Exception):  # told with the next report
                group.report()
