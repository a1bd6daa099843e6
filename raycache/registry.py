"""The registry: the groups of one cache, as its directory knows them and as this process has them open.

A group is open once in a process, however often it is asked for: what is near is found by all who have it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from raycache import errors
from raycache.backend import Backend
from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.messages import GetGroups, GetOptions, GroupSpec, Refused, Register
from raycache.core.steps import drive
from raycache.errors import UnknownGroup
from raycache.group import Group
from raycache.options import GroupOptions, Policy
from raycache.report import MEMO_PREFIX

#: The pool of all memoized functions that do not ask for a capacity of their own.
MEMO_POOL = "memo"


class Registry:
    """Iterates over the groups that are open here."""

    def __init__(
        self,
        name: str,
        client: Client,
        network: Backend,
        codec: Codec,
        clock: Callable[[], float],
        ask: Callable[[Any], Any],
        elsewhere: Callable[[GroupSpec], tuple[Any, ...]],
    ) -> None:
        """`ask`: gives the directory's answer; `elsewhere`: how a group is pickled."""
        self._name, self._client, self._network, self._codec, self._clock = name, client, network, codec, clock
        self._ask, self._elsewhere = ask, elsewhere
        self._groups: dict[int, Group] = {}
        self._memos: dict[str, tuple[tuple[int | None, str], Group]] = {}  # with the capacity and policy last asked for
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def __len__(self) -> int:
        return len(self._groups)

    def specs(self) -> dict[str, GroupSpec]:
        """All groups that are registered, by name."""
        specs: dict[str, GroupSpec] = self._ask(GetGroups())
        return specs

    def open_all(self) -> dict[str, Group]:
        """All groups that are registered, by name."""
        return {name: self._open(spec) for name, spec in self.specs().items()}

    def join(self, name: str) -> Group:
        """A group that is registered; raises UnknownGroup."""
        specs = self.specs()
        if name not in specs:
            known = ", ".join(map(repr, sorted(specs))) or "none"
            raise UnknownGroup(
                f"no group {name!r} in the cache {self._name!r} (groups: {known}); register it with "
                f"cache.group({name!r}, getter=...)"
            )
        return self._open(specs[name])

    def register(self, spec: GroupSpec, getter: Callable[..., Any] | None = None, *, replace: bool = False) -> Group:
        """Raises what the directory refuses the group with."""
        answer = self._ask(Register(spec, replace))
        if isinstance(answer, Refused):
            raise getattr(errors, answer.error)(answer.message)
        if getter is not None:
            self._network.registered(answer, getter)
        if replace:
            drive(self._client.replace(answer), self._network.wait)
        return self._open(answer)

    def memo(self, name: str, capacity_bytes: int | None, policy: Policy) -> Group:
        """As `Cache.memo_group`."""
        last, group = self._memos.get(name, (None, None))
        if group is not None and last == (capacity_bytes, policy):
            return group
        full = f"{MEMO_PREFIX}{name}"
        before = self.specs().get(full)
        room = self._memo_capacity() if capacity_bytes is None else capacity_bytes
        options = GroupOptions(capacity_bytes=room, policy=policy)
        group = self.register(GroupSpec(0, full, options, pool=MEMO_POOL if capacity_bytes is None else full))
        if before is not None and before != group.reader.spec:  # the shards go on with the old pool or capacity
            drive(self._client.resize(group.reader.spec), self._network.wait)
        with self._lock:
            self._memos[name] = (capacity_bytes, policy), group
        return group

    def _memo_capacity(self) -> int:
        """Of the pool, if it is made now: half of a shard, or what other groups have left of it."""
        capacity: int = self._ask(GetOptions()).capacity_bytes
        taken = {spec.pool or spec.name: spec.options.capacity_bytes for spec in self.specs().values()}
        return max(min(capacity // 2, capacity - sum(taken.values())), 1)

    def _open(self, spec: GroupSpec) -> Group:
        with self._lock:
            if spec.id not in self._groups:
                self._groups[spec.id] = Group(
                    spec, self._client, self._network, self._codec, self._clock, self._elsewhere
                )
            elif self._groups[spec.id].reader.spec != spec:
                self._groups[spec.id].redefine(spec)
            return self._groups[spec.id]
