"""The client's operations on the cache: gets, the two rounds of an invalidation, questions and reports."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from raycache.core.codec import Blob
from raycache.core.fetch import Calls, Claimed, Fetch, Result
from raycache.core.members import ANSWER_S, ANSWER_S_PER_KEY, PATIENCE_S, Members
from raycache.core.messages import (
    Ack,
    Answers,
    Asked,
    Bump,
    Copied,
    Copy,
    Count,
    Define,
    Delete,
    Describe,
    Explain,
    Explained,
    Failed,
    Fence,
    Fenced,
    Filled,
    Get,
    GetView,
    GroupSpec,
    Hits,
    Keys,
    NoLease,
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
from raycache.core.steps import Local, Steps, Wait
from raycache.core.unconfirmed import Begun
from raycache.errors import CacheUnavailable

#: How long an invalidation goes on to try to reach every shard, or to see its life ended.
INVALIDATE_S = 15.0
#: How long a shard may be silent before its life is to end: one that is restarted meanwhile keeps what it has.
SILENCE_S = 3.0
#: How long a shard may take to go through all that it has.
CLEAR_S = 8.0
#: Pause before a round is repeated.
PAUSE_S = 0.05


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

    def remove(self, spec: GroupSpec, keys: Sequence[bytes], operation: int = 0) -> Steps[int]:
        """Removes keys everywhere; how many entries there were. `operation`: one that somebody has begun."""
        names, operation = tuple(keys), operation or _operation()

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, names, ring, operation=operation)] for shard in ring.members}

        return (yield from self._rounds(spec, first, names, operation))

    def clear(self, spec: GroupSpec, operation: int = 0) -> Steps[int]:
        """Removes every key of the group everywhere; how many entries there were. `operation`: as of `remove`."""
        operation = operation or _operation()

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, None, ring, operation=operation)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None, operation))

    def set(self, spec: GroupSpec, items: Mapping[bytes, tuple[Blob, float | None]]) -> Steps[int]:
        """Replaces values at their owners and removes all other copies; how many were stored."""
        operation = _operation()

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {shard: [] for shard in ring.members}
            owned = sorted((ring.owner(key) or "", key) for key in items)
            for owner, group in groupby(owned, key=lambda pair: pair[0]):
                keys = [key for _, key in group]
                for shard in ring.members:
                    if shard == owner:
                        values = tuple((key, *items[key]) for key in keys)
                        messages[shard].append(Set(spec.id, values, ring, operation))
                    else:
                        messages[shard].append(Delete(spec.id, tuple(keys), ring, removal=False, operation=operation))
            return messages

        return (yield from self._rounds(spec, first, tuple(items), operation, counted=Set))

    def replace(self, spec: GroupSpec) -> Steps[int]:
        """Puts a group's new definition in the place of its old one in every shard, and ends what anybody has of it."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Define(spec)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None))

    def resize(self, spec: GroupSpec) -> Steps[None]:
        """Tells the shards of another capacity; who does not answer goes on with the one that it has."""
        yield Wait([self._network.ask(id, Define(spec, resize=True)) for id in self.members.ring.members], PATIENCE_S)

    def refreshed(self, spec: GroupSpec, keys: Sequence[bytes], operation: int = 0) -> Steps[None]:
        """After new loads of keys: ends what anybody has of the old values beside their owners."""
        operation = operation or _operation()

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {}
            for shard in ring.members:
                others = tuple(key for key in keys if ring.owner(key) != shard)
                own = tuple(key for key in keys if ring.owner(key) == shard)
                messages[shard] = [Delete(spec.id, others, ring, removal=False, operation=operation)] if others else []
                if own:  # it settles the new value before it answers
                    messages[shard].append(Get(spec.id, own, ring.epoch, load=False))
            return messages

        yield from self._rounds(spec, first, tuple(keys), operation)

    def finish(self, spec: GroupSpec, begun: Begun) -> Steps[None]:
        """Ends what another client has begun: removes the keys, or, if their owners may have new values, all else."""
        if begun.keys is None:
            yield from self.clear(spec, begun.operation)
        elif begun.stored:
            yield from self.refreshed(spec, begun.keys, begun.operation)
        else:
            yield from self.remove(spec, begun.keys, begun.operation)

    def _rounds(
        self,
        spec: GroupSpec,
        first: Callable[[Ring], dict[str, list[Any]]],
        bumped: tuple[bytes, ...] | None,
        operation: int = 0,
        counted: type = Delete,
    ) -> Steps[int]:
        """Two rounds to all members: entries go (or are replaced) everywhere, and only then near entries end.

        With one round somebody could see a new version slot and then read an old value from a shard that has not been
        told yet. A member that stays silent is fenced, and then all is done again, in the ring without it: as also
        when a shard knows of a newer ring, or has no lease.
        """
        self.members.check_open()
        until, done = self._clock() + INVALIDATE_S, 0
        while True:
            ring = yield from self._ring(until)
            answered, acks = yield from self._round(spec, ring, first(ring), until)
            done += sum(ack.done for message, ack in acks if isinstance(message, counted))
            if answered:
                break
            self._in_time(until, {"the ring": "changes faster than it can be followed"})
            yield Wait([], PAUSE_S)
            yield from self.members.refresh(ANSWER_S)
        # After a pause of this process others may have finished the operation, and then a late first round did nothing.
        self._in_time(until, {"this process": "was held up"})
        # Whoever has joined meanwhile has no near entries, and who left has no lease.
        yield from self._round(spec, ring, {shard: [Bump(bumped, operation)] for shard in ring.members}, until)
        return done

    def _ring(self, until: float) -> Steps[Ring]:
        """The ring. One without members proves nothing, unless the directory says just now that there are none: then
        nobody holds a lease, and nobody will without dropping all that it has."""
        while not self.members.ring.members:
            (view,) = yield Wait([self._network.ask_directory(GetView())], ANSWER_S)
            if isinstance(view, View):
                self.members.see(view)
                return view.ring
            self._in_time(until, {"the directory": "no answer"})
            yield Wait([], PAUSE_S)
        return self.members.ring

    def _round(
        self, spec: GroupSpec, ring: Ring, messages: dict[str, list[Any]], until: float
    ) -> Steps[tuple[bool, list[tuple[Any, Ack]]]]:
        """Sends messages to members, for as long as they are silent and alive: whether all did as they were told, in
        this ring, and what they acknowledged."""
        began = self._clock()
        todo = [(shard, each) for shard, some in messages.items() for each in some]
        acks, again = list[tuple[Any, Ack]](), False
        while todo:
            patience_s = max(map(_patience_s, (message for _, message in todo)))
            answers = yield Wait([self._network.ask(shard, each) for shard, each in todo], patience_s)
            silent, raised = dict[str, str](), set[str]()
            for (shard, message), answer in zip(todo, answers, strict=True):
                if isinstance(answer, (Ack, Answers)):
                    again |= answer.epoch > ring.epoch
                    if isinstance(answer, Ack):
                        acks.append((message, answer))
                elif isinstance(answer, NoSuchGroup):
                    told = yield from self.members.define(spec, shard, answer, ANSWER_S)
                    again = True
                    silent |= {} if told is not None else {shard: "no answer"}
                elif answer is None or isinstance(answer, Failed):
                    silent[shard] = "no answer" if answer is None else answer.reason
                    raised |= {shard} if answer is not None and answer.raised else set()
                else:  # moved, or without a lease
                    again = True
                    silent |= {shard: "no lease"} if isinstance(answer, NoLease) and self._clock() >= until else {}
            self._in_time(until, silent)
            todo = [(shard, each) for shard, each in todo if shard in silent]
            if silent and self._clock() - began >= SILENCE_S:
                for shard in silent.keys() - raised:
                    yield from self._fence(shard, ring.lives.get(shard, 0), until, silent)
                return False, acks
            if silent:
                yield Wait([], PAUSE_S)
        return not again, acks

    def _in_time(self, until: float, missing: Mapping[str, str]) -> None:
        """Raises when the time is over, with the names of those that were not reached."""
        if missing and self._clock() >= until:
            who = "; ".join(f"{shard}: {why}" for shard, why in sorted(missing.items()))
            raise CacheUnavailable(
                f"not done everywhere within {INVALIDATE_S:g} s ({who}). What other shards had is gone, and these will "
                f"be told; to be sure, repeat it when `raycache status` shows them again"
            )

    def _fence(self, shard: str, ticket: int, until: float, silent: Mapping[str, str]) -> Steps[None]:
        """Comes back when this life of the shard has ended, and its last lease is over."""
        while True:
            (answer,) = yield Wait([self._network.ask_directory(Fence(shard, ticket))], ANSWER_S)
            if isinstance(answer, Fenced):
                self.members.see(answer.view)
                if answer.done:
                    return
            if self._clock() >= until:
                self._in_time(until, silent if isinstance(answer, Fenced) else {**silent, "the directory": "no answer"})
            yield Wait([], min(max(answer.wait_s, PAUSE_S), 1.0) if isinstance(answer, Fenced) else PAUSE_S)

    # ------------------------------------------------------------------------------ questions and reports

    def report(
        self,
        spec: GroupSpec,
        stats: Stats,
        touched: Iterable[bytes],
        asked: tuple[Asked, ...] = (),
        hottest: tuple[Hits, ...] = (),
    ) -> Steps[Ack | None]:
        """Tells the shards what this process did without asking them: the answer of the one that got the counters.

        `asked`: what it got from shards of other nodes; `hottest`: the keys that it hit most often.
        """
        names: dict[str, list[bytes]] = {}
        for key in touched:
            names.setdefault(self.members.ring.owner(key) or "", []).append(key)
        # The counters go to one shard, whichever: they are added up over all.
        home = self.members.local.home or next(iter(self.members.ring.members), None)
        if home is None:
            return None
        todo = {shard: Report(spec.id, Stats(), tuple(keys)) for shard, keys in names.items()}
        todo[home] = Report(spec.id, stats, tuple(names.get(home, ())), asked, hottest)
        arrived: Ack | None = None
        for _ in range(2):
            futures = [self._network.ask(shard, message) for shard, message in todo.items()]
            answers = dict(zip(todo, (yield Wait(futures, PATIENCE_S)), strict=True))
            arrived = answer if isinstance(answer := answers.get(home), Ack) else arrived
            todo = {shard: todo[shard] for shard, answer in answers.items() if isinstance(answer, NoSuchGroup)}
            for shard in todo:
                yield from self.members.define(spec, shard, answers[shard])
            if not todo:
                break
        return arrived

    def copy(self, local: Local, copies: tuple[Copied, ...]) -> Steps[None]:
        """Brings the shard of this node what it wants to copy; if it gets lost, others will bring it."""
        if copies:
            yield Wait([self._network.ask(local.home, Copy(local.ticket[0], copies))], PATIENCE_S)

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
        until = self._clock() + SILENCE_S
        while True:
            answers = yield Wait([self._network.ask(shard, each) for shard, each in messages.items()], PATIENCE_S)
            unleased = any(isinstance(answer, NoLease) for answer in answers)
            if not unleased or self._clock() >= until:
                break
            yield Wait([], PAUSE_S)
        failed = [id for id, got in zip(messages, answers, strict=True) if isinstance(got, (Failed, NoLease))]
        silent = failed + [id for id, got in zip(messages, answers, strict=True) if got is None]
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
            why = view.reason if isinstance(view, Failed) else f"nothing came within {PATIENCE_S:g} s"
            raise CacheUnavailable(f"the directory of the cache does not answer: {why}; is Ray still there?")
        self.members.see(view)
        ids = list(view.ring.members)
        answers = yield Wait([self._network.ask(id, Describe()) for id in ids], PATIENCE_S)
        return [
            answer if isinstance(answer, ShardInfo) else _unreachable(id, view)
            for id, answer in zip(ids, answers, strict=True)
        ]


def _patience_s(message: Any) -> float:
    """How long a shard may take to do what it is told: it goes through all that it has to clear a group."""
    if isinstance(message, (Set, Get)):
        return ANSWER_S + ANSWER_S_PER_KEY * len(message.items if isinstance(message, Set) else message.keys)
    if isinstance(message, (Delete, Bump)) and message.keys is not None:
        return ANSWER_S + ANSWER_S_PER_KEY * len(message.keys)
    return CLEAR_S


def _operation() -> int:
    """A number that no other operation has."""
    return secrets.randbits(62) + 1


def _unreachable(id: str, view: View) -> ShardInfo:
    place = view.places[id]
    blank: dict[str, Any] = dict.fromkeys(("pid", "entries", "bytes", "capacity_bytes", "loads", "lease_s"), 0)
    blank |= {"address": place.address, "weight": view.ring.members[id], "epoch": view.ring.epoch}
    return ShardInfo(id=id, node=place.node, folder=place.folder, reachable=False, **blank)
