"""A backend: where a cache runs, and all that differs between a cluster and a cache in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from raycache.core.calls import Packed
from raycache.core.messages import GroupSpec
from raycache.core.shipping import LookedUp
from raycache.core.steps import Network, Wait


class Backend(Network, Protocol):
    """A network, what waits for its futures, and what else a cache wants of it."""

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
