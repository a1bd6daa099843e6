"""Owners that change as a state machine: whatever is set, removed, late or lost meanwhile, each key has one value.

After all has been handed over every entry is at its owner, none was lost, and none is at two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from fake_clock import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from shard_bench import full
from shards_bench import ShardsBench

from raycache.core import handover
from raycache.core.messages import Elsewhere, Missing
from raycache.core.versions import Versions

IDS = ("a", "b", "c")
NAMES = [f"key-{number}" for number in range(8)]
AN_ID, A_NAME, INDEX = st.sampled_from(IDS), st.sampled_from(NAMES), st.integers(0, 5)
WEIGHTS = st.fixed_dictionaries({id: st.sampled_from([0.0, 1.0, 2.0]) for id in IDS}).filter(lambda w: any(w.values()))


class Owners(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        clock = FakeClock()
        self.shards = ShardsBench(Path(self.folder.name), a=clock, b=FakeClock(7.0), c=clock)
        self.shards.define(getter=None)
        with mock.patch.object(Versions, "bump_all"):  # of slots that nobody uses here
            self.shards.join("a", "b", "c")
        self.model: dict[str, int] = {}
        self.number = self.rings = 0
        self.busy: set[str] = set()  # who waits for an answer
        self.flying: list[tuple[str, str, Any]] = []  # from whom, to whom, what

    def teardown(self) -> None:
        try:
            self.all_arrives()
            self.ring(self.shards.ring.members)  # who was given up is tried again at a new ring
            self.shards.hand_over()

            assert {name: self.shards.where(name) for name in NAMES if self.shards.where(name)} == {
                name: [self.shards.ring.owner(full(name))] for name in self.model
            }
            assert not any(shard.shard.handing for shard in self.shards.members())
            self.every_key_has_its_last_value()
        finally:
            self.shards.close()
            self.folder.cleanup()

    # -------------------------------------------------------------------------------------------- clients

    @rule(name=A_NAME)
    def set(self, name):
        self.number += 1
        self.shards.set(name, self.number)
        self.model[name] = self.number

    @rule(name=A_NAME)
    def remove(self, name):
        self.shards.remove(name)
        self.model.pop(name, None)

    @rule()
    def clear(self):
        for shard in self.shards.members():
            shard.clear(ring=self.shards.ring)
        self.model.clear()

    # --------------------------------------------------------------------------------------------- owners

    @rule(weights=WEIGHTS)
    def others_weights(self, weights):
        if self.rings == handover.MOST_RINGS - 1:  # of more than these it is not known who owned a key
            self.all_arrives()
            self.shards.hand_over()
            self.rings = 0
        self.ring(weights)

    def ring(self, weights) -> None:
        self.shards.weigh(weights)
        self.rings += 1

    @rule(id=AN_ID)
    def a_batch_is_sent(self, id):
        if id not in self.busy and (sending := self.shards[id].shard.batch()) is not None:
            self.flying.append((id, *sending))
            self.busy.add(id)

    @rule(at=INDEX)
    def a_batch_arrives(self, at):
        if self.flying:
            source, target, message = self.flying.pop(at % len(self.flying))
            answer = self.shards[target].shard.handle(message)
            self.answered(source, target, message, answer)

    def answered(self, source: str, target: str, message: Any, answer: Any) -> None:
        if source in self.busy:
            self.busy.discard(source)
            self.shards[source].shard.handed(target, message, answer)

    @rule(at=INDEX, arrives=st.sampled_from(["never", "before", "later"]))
    def an_answer_does_not_come_in_time(self, at, arrives):
        if self.flying:
            sending = self.flying[at % len(self.flying)]
            if arrives != "later":
                self.flying.remove(sending)
            if arrives == "before":
                self.shards[sending[1]].shard.handle(sending[2])
            self.answered(*sending, None)

    def all_arrives(self) -> None:
        while self.flying:
            self.a_batch_arrives(0)

    # ------------------------------------------------------------------------------------------ invariants

    @invariant()
    def every_key_has_its_last_value(self):
        for name in NAMES:
            assert self.get(name) == self.model.get(name)

    def get(self, name: str) -> Any:
        """As a client does it: the owner, those who it says may have it, and the owner again."""
        epoch, owner = self.shards.ring.epoch, self.shards.owner(name)
        (item,) = owner.peek(name, epoch=epoch)
        asked: list[str] = []
        todo = list(item.shards) if isinstance(item, Elsewhere) else []
        while todo:
            asked.append(todo.pop(0))
            (item,) = self.shards[asked[-1]].peek(name, epoch=epoch, standin=True)
            if isinstance(item, Elsewhere):
                todo += [id for id in item.shards if id not in asked]
            elif not isinstance(item, Missing):
                return item
        if asked:
            (item,) = owner.peek(name, epoch=epoch, asked=True)
        return None if isinstance(item, Missing) else item


def test_each_key_has_one_value_whatever_happens_while_owners_change():
    run_state_machine_as_test(Owners, settings=settings(max_examples=40, stateful_step_count=40))
