"""The members of the cache as one process knows them: the ring, the shared memory of this node, who is suspect.

When no shard can be reached there is an outage: nobody is asked any more but by a probe now and then, so that gets cost
what the getter costs and no time-outs on top.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from raycache.core import keys as core_keys
from raycache.core.messages import (
    Ack,
    Define,
    Describe,
    Failed,
    GetView,
    GroupSpec,
    NoLease,
    NoSuchGroup,
    ShardInfo,
    View,
)
from raycache.core.ring import Ring
from raycache.core.steps import Local, Network, Steps, Wait
from raycache.errors import CacheUnavailable, GroupConflict

_log = logging.getLogger(__name__)

#: A shard that has not answered a get after this time is not waited for; many keys may take longer. What another shard
#: is given then at least.
ANSWER_S, ANSWER_S_PER_KEY, LEAST_ANSWER_S = 3.0, 1e-4, 0.7
#: The same for questions that may take long, or that nobody else can answer.
PATIENCE_S = 10.0
#: How long a shard that could not be reached is not asked by gets: twice as long after every failure in a row.
LEAST_SUSPECT_S, MOST_SUSPECT_S = 1.0, 15.0
#: How often it is looked whether an outage is over.
PROBE_S = 1.0

_OUTAGE = (
    "raycache: no shard of the cache can be reached; until one answers, getters run in this process and nothing they "
    "return is kept (`raycache doctor` tells what is wrong)"
)
_UNOWNED = (
    "raycache: no node of the cache's placement has a shard (or all have the weight 0); getters run in this process "
    "and nothing they return is kept (`raycache status` shows the shards)"
)


class Members:
    """Ring and shared memory, as of the newest view that this process has seen."""

    def __init__(self, network: Network, clock: Callable[[], float]) -> None:
        self.network, self.clock = network, clock
        self.ring = Ring(-1, {})
        self.local: Local = network.attach(View(self.ring, {}))
        self._lock = threading.Lock()
        self._view = View(self.ring, {})
        self._suspects: dict[str, tuple[float, float]] = {}  # until when, and for how long the last time
        self._outage: float | None = None  # since when
        self._answered_here = 0  # keys, in this outage
        self._unowned = -2  # the epoch of which it was said that nobody owns keys in it
        self._closed = ""

    def close(self, why: str) -> None:
        """From now on every operation raises CacheUnavailable, which says why, and nothing local is used."""
        self._closed, self.local = why, Local()

    def check_open(self) -> None:
        if self._closed:
            raise CacheUnavailable(self._closed)

    def refresh(self, patience_s: float = PATIENCE_S) -> Steps[None]:
        """Asks the directory for the newest ring."""
        (view,) = yield Wait([self.network.ask_directory(GetView())], patience_s)
        self.see(view)

    def see(self, view: View | Failed | None) -> None:
        if not self._closed and isinstance(view, View) and view.ring.epoch > self.ring.epoch:
            local = self.network.attach(view)
            with self._lock:  # threads may see several views at a time
                if view.ring.epoch > self.ring.epoch:
                    self._view, self.ring, self.local = view, view.ring, local

    def attach(self) -> None:
        """Tries again to open this node's shared memory, which failed when the ring was new."""
        view = self._view
        local = self.network.attach(view)
        with self._lock:
            if view is self._view and not self._closed:
                self.local = local

    # ------------------------------------------------------------------------------------------ whom to ask

    def suspect(self, shard: str) -> None:
        """It did not answer."""
        now = self.clock()
        until, last_s = self._suspects.get(shard, (now, 0.0))
        if until <= now:
            wait_s = min(max(2 * last_s, LEAST_SUSPECT_S), MOST_SUSPECT_S)
            self._suspects[shard] = now + wait_s, wait_s

    def trust(self, shard: str) -> None:
        """It did."""
        if self._suspects:
            self._suspects.pop(shard, None)

    def suspected(self, shard: str) -> bool:
        return shard in self._suspects and self._suspects[shard][0] > self.clock()

    def target(self, key: bytes) -> tuple[str | None, bool]:
        """The shard to ask for a key, and whether it is only a stand-in; None where all are suspect."""
        if self._outage is not None:
            return None, False
        owner = self.ring.owner(key)
        if owner not in self._suspects:
            return owner, False
        for rank, shard in enumerate(self.ring.owners(key)):
            if not self.suspected(shard):
                return shard, rank > 0
        return None, False

    def targets(self, keys: list[bytes]) -> dict[tuple[str | None, bool], list[bytes]]:
        """The same for many keys: whom to ask for which."""
        targets: dict[tuple[str | None, bool], list[bytes]] = {}
        if self._outage is None and not self._suspects:
            owned = self.ring.owners_at([point for point, _ in map(core_keys.hashed, keys)])
            return {(owner, False): [keys[place] for place in places] for owner, places in owned.items()}
        for key in keys:
            targets.setdefault(self.target(key), []).append(key)
        return targets

    # ---------------------------------------------------------------------------------------------- outages

    @property
    def outage(self) -> bool:
        """Whether no shard can be reached, as far as is known."""
        return self._outage is not None

    def answered_here(self, keys: int) -> None:
        """No shard could be reached for these keys, or there is none to own them."""
        now, weights = self.clock(), self.ring.members.values()
        with self._lock:
            self._answered_here += keys
            unowned = bool(weights) and not any(weights)
            said = self._unowned == self.ring.epoch if unowned else self._outage is not None or bool(self._closed)
            if unowned:
                self._unowned = self.ring.epoch
            elif not said:
                self._outage, self._answered_here = now, keys
        if not said:
            _log.warning(_UNOWNED if unowned else _OUTAGE)

    def probe(self) -> Steps[None]:
        """Looks whether an outage is over. Called every PROBE_S, so that no get has to find out."""
        if self._outage is None or self._closed:
            return
        yield from self.refresh(PROBE_S)
        asked = list(self.ring.members)
        answers = yield Wait([self.network.ask(shard, Describe()) for shard in asked], PROBE_S)
        serving = [answer.id for answer in answers if isinstance(answer, ShardInfo) and answer.lease_s > 0]
        up = [id for id in serving if self.ring.members.get(id)]  # others are there for their nodes' clients alone
        if up and self._outage is not None:
            for shard in up:
                self.trust(shard)
            lasted_s, self._outage = self.clock() - self._outage, None
            _log.warning(
                "raycache: shards can be reached again after %.1f s; getters ran here for %d keys meanwhile",
                lasted_s,
                self._answered_here,
            )

    def define(
        self, spec: GroupSpec, shard: str, answer: NoSuchGroup, patience_s: float = PATIENCE_S
    ) -> Steps[Ack | NoLease | Failed | None]:
        """Teaches a shard a group that it does not know; its answer."""
        told: Any = answer
        if not answer.replaced:
            (told,) = yield Wait([self.network.ask(shard, Define(spec))], patience_s)
        if isinstance(told, NoSuchGroup):
            raise GroupConflict(
                f"the group {spec.name!r} was registered anew (replace=True) with another definition; this handle is "
                f"of the old one. Get the new one from cache.group({spec.name!r})"
            )
        return told  # type: ignore[no-any-return]
