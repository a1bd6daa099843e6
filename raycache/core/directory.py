"""The directory: who the members are, at which epoch, and which groups there are. No get passes through it.

A plain class: what crosses a network, and the waiting for it, belongs to whoever runs it. Epochs only grow. Whenever
`changes` has, `state` must be saved before an answer goes out: a directory that is made again of it goes on as before.
One that finds nothing saved is silent for a lease, and then has no members: everybody joins anew, empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from raycache.core.membership import Membership
from raycache.core.messages import (
    Drain,
    Fence,
    Fenced,
    GetGroups,
    GetOptions,
    GetView,
    Grant,
    GroupSpec,
    Hello,
    Leave,
    Refused,
    Register,
    Scale,
    Standing,
    Suspect,
    View,
    Weigh,
)
from raycache.core.wellformed import check, unknown
from raycache.options import CacheOptions, GroupOptions

#: What cannot be answered before it is known who the members are.
_OF_MEMBERS = (GetView, Leave, Drain, Weigh, Suspect)


class Directory:
    """Members and groups of one cache."""

    def __init__(
        self, options: CacheOptions, *, clock: Callable[[], float], tickets: Callable[[], int], lost: int = 0
    ) -> None:
        """
        Args:
            options: of the cache.
            clock: monotonic; of no other process.
            tickets: gives numbers that were never given before, and are not 0.
            lost: what the directory before this one knew is lost, and its epochs were all less than this.
        """
        self.options = options
        self._clock, self._tickets = clock, tickets
        self.members = Membership(clock, tickets, options.lease_s)
        self._groups: dict[str, GroupSpec] = {}
        # Of a lost directory it is not known which ids it gave.
        self._last_group = tickets() % (1 << 31) if lost else 0
        self._changes = 0
        self._silent_until = clock() + options.lease_s if lost else 0.0
        self._first = lost  # epoch after the silence; also greater than those that shards tell of meanwhile

    @classmethod
    def restored(cls, state: Mapping[str, Any], *, clock: Callable[[], float], tickets: Callable[[], int]) -> Directory:
        """The directory that had this state, in another process."""
        directory = cls(state["options"], clock=clock, tickets=tickets, lost=state["lost"])
        directory._groups, directory._last_group = state["groups"], state["last_group"]
        directory.members.restore(state["members"])
        return directory

    def state(self) -> dict[str, Any]:
        """All that must be kept for `restored`."""
        return {
            "options": self.options,
            "lost": self._first if self._silent_until else 0,
            "groups": dict(self._groups),
            "last_group": self._last_group,
            "members": self.members.state(),
        }

    @property
    def changes(self) -> int:
        """How often anything has changed that must be kept."""
        return self._changes + self.members.changes

    @property
    def view(self) -> View:
        return self.members.view

    def handle(self, message: Any) -> Any:
        """The answer to a message. Raises Malformed or VersionMismatch for what is none; nothing of it was done."""
        check(message)
        handlers: dict[type, Callable[[Any], Any]] = {
            GetView: lambda _: self.view,
            GetOptions: lambda _: self.options,
            Hello: self._hello,
            Fence: self._fence,
            Leave: self.members.leave,
            Drain: lambda ask: self.members.drain(ask.ids, ask.nodes, ask.timeout_s),
            Weigh: lambda ask: self.members.weigh(ask.weights),
            Scale: self._scale,
            Suspect: lambda _: self.view,  # whether members are dead, only who runs this can find out
            Register: self._register,
            GetGroups: lambda _: dict(self._groups),
        }
        handler = handlers.get(type(message)) or unknown(message)
        if isinstance(message, _OF_MEMBERS) and self._silent:
            return None  # it knows of none yet
        return handler(message)

    def tick(self) -> None:
        """Gives up members that were not heard of, and lets new ones in: a few times a second."""
        if not self._silent:
            self.members.tick()

    @property
    def _silent(self) -> bool:
        """Whether leases may still be valid of which this process knows nothing."""
        if self._silent_until and self._clock() > self._silent_until:
            self._silent_until = 0.0
            self._changes += self.members.changes
            self.members = Membership(self._clock, self._tickets, self.options.lease_s, self._first)
            self._changes += 1
        return self._silent_until > 0

    def _hello(self, ask: Hello) -> Grant | None:
        if self._silent:
            self._first = max(self._first, ask.epoch + 1)
            return None
        grant = self.members.hello(ask)
        if grant is not None and ask.fresh and grant.standing is not Standing.COLD:
            return replace(grant, groups=tuple(self._groups.values()))
        return grant

    def _fence(self, ask: Fence) -> Fenced:
        return Fenced(False, self.options.lease_s / 10, None) if self._silent else self.members.fence(ask)

    def _scale(self, ask: Scale) -> CacheOptions:
        self.options = replace(self.options, shards_per_node=ask.shards_per_node)
        self._changes += 1
        return self.options

    def _register(self, ask: Register) -> GroupSpec | Refused:
        known = self._groups.get(ask.spec.name)
        if known is not None and ask.spec.pool and known.pool:
            return self._resize(known, ask.spec)
        if known is not None and not ask.replace and not ask.spec.pool:
            different = _differences(ask.spec, known)
            if not different:
                return known
            return Refused(
                "GroupConflict",
                f"the group {known.name!r} is registered already, and differs: {'; '.join(different)}. Use another "
                f"name, the same definition, or replace=True to put this one in its place and drop its entries",
            )
        if (refused := self._refused(ask.spec)) is not None:
            return refused
        self._last_group += 1
        self._changes += 1
        self._groups[ask.spec.name] = spec = replace(
            ask.spec, id=self._last_group, options=self._pool_options(ask.spec)
        )
        return spec

    def _pool_options(self, spec: GroupSpec) -> GroupOptions:
        """Those of the others in its pool, if there are any."""
        shared = (group for group in self._groups.values() if group.pool and group.pool == spec.pool)
        return next((group.options for group in shared if group.name != spec.name), spec.options)

    def _resize(self, known: GroupSpec, new: GroupSpec) -> GroupSpec | Refused:
        """A memoized function that is here already: its last definition says in which pool, and how large its own is.

        It stays the same group, so that no handle of it fails.
        """
        shared = known.pool == new.pool != known.name  # whose capacity is not asked for
        options = known.options if shared else self._pool_options(new)
        if (known.pool, known.options) == (new.pool, options):
            return known
        if (refused := self._refused(new)) is not None:
            return refused
        self._changes += 1
        self._groups[known.name] = resized = replace(known, options=options, pool=new.pool)
        return resized

    def _refused(self, spec: GroupSpec) -> Refused | None:
        """Word that a group does not fit, with the numbers. A pool counts once, however many share it."""
        others = [group for group in self._groups.values() if group.name != spec.name]
        if spec.pool and any(group.pool == spec.pool for group in others):
            return None
        taken = {(group.pool, group.pool or group.name): group.options.capacity_bytes for group in others}
        wanted, capacity = spec.options.capacity_bytes, self.options.capacity_bytes
        left = capacity - sum(taken.values())
        if wanted <= left:
            return None
        listed = ", ".join(f"{name} {size:,}" for (_, name), size in sorted(taken.items())) or "none"
        return Refused(
            "CapacityError",
            f"the group {spec.name!r} asks for {wanted:,} bytes per shard, and of a shard's {capacity:,} bytes "
            f"{left:,} are left (other groups: {listed}). Give it a smaller capacity=, or the cache a larger one: "
            f"raycache.connect(capacity=...) when it is first made",
        )


def _differences(new: GroupSpec, known: GroupSpec) -> list[str]:
    differences = new.options.differences(known.options)
    if new.getter_name != known.getter_name:
        differences.append(f"getter: {new.getter_name or None} here, {known.getter_name or None} there")
    elif new.getter_code != known.getter_code:
        differences.append(f"getter: the code of {new.getter_name} is not the same")
    if new.batch != known.batch:
        differences.append(f"getter: {_kind(new)} here, {_kind(known)} there")
    return differences


def _kind(spec: GroupSpec) -> str:
    return "a batch getter" if spec.batch else "a getter of one key"
