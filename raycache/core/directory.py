"""The directory: who the members are, at which epoch, and which groups there are. No get passes through it.

A plain class: what crosses a network, and the waiting for it, belongs to whoever runs it. Epochs only grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from raycache.core.messages import (
    GetGroups,
    GetOptions,
    GetView,
    GroupSpec,
    Join,
    Leave,
    Place,
    Refused,
    Register,
    Suspect,
    View,
)
from raycache.core.ring import Ring
from raycache.options import CacheOptions, GroupOptions


class Directory:
    """Members and groups of one cache."""

    def __init__(self, options: CacheOptions) -> None:
        self.options = options
        self._places: dict[str, Place] = {}
        self._groups: dict[str, GroupSpec] = {}
        self._last_group = 0
        self.changes = 0  # how often anything has changed that is worth keeping
        self.view = View(Ring(0, {}), {})

    def handle(self, message: Any) -> Any:
        """The answer to a message."""
        handlers: dict[type, Callable[[Any], Any]] = {
            GetView: lambda _: self.view,
            GetOptions: lambda _: self.options,
            Join: self._join,
            Leave: self._leave,
            Suspect: lambda _: self.view,  # whether members are dead, only who runs this can find out
            Register: self._register,
            GetGroups: lambda _: dict(self._groups),
        }
        return handlers[type(message)](message)

    def _join(self, ask: Join) -> View:
        """A new member, or one that was restarted: its place on the ring is the same then, and so is the epoch."""
        if self._places.get(ask.id) != ask.place:
            self._places[ask.id] = ask.place
            self._publish(self.view.ring.members | {ask.id: ask.weight})
        return self.view

    def _leave(self, ask: Leave) -> View:
        left = {id: weight for id, weight in self.view.ring.members.items() if id not in ask.ids}
        if len(left) < len(self.view.ring.members):
            for id in ask.ids:
                self._places.pop(id, None)
            self._publish(left)
        return self.view

    def _publish(self, members: dict[str, float]) -> None:
        self.view = View(Ring(self.view.ring.epoch + 1, members), dict(self._places))
        self.changes += 1

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
        self.changes += 1
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
        if (known.pool, known.options.capacity_bytes) == (new.pool, options.capacity_bytes):
            return known
        if (refused := self._refused(new)) is not None:
            return refused
        self.changes += 1
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
