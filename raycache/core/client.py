"""The client's operations on the cache: gets, the two rounds of an invalidation, questions and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from raycache.core.codec import Blob
from raycache.core.fetch import Calls, Claimed, Fetch, Result
from raycache.core.members import PATIENCE_S, Members
from raycache.core.messages import (
    Ack,
    Answers,
    Bump,
    Count,
    Define,
    Delete,
    Describe,
    Explain,
    Explained,
    Failed,
    Filled,
    Get,
    GetView,
    GroupSpec,
    Keys,
    Moved,
    NoSuchGroup,
    Renew,
    Report,
    Set,
    ShardInfo,
    Suspect,
    View,
)
from raycache.core.ring import Ring
from raycache.core.stats import Stats
from raycache.core.steps import Steps, Wait
from raycache.errors import CacheUnavailable

#: How long an invalidation goes on to try to reach every shard.
INVALIDATE_S = 10.0


class Client:
    """What one process can ask of the cache. Keys are full keys, times seconds of the clock."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self._network, self._clock = members.network, members.clock

    # --------------------------------------------------------------------------------------------- gets

    def get(
        self,
        spec: GroupSpec,
        keys: Iterable[bytes],
        *,
        timeout_s: float | None = None,
        load: bool = True,
        fresh: bool = False,
        tiers: dict[bytes, str] | None = None,
        calls: Calls | None = None,
        filling: bool = False,
    ) -> Steps[dict[bytes, Result]]:
        """What there is for each key, from the shards, loading what is missing.

        `tiers` is filled with the name of the counter of Stats that each key belongs to. Raises LoadTimeout when the
        timeout is over; what went wrong with single keys is among the results. `calls`: of a memoized function.
        """
        self.members.check_open()
        get = Fetch(self.members, spec, timeout_s, load, {} if tiers is None else tiers, calls)
        return (yield from get.run(list(keys), fresh, filling=filling))

    def fill(self, spec: GroupSpec, claimed: Claimed, filled: Filled) -> Steps[bool]:
        """Brings what was computed under a token; whether it was stored. A shard that is gone keeps nothing."""
        if claimed.shard is None:
            return False
        for _ in range(2):
            (answer,) = yield Wait([self._network.ask(claimed.shard, filled)], PATIENCE_S)
            if not isinstance(answer, NoSuchGroup):
                return isinstance(answer, Ack) and answer.done > 0
            yield from self.members.define(spec, claimed.shard, answer)
        return False

    def renew(self, tokens: Iterable[tuple[bytes, Claimed]]) -> None:
        """Tells the shards that keys are still being computed. Waits for nothing."""
        by_shard: dict[str, list[tuple[bytes, int]]] = {}
        for key, claimed in tokens:
            if claimed.shard is not None:
                by_shard.setdefault(claimed.shard, []).append((key, claimed.token))
        for shard, some in by_shard.items():
            self._network.ask(shard, Renew(tuple(some)))

    def explain(self, ask: Explain) -> Steps[list[Explained]]:
        """What every shard that answers knows of a call, the owner's word first."""
        owner = self.members.ring.owner(ask.key)
        shards = sorted(self.members.ring.members, key=lambda shard: shard != owner)
        answers = yield Wait([self._network.ask(shard, ask) for shard in shards], PATIENCE_S)
        return [answer for answer in answers if isinstance(answer, Explained)]

    # ------------------------------------------------------------------------------------- invalidation

    def remove(self, spec: GroupSpec, keys: Sequence[bytes]) -> Steps[int]:
        """Removes keys everywhere; how many entries there were."""
        names = tuple(keys)

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, names, ring)] for shard in ring.members}

        return (yield from self._rounds(spec, first, names))

    def clear(self, spec: GroupSpec) -> Steps[int]:
        """Removes every key of the group everywhere; how many entries there were."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, None, ring)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None))

    def set(self, spec: GroupSpec, items: Mapping[bytes, tuple[Blob, float | None]]) -> Steps[int]:
        """Replaces values at their owners and removes all other copies; how many were stored."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {shard: [] for shard in ring.members}
            owned = sorted((ring.owner(key) or "", key) for key in items)
            for owner, group in groupby(owned, key=lambda pair: pair[0]):
                keys = [key for _, key in group]
                for shard in ring.members:
                    if shard == owner:
                        values = tuple((key, *items[key]) for key in keys)
                        messages[shard].append(Set(spec.id, values, ring))
                    else:
                        messages[shard].append(Delete(spec.id, tuple(keys), ring, removal=False))
            return messages

        return (yield from self._rounds(spec, first, tuple(items), counted=Set))

    def replace(self, spec: GroupSpec) -> Steps[int]:
        """Puts a group's new definition in the place of its old one in every shard, and ends what anybody has of it."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Define(spec)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None))

    def resize(self, spec: GroupSpec) -> Steps[None]:
        """Tells the shards of another capacity; who does not answer goes on with the one that it has."""
        yield Wait([self._network.ask(id, Define(spec, resize=True)) for id in self.members.ring.members], PATIENCE_S)

    def refreshed(self, spec: GroupSpec, keys: Sequence[bytes]) -> Steps[None]:
        """After new loads of keys: ends what anybody has of the old values beside their owners."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {}
            for shard in ring.members:
                others = tuple(key for key in keys if ring.owner(key) != shard)
                own = tuple(key for key in keys if ring.owner(key) == shard)
                messages[shard] = [Delete(spec.id, others, ring, removal=False)] if others else []
                if own:  # it settles the new value before it answers
                    messages[shard].append(Get(spec.id, own, ring.epoch, load=False))
            return messages

        yield from self._rounds(spec, first, tuple(keys))

    def _rounds(
        self,
        spec: GroupSpec,
        first: Callable[[Ring], dict[str, list[Any]]],
        bumped: tuple[bytes, ...] | None,
        counted: type = Delete,
    ) -> Steps[int]:
        """Two rounds to all members: entries go (or are replaced) everywhere, and only then near entries end.

        With one round somebody could see a new version slot and then read an old value from a shard that has not been
        told yet. A ring that moved on meanwhile, or a shard that does not answer, makes the round be done again.
        """
        self.members.check_open()
        until = self._clock() + INVALIDATE_S
        done = 0
        while True:
            ring = self.members.ring
            answered, acks = yield from self._round(spec, ring, first(ring), until)
            done += sum(ack.done for message, ack in acks if isinstance(message, counted))
            if answered:
                break
        while True:
            messages: dict[str, list[Any]] = {shard: [Bump(bumped, ring.epoch)] for shard in self.members.ring.members}
            answered, _ = yield from self._round(spec, self.members.ring, messages, until)
            if answered:
                return done

    def _round(
        self, spec: GroupSpec, ring: Ring, messages: dict[str, list[Any]], until: float
    ) -> Steps[tuple[bool, list[tuple[Any, Ack]]]]:
        """Sends messages to members: whether all did as they were told in this ring, and what they acknowledged."""
        sent = [(shard, each, self._network.ask(shard, each)) for shard, some in messages.items() for each in some]
        patience_s = max(min(until - self._clock(), PATIENCE_S), 0.0)
        answers = yield Wait([future for _, _, future in sent], patience_s)
        acks, silent, again = [], dict[str, str](), not messages
        for (shard, message, _), answer in zip(sent, answers, strict=True):
            if isinstance(answer, (Ack, Answers)):
                again |= answer.epoch > ring.epoch
                if isinstance(answer, Ack):
                    acks.append((message, answer))
            elif isinstance(answer, NoSuchGroup):
                yield from self.members.define(spec, shard, answer)
                again = True
            elif isinstance(answer, Moved):
                again = True
            else:
                silent[shard] = "no answer" if answer is None else answer.reason
        if not silent and not again:
            return True, acks
        asked = Suspect(tuple(silent)) if silent else GetView()
        (view,) = yield Wait([self._network.ask_directory(asked)], PATIENCE_S)
        self.members.see(view)
        if self._clock() >= until:
            who = "; ".join(f"{shard}: {why}" for shard, why in sorted(silent.items())) or "the ring has no shards"
            raise CacheUnavailable(
                f"not done everywhere within {INVALIDATE_S:g} s ({who}). What other shards had is gone; repeat it when "
                f"`raycache status` shows them again"
            )
        if self.members.ring.epoch == ring.epoch:
            yield Wait([], 0.05)
        return False, acks

    # ------------------------------------------------------------------------------ questions and reports

    def report(self, spec: GroupSpec, stats: Stats, touched: Iterable[bytes]) -> Steps[bool]:
        """Tells the shards what this process did without asking them; whether the counters have arrived."""
        names: dict[str, list[bytes]] = {}
        for key in touched:
            names.setdefault(self.members.ring.owner(key) or "", []).append(key)
        # The counters go to one shard, whichever: they are added up over all.
        home = next(
            (id for id in self.members.ring.members if id in self.members.local.pages),
            next(iter(self.members.ring.members), None),
        )
        if home is None:
            return False
        names.setdefault(home, [])
        todo = {
            shard: Report(spec.id, stats if shard == home else Stats(), tuple(keys)) for shard, keys in names.items()
        }
        arrived = False
        for _ in range(2):
            futures = [self._network.ask(shard, message) for shard, message in todo.items()]
            answers = dict(zip(todo, (yield Wait(futures, PATIENCE_S)), strict=True))
            arrived |= isinstance(answers.get(home), Ack)
            todo = {shard: todo[shard] for shard, answer in answers.items() if isinstance(answer, NoSuchGroup)}
            for shard in todo:
                yield from self.members.define(spec, shard, answers[shard])
            if not todo:
                break
        return arrived

    def scan(self, shard: str, prefix: bytes, after: bytes) -> Steps[list[bytes]]:
        """Some keys of a shard, in its order, after a key; none at the end."""
        (answers,) = yield from self._all({shard: Keys(prefix, after)})
        return answers if isinstance(answers, list) else []

    def count(self, group: int | None = None) -> Steps[dict[int, Stats]]:
        """Counters by group, added up over the shards."""
        total: dict[int, Stats] = {}
        for counts in (yield from self._all({shard: Count(group) for shard in self.members.ring.members})):
            for id, stats in counts.items():
                total[id] = total.get(id, Stats()) + stats
        return total

    def _all(self, messages: Mapping[str, Any]) -> Steps[list[Any]]:
        self.members.check_open()
        answers = yield Wait([self._network.ask(shard, each) for shard, each in messages.items()], PATIENCE_S)
        silent = [id for id, got in zip(messages, answers, strict=True) if got is None or isinstance(got, Failed)]
        if silent:
            (view,) = yield Wait([self._network.ask_directory(Suspect(tuple(silent)))], PATIENCE_S)
            self.members.see(view)  # without those that are dead: the next question is not about them
            raise CacheUnavailable(
                f"no answer from {', '.join(silent)}; `raycache status` shows which shards there are"
            )
        return answers

    def describe(self) -> Steps[list[ShardInfo]]:
        """All members; of those that do not answer only what the directory knows."""
        self.members.check_open()
        (view,) = yield Wait([self._network.ask_directory(GetView())], PATIENCE_S)
        if not isinstance(view, View):
            raise CacheUnavailable(f"the directory of the cache does not answer: {view}")
        self.members.see(view)
        ids = list(view.ring.members)
        answers = yield Wait([self._network.ask(id, Describe()) for id in ids], PATIENCE_S)
        return [
            answer if isinstance(answer, ShardInfo) else _unreachable(id, view)
            for id, answer in zip(ids, answers, strict=True)
        ]


def _unreachable(id: str, view: View) -> ShardInfo:
    place = view.places[id]
    blank: dict[str, Any] = dict.fromkeys(("pid", "entries", "bytes", "capacity_bytes", "loads", "lease_s"), 0)
    blank |= {"address": "", "weight": view.ring.members[id], "epoch": view.ring.epoch}
    return ShardInfo(id=id, node=place.node, folder=place.folder, reachable=False, **blank)
