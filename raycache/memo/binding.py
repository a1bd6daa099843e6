"""A memoized function in one cache: its group there, and its operations as steps."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import cloudpickle
from blake3 import blake3

from raycache.cache import Cache
from raycache.core.calls import Packed
from raycache.core.codec import Blob
from raycache.core.fetch import Calls, Claimed
from raycache.core.getters import run
from raycache.core.lookup import Lookup
from raycache.core.messages import Absent, Call, Explain, Explained, Filled, GroupSpec, Loaded, Orphaned, Raised
from raycache.core.notes import differences
from raycache.core.steps import Steps
from raycache.errors import RaycacheError, UnpicklableGetter
from raycache.memo.holding import Holding
from raycache.memo.identity import Code, Identity, Plan, Work

#: Times that a call is looked at again because its code has changed meanwhile.
MOST_ROUNDS = 5


class Computed(NamedTuple):
    """What a call gave in this process."""

    value: Any
    error: BaseException | None
    cost_s: float

    def meant(self) -> Any:
        """The value; or raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Changed(Exception):
    """The function's code has changed since the key was made."""


class Changes:
    """The codes that one call was tried with, one after the other: a function that never stays the same is an error."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._codes: list[Code] = []

    def seen(self, code: Code) -> None:
        """The code has changed while its definition was made."""
        self._codes.append(code)
        if len(self._codes) >= MOST_ROUNDS:
            one, other = self._codes[-2:]
            parts = ", ".join(differences(one.parts, other.parts)) or "something that it reads"
            raise RaycacheError(
                f"the code of {self._name} has changed {MOST_ROUNDS} times while it was sent to the tasks that should "
                f"run it: {parts} keeps changing, perhaps by being pickled. Let version= stand for the code, name what "
                f"counts of it with depends=, or make what changes an argument"
            )


class Binding:
    """One function in one cache. Keys are the user's keys of its group, 32 bytes."""

    def __init__(self, identity: Identity, cache: Cache) -> None:
        self.identity, self.cache, self.options = identity, cache, identity.options
        self.group = cache.memo_group(identity.name, self.options.capacity_bytes, self.options.policy)
        self.reader, self.client = self.group.reader, self.group.client
        self.holding = Holding(self.client)
        self._network = cache.network
        self._defined: tuple[bytes, bytes] | None = None  # a code, and the definition with it

    @property
    def up(self) -> bool:
        return not self.cache.closed

    # ------------------------------------------------------------------------------------------- lookups

    def look(self, keys: Iterable[bytes], *, counted: bool = True, local: bool = True) -> Lookup:
        return Lookup(self.reader, keys, counted=counted, local=local)

    def ask(
        self, look: Lookup, code: Code, calls: Mapping[bytes, Call] | None, *, fresh: bool = False
    ) -> Steps[Lookup]:
        """Has what the lookup is missing computed by tasks, of these calls by full key; or claims it for this process.

        Raises Changed.
        """
        spec = functools.partial(self._spec, code)
        limit_s = self.options.of_loads().load_timeout_s
        asked = Calls(self._definition(code), spec, calls, self.identity.name, limit_s)
        return (yield from look.ask(fresh=fresh, calls=asked))

    def packed(self, works: Mapping[bytes, Work]) -> dict[bytes, Call] | None:
        """These works as they travel to tasks; None where this process computes them itself."""
        if self.options.where == "caller":
            return None
        frames: dict[int, Packed] = {}
        return {full: self.call(work, frames) for full, work in works.items()}

    def call(self, work: Work, frames: dict[int, Packed]) -> Call:
        """A work as it travels to a task. What items of a batch share is packed once, and kept in `frames`."""
        name = self.identity.name
        if id(work.called) not in frames:
            frames[id(work.called)] = self._network.packed_arguments(work.called, name)
        shared, note = frames[id(work.called)], self.identity.note(work)
        if not work.frame:
            return Call(shared.arguments, note, checks=shared.checks)
        item = self._network.packed_arguments(work.item, name)
        return Call(shared.arguments, note, item.arguments, work.frame, shared.checks + item.checks)

    def _definition(self, code: Code) -> bytes:
        """Names the code and everything that counts for a load of it."""
        if self._defined is None or self._defined[0] != code.digest:
            options = self.options
            rest = (options.of_loads(), options.batch, options.where, dict(options.task_options))
            self._defined = (
                code.digest,
                blake3(code.digest + self.identity.shipped + cloudpickle.dumps(rest)).digest(16),
            )
        return self._defined[1]

    def _spec(self, code: Code) -> GroupSpec:
        """The definition itself, with the function in it if tasks run it. Raises Changed."""
        options, known = self.options, self.reader.spec
        spec = replace(
            known,
            options=replace(
                options.of_loads(), capacity_bytes=known.options.capacity_bytes, policy=known.options.policy
            ),
            getter_name=self.identity.name,
            getter_code=code.digest.hex(),
            batch=options.batch is not None,
            environment={"task_options": dict(options.task_options), "checks": self.identity.checks(code)},
            definition=self._definition(code),
            about=about(code),
        )
        if options.where == "caller":
            return spec
        looked_up = {} if code.seal is None else code.seal.looked_up
        try:
            spec = self._network.packed(spec, self.identity.function, looked_up)
        except UnpicklableGetter:
            if options.version is None:
                raise
            spec = self._network.packed(spec, self.identity.function)  # not all that it reads need be pickled
        if not code.unchanged():  # what was packed may be newer than the key
            raise Changed
        self._network.registered(spec, self.identity.function)
        return spec

    # ------------------------------------------------------------------------------ computed by the caller

    def result(self, code: Code, full: bytes, computed: Computed) -> tuple[Loaded | Absent | Raised, Blob | None]:
        """What a call in this process gave, as it is kept: the result, and the value itself if it is a large one."""
        outcome, payload = run(
            lambda _: computed.meant(), self._plain(code), [full], self.cache.codec, calls=[Call(None)]
        )
        result = outcome[full]
        assert not isinstance(result, Orphaned)
        return result._replace(cost_s=computed.cost_s), payload[0] if payload else None

    def _plain(self, code: Code) -> GroupSpec:
        return replace(self._spec(code), batch=False)

    def fill(
        self, code: Code, full: bytes, claimed: Claimed, work: Work, result: Loaded | Absent | Raised, blob: Blob | None
    ) -> Steps[bool]:
        """Brings what this process has computed under a token; whether it is kept."""
        if not code.unchanged():  # it is a result of newer code than the key's
            self.release(code, full, claimed)
            return False
        filled = Filled(
            self.reader.spec.id, self._definition(code), full, claimed.token, result, blob, self.identity.note(work)
        )
        return (yield from self.client.fill(self._spec(code), claimed, filled))

    def release(self, code: Code, full: bytes, claimed: Claimed) -> None:
        """Gives a token back without a result. Waits for nothing."""
        if claimed.shard is not None:
            spec, token = self.reader.spec, claimed.token
            self._network.ask(claimed.shard, Filled(spec.id, self._definition(code), full, token, Orphaned()))

    # ------------------------------------------------------------------------------------------ questions

    def explain(self, plan: Plan, key: bytes) -> Steps[list[Explained]]:
        """What the shards know of a call, and of the one that is most like it."""
        note = self.identity.note(plan.works[key])
        return (yield from self.client.explain(Explain(self.reader.full(key), about(plan.code), note)))


def about(code: Code) -> bytes:
    """What `explain` tells of a function's code."""
    return pickle.dumps(dict(code.parts), protocol=5)
