"""The members of the cache as one process knows them: the ring, the shared memory of this node, who is suspect."""

from __future__ import annotations

from collections.abc import Callable

from raycache.core.messages import Define, Failed, GetView, GroupSpec, NoSuchGroup, View
from raycache.core.ring import Ring
from raycache.core.steps import Local, Network, Steps, Wait
from raycache.errors import CacheUnavailable, GroupConflict

#: A shard that has not answered a message after this time is treated like one that cannot be reached.
PATIENCE_S = 10.0
#: How long a shard that could not be reached is not asked by gets.
SUSPECT_S = 1.0


class Members:
    """Ring and shared memory, as of the newest view that this process has seen."""

    def __init__(self, network: Network, clock: Callable[[], float]) -> None:
        self.network, self.clock = network, clock
        self.ring = Ring(-1, {})
        self.local: Local = network.attach(View(self.ring, {}))
        self._suspects: dict[str, float] = {}
        self._closed = ""

    def close(self, why: str) -> None:
        """From now on every operation raises CacheUnavailable, which says why, and nothing local is used."""
        self._closed, self.local = why, Local()

    def check_open(self) -> None:
        if self._closed:
            raise CacheUnavailable(self._closed)

    def refresh(self) -> Steps[None]:
        """Asks the directory for the newest ring."""
        (view,) = yield Wait([self.network.ask_directory(GetView())], PATIENCE_S)
        self.see(view)

    def see(self, view: View | Failed | None) -> None:
        if not self._closed and isinstance(view, View) and view.ring.epoch > self.ring.epoch:
            self.ring, self.local = view.ring, self.network.attach(view)

    def suspect(self, shard: str) -> None:
        self._suspects[shard] = self.clock() + SUSPECT_S

    def target(self, key: bytes) -> tuple[str | None, bool]:
        """The shard to ask for a key, and whether it is only a stand-in; None where all are suspect."""
        owner = self.ring.owner(key)
        if owner not in self._suspects:
            return owner, False
        now = self.clock()
        for rank, shard in enumerate(self.ring.owners(key)):
            if self._suspects.get(shard, 0.0) <= now:
                self._suspects.pop(shard, None)
                return shard, rank > 0
        return None, False

    def define(self, spec: GroupSpec, shard: str, answer: NoSuchGroup) -> Steps[None]:
        """Teaches a shard a group that it does not know."""
        if not answer.replaced:
            (answer,) = yield Wait([self.network.ask(shard, Define(spec))], PATIENCE_S)
        if isinstance(answer, NoSuchGroup):
            raise GroupConflict(
                f"the group {spec.name!r} was registered anew (replace=True) with another definition; this handle is "
                f"of the old one. Get the new one from cache.group({spec.name!r})"
            )
