"""`connect` and `Cache`: where everything is put together."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import re
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from raycache import errors
from raycache.core.calls import Packed
from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.getters import identify
from raycache.core.members import Members
from raycache.core.memory import usual_capacity
from raycache.core.messages import (
    Drain,
    Failed,
    GetGroups,
    GetOptions,
    GroupSpec,
    Refused,
    Register,
    Scale,
    ShardInfo,
    Weigh,
)
from raycache.core.ring import MOST_WEIGHT
from raycache.core.shipping import LookedUp
from raycache.core.stats import Stats
from raycache.core.steps import Network, Steps, Wait, drive
from raycache.errors import CacheUnavailable, InvalidOption, UnknownGroup
from raycache.glance import Glance
from raycache.group import Group
from raycache.options import (
    HOT,
    LEASE_S,
    MEMO_POLICY,
    CacheOptions,
    Duration,
    GroupOptions,
    Placement,
    Policy,
    Size,
    group_options,
    parse_seconds,
    parse_size,
)
from raycache.panel import Panel
from raycache.report import MEMO_PREFIX, Report, cache_panel

_UNSET: Any = type("_Unset", (), {"__repr__": lambda self: "not given"})()
#: The pool of all memoized functions that do not ask for a capacity of their own.
MEMO_POOL = "memo"
#: How often a process tells the shards what it did.
REPORT_S = 1.0
#: How long the directory may take to answer, its restart included.
DIRECTORY_S = 10.0
#: How often it is looked whether shards have left, and the most that a node can have.
WATCH_S, MOST_SHARDS = 0.2, 64
#: How long the reporting thread waits for a shard on this node to serve, before it looks after other things.
HOST_S = 3.0


class Backend(Network, Protocol):
    """Where a cache runs: a network, what waits for its futures, and what else differs between a cluster and inline."""

    where: str  # for people

    @property
    def ended(self) -> bool:
        """Whether the cache was destroyed by another process."""
        ...

    def wait(self, want: Wait) -> list[Any]: ...

    def await_(self, want: Wait) -> Awaitable[list[Any]]: ...

    def packed(self, spec: GroupSpec, getter: Callable[..., Any], looked_up: LookedUp | None = None) -> GroupSpec:
        """The spec with the getter in it, as it travels; raises UnpicklableGetter.

        `looked_up`: of a memoized function, what it reads of modules.
        """
        ...

    def packed_arguments(self, value: Any, function: str) -> Packed:
        """What a memoized function is called with, as it travels; raises UncacheableValue."""
        ...

    def registered(self, spec: GroupSpec, getter: Callable[..., Any]) -> None:
        """The directory has given the spec an id."""
        ...

    def ensure(self, *, everywhere: bool = False, timeout_s: float = ...) -> bool:
        """Has this node's shards, or those of all nodes, started where they are missing, and waits until they serve.

        Whether this node is to have any.
        """
        ...

    def close(self) -> None:
        """This process lets go."""
        ...

    def destroy(self) -> None:
        """The cache ends; after `close`."""
        ...


def connect(
    name: str = "default",
    *,
    address: str | None = None,
    capacity: Size | None = None,
    shards_per_node: int | None = None,
    max_loads: int | None = None,
    lease: Duration | None = None,
    placement: Placement | None = None,
    page_server: bool | None = None,
    hot: float | None = None,
    clock: Callable[[], float] | None = None,
) -> Cache:
    """Joins the cache of this name in the Ray cluster, or makes it.

    Args:
        name: there may be several caches in one cluster.
        address: of the Ray to join, as "host:port" or "auto". Without it the Ray that this process is in, else
            RAY_ADDRESS, else a local one is started, which ends with this process. "inline": a cache of its own in
            this process, without Ray.
        capacity: bytes per shard, all groups together, like "2 GiB"; by default 1/8 of the node's shared memory.
        shards_per_node: how many shards a node has; 1 by default.
        max_loads: loader tasks that a shard has running at once; by default two per core of its node, 4 to 64.
        lease: how long a shard serves after it was last in touch with the directory, 3 seconds by default; so long a
            removal may have to wait for a shard that hangs. Renewed three times as often.
        placement: the nodes whose shards keep entries: "all", "workers" (all but the head), or labels of nodes, like
            {"cache": "yes"}. The head always has a shard, one that keeps nothing if need be, so that processes there
            have near caches; on other nodes that are not among them processes ask the shards for everything.
        page_server: whether shards listen on a port of their node for gets from other nodes (True by default); who
            connects there must have a secret that shards give by actor call alone. Without it such gets are actor
            calls, which take ten times as long.
        hot: the share of a shard's capacity, from 0 to 1, that copies may take of what other nodes' shards have and its
            own node's processes keep asking for; 1/8 by default. They give way to entries; with 0 there are none.
        clock: of an inline cache alone: what tells it the seconds, for tests of expiry.

    All but the first two and the last count for whoever makes the cache; who joins it later takes it as it is.

    Raises:
        CacheUnavailable: no Ray at the address, or the cache does not come up.
        VersionMismatch: the cache was started by another version of raycache.
        InvalidOption: an option that cannot be understood.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]{1,64}", name):
        raise InvalidOption(f"name={name!r}: a cache's name has 1 to 64 letters, digits, '_', '-' and '.'")

    def options() -> CacheOptions:
        return CacheOptions(
            capacity_bytes=usual_capacity() if capacity is None else parse_size(capacity, "capacity"),
            shards_per_node=1 if shards_per_node is None else shards_per_node,
            max_loads=max_loads,
            lease_s=LEASE_S if lease is None else parse_seconds(lease, "lease"),
            placement="all" if placement is None else placement,
            page_server=True if page_server is None else page_server,
            hot=HOT if hot is None else hot,
        )

    if address == "inline":
        from raycache.inline import InlineNetwork  # it has all of a shard, which others need not import

        clock = clock or time.monotonic
        cache = Cache(name, InlineNetwork(name, options(), Codec(), clock), Codec(), clock, made=True)
        _inline[id(cache)] = cache
        return cache
    if clock is not None:
        raise InvalidOption("clock= is for address='inline' alone; processes of a cluster share the machine's clock")
    return _on_ray(name, address, options())


#: Inline caches of this process, by a number that says which one was pickled.
_inline: weakref.WeakValueDictionary[int, Cache] = weakref.WeakValueDictionary()
#: Caches that this process has joined: shared memory may be opened only once in a process.
_joined: dict[tuple[str, str, str], Cache] = {}
_joining = threading.RLock()


def _on_ray(name: str, address: str | None, options: CacheOptions | None) -> Cache:
    """The cache in a Ray cluster. Without options Ray and the cache must be up, and no shard is started for this."""
    import ray

    from raycache.cluster import deploy, loader, session
    from raycache.cluster.router import RayNetwork

    with _joining:
        started = session.join(address, start=options is not None)
        context = ray.get_runtime_context()
        key = (context.gcs_address, context.get_job_id(), name)
        if (cache := _joined.get(key)) is not None and cache.is_up():
            return cache
        directory, made = deploy.directory(name, options)
        network = RayNetwork(name, directory, hosts=options is not None, ends_ray=started)
        network.ensure()
        cache = Cache(name, network, loader.codec(), time.monotonic, made=made)
        _joined[key] = cache
        return cache


def join(name: str = "default", *, address: str | None = None) -> Cache:
    """Joins a cache that is up, in a Ray that is running, to look at it: starts no Ray, no cache and no shard.

    Raises CacheUnavailable where there is none.
    """
    return _on_ray(name, address, None)


def _inline_again(name: str, process: int, number: int) -> Cache:
    """An inline cache that was pickled, in the process that made it."""
    if process != os.getpid() or number not in _inline:
        raise CacheUnavailable(
            f"the inline cache {name!r} belongs to the process that made it; connect to a Ray instead of "
            f"address='inline' to use it elsewhere"
        )
    return _inline[number]


def _reopen(cache: str, spec: GroupSpec) -> Group:
    """A group that was pickled, in the process where it is unpickled."""
    return connect(cache)._register(spec)


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
        *,
        made: bool,
    ) -> None:
        self.name = name
        self.closed = False
        self.network, self.codec, self._clock = network, codec, clock
        self._made, self._process, self._destroyed = made, os.getpid(), False
        self._members = Members(network, clock)
        self._client = Client(self._members)
        self._groups: dict[int, Group] = {}
        self._memos: dict[str, tuple[tuple[int | None, str], Group]] = {}  # with the capacity and policy last asked for
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
        return f"<raycache.Cache {self.name!r} {self.network.where}, {state}, {len(self._groups)} groups here>"

    def _repr_html_(self) -> str:
        if self.closed:
            return Panel(f"cache {self.name!r} {self.network.where}", (("state", "closed in this process"),)).html()
        return cache_panel(self.network.where, len(self._members.ring.members), self.report()).html()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.network.where == "inline":
            return _inline_again, (self.name, os.getpid(), id(self))
        return connect, (self.name,)

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
            return self._join_group(name)
        load = batch_getter if batch_getter is not None else None if getter is _UNSET else getter
        if load is not None and not callable(load):
            raise InvalidOption(f"getter={load!r:.100} is not callable; give a function that takes a key")
        options = group_options(self._ask(GetOptions()).capacity_bytes, **given)
        spec = GroupSpec(id=0, name=name, options=options, batch=batch_getter is not None)
        if load is None:
            return self._register(spec, replace_=replace)
        name_, code = identify(load)
        spec = self.network.packed(dataclasses.replace(spec, getter_name=name_, getter_code=code), load)
        return self._register(spec, load, replace_=replace)

    def _join_group(self, name: str) -> Group:
        groups = self._ask(GetGroups())
        if name not in groups:
            known = ", ".join(map(repr, sorted(groups))) or "none"
            raise UnknownGroup(
                f"no group {name!r} in the cache {self.name!r} (groups: {known}); register it with "
                f"cache.group({name!r}, getter=...)"
            )
        return self._open(groups[name])

    def _register(self, spec: GroupSpec, getter: Callable[..., Any] | None = None, *, replace_: bool = False) -> Group:
        answer = self._ask(Register(spec, replace_))
        if isinstance(answer, Refused):
            raise getattr(errors, answer.error)(answer.message)
        if getter is not None:
            self.network.registered(answer, getter)
        if replace_:
            self._drive(self._client.replace(answer))
        return self._open(answer)

    def memo_group(self, name: str, capacity_bytes: int | None, policy: Policy = MEMO_POLICY) -> Group:
        """The group of a memoized function: in the pool of them all, or with a capacity of its own.

        Raises CapacityError where that does not fit.
        """
        last, group = self._memos.get(name, (None, None))
        if group is not None and last == (capacity_bytes, policy):
            return group
        full = f"{MEMO_PREFIX}{name}"
        before = self._ask(GetGroups()).get(full)
        room = self._memo_capacity() if capacity_bytes is None else capacity_bytes
        options = GroupOptions(capacity_bytes=room, policy=policy)
        group = self._register(GroupSpec(0, full, options, pool=MEMO_POOL if capacity_bytes is None else full))
        if before is not None and before != group.reader.spec:  # the shards go on with the old pool or capacity
            self._drive(self._client.resize(group.reader.spec))
        with self._lock:
            self._memos[name] = (capacity_bytes, policy), group
        return group

    def _memo_capacity(self) -> int:
        """Of the pool, if it is made now: half of a shard, or what other groups have left of it."""
        capacity: int = self._ask(GetOptions()).capacity_bytes
        groups: dict[str, GroupSpec] = self._ask(GetGroups())
        taken = {spec.pool or spec.name: spec.options.capacity_bytes for spec in groups.values()}
        return max(min(capacity // 2, capacity - sum(taken.values())), 1)

    def _open(self, spec: GroupSpec) -> Group:
        with self._lock:
            if spec.id not in self._groups:
                self._groups[spec.id] = Group(
                    spec, self._client, self.network, self.codec, self._clock, self._group_elsewhere
                )
            elif self._groups[spec.id].reader.spec != spec:
                self._groups[spec.id].redefine(spec)
            return self._groups[spec.id]

    def _group_elsewhere(self, spec: GroupSpec) -> tuple[Any, ...]:
        """How a group is pickled."""
        if self.network.where == "inline":
            raise TypeError(
                f"the group {spec.name!r} is of an inline cache, which other processes cannot reach; connect to a Ray "
                f"instead of address='inline' to use it there"
            )
        return _reopen, (self.name, spec)

    def groups(self) -> list[str]:
        """The names of all groups that are registered, sorted."""
        return sorted(self._ask(GetGroups()))

    # ----------------------------------------------------------------------------------------- questions

    def stats(self) -> Stats:
        """Counters of all groups, over all shards and client processes."""
        return sum(self.stats_by_group().values(), Stats())

    def stats_by_group(self) -> dict[str, Stats]:
        """Counters by the name of the group."""
        self._report_all()
        specs: dict[str, GroupSpec] = self._ask(GetGroups())
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
        shards = self._shards_of(node)
        ids = tuple(shard.id for shard in shards)
        if not any(shard.weight for shard in self.shards() if shard.id not in ids):
            raise InvalidOption(
                f"{node!r}: no other shard would be left to take the entries; `raycache down` ends the cache"
            )
        barred = tuple({node if node == shard.id else shard.node for shard in shards})
        self._ask(Drain(ids, barred, seconds))
        deadline = time.monotonic() + seconds + DIRECTORY_S
        while left := [id for id in ids if id in self._members.ring.members]:
            if time.monotonic() > deadline:
                raise CacheUnavailable(
                    f"{', '.join(left)} did not leave within {seconds + DIRECTORY_S:g} s; `raycache status` shows what "
                    f"they still hand over. Call it again, or with a longer timeout="
                )
            self._wake.wait(WATCH_S)
            self._check_open()
            self._drive(self._members.refresh())
        return list(ids)

    def scale(self, shards_per_node: int | None = None, *, weights: Mapping[str, float] | None = None) -> None:
        """Another number of shards on every node, or other shares of the keys: what moves is handed over.

        Comes back before all of that is done: `shards()` tells who hands over, and who has left.

        Args:
            shards_per_node: how many shards a node has from now on, 1 or more.
            weights: by node or shard as in `drain`: 1 is the usual share, 2 twice as much, 0 none.
        """
        if shards_per_node is not None:
            whole = isinstance(shards_per_node, int) and not isinstance(shards_per_node, bool)
            if not whole or not 1 <= shards_per_node <= MOST_SHARDS:
                raise InvalidOption(
                    f"shards_per_node={shards_per_node!r}: a node has a whole number of shards, 1 to {MOST_SHARDS}"
                )
            self._ask(Scale(shards_per_node))
        if weights:
            for node, weight in weights.items():
                if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= MOST_WEIGHT:
                    raise InvalidOption(
                        f"weights: {weight!r} for {node!r}; a weight is a number from 0 to {MOST_WEIGHT}"
                    )
            self._ask(Weigh({shard.id: float(w) for node, w in weights.items() for shard in self._shards_of(node)}))
        self._drive(self._members.refresh())

    def _shards_of(self, node: str) -> list[ShardInfo]:
        """The shards of a node, or the one of that name."""
        shards = self.shards()
        found = [
            shard for shard in shards if node in (shard.id, shard.address) or (node and shard.node.startswith(node))
        ]
        if not found:
            known = ", ".join(f"{shard.id} on {shard.address}" for shard in shards) or "there are none"
            raise InvalidOption(f"no shard is on the node {node!r}, nor has that name; shards: {known}")
        if len(nodes := {shard.node for shard in found}) > 1:
            raise InvalidOption(f"{node!r} fits several nodes: {', '.join(sorted(nodes))}; name one of them")
        return found

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
        for group in list(self._groups.values()):
            group.forget()
        self.network.close()

    def is_up(self) -> bool:
        """Whether this process may go on with it: neither closed here nor destroyed elsewhere. Asks Ray."""
        if not self.closed and self.network.ended:
            self.close()
        return not self.closed

    def destroy(self) -> None:
        """The cache itself ends, for all processes: no actor, no process, no file in shared memory is left."""
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
        for group in list(self._groups.values()):
            with contextlib.suppress(Exception):  # told with the next report
                group.report()
