"""Membership as a state machine: shards that come, go, hang and are restarted, messages late or twice.

The shards' side is the real `Life`; what the directory keeps is what it had kept when `changes` last grew.
"""

from __future__ import annotations

import copy
import itertools
from types import SimpleNamespace
from typing import Any

from fake_clock import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from member_bench import LEASE_S, place

from raycache.core.life import Life
from raycache.core.membership import Membership
from raycache.core.messages import Fence, Grant, Hello, Leave, Standing
from raycache.core.ring import Ring

IDS = ("a", "b", "c")
AN_ID, INDEX = st.sampled_from(IDS), st.integers(0, 5)


class Shard:
    """Of a shard what makes it a member."""

    def __init__(self, id: str, clock: FakeClock) -> None:
        self.id, self.clock = id, clock
        self.memory = SimpleNamespace(lease=[0.0], ticket=[0])
        self.process = 0
        self.restart()

    def restart(self) -> None:
        """Another process, with the same memory."""
        info: Any = SimpleNamespace(id=self.id, weight=1.0, node=place(self.id).node, folder="", address="")
        self.life, self.ring = Life(info, self.memory, self.clock, LEASE_S), Ring(-1, {})  # type: ignore[arg-type]
        self.process += 1

    def hello(self) -> Hello:
        return self.life.hello(self.ring.epoch, handing=False)

    def granted(self, hello: Hello, grant: Grant | None) -> None:
        if grant is None or not self.life.answers(hello, grant):
            return
        if grant.standing is Standing.COLD:
            self.life.lose()
            self.ring = Ring(-1, {})
            self.life.begin(grant.ticket)
            return
        self.life.fresh = False
        if grant.view is not None and grant.view.ring.epoch > self.ring.epoch:
            self.ring = grant.view.ring
        self.life.renew(hello, grant)


class Members(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock, self.tickets = FakeClock(), itertools.count(1).__next__
        self.members = Membership(self.clock, self.tickets, LEASE_S)
        self.kept, self.kept_at = self.members.state(), self.members.changes
        self.shards = {id: Shard(id, self.clock) for id in IDS}
        self.asked: list[tuple[int, Hello]] = []  # by which process
        self.answered: list[tuple[int, Hello, Grant | None]] = []
        self.ended: set[tuple[str, int]] = set()  # lives that were fenced
        self.was: set[tuple[str, int]] = set()  # lives that were in a ring and are no longer
        self.epoch, self.lives = 0, dict[str, int]()

    def keep(self) -> None:
        """What whoever runs the directory does before an answer goes out."""
        if self.members.changes != self.kept_at:
            self.kept, self.kept_at = copy.deepcopy(self.members.state()), self.members.changes

    @initialize(joined=st.sets(AN_ID))
    def some_are_members_already(self, joined):
        for _ in range(3):
            for id in sorted(joined):
                self.asks_and_is_answered_at_once(id)

    # -------------------------------------------------------------------------------------------- messages

    @rule(id=AN_ID)
    def a_shard_asks(self, id):
        self.asked.append((self.shards[id].process, self.shards[id].hello()))

    @rule(at=INDEX, again=st.booleans())
    def a_question_arrives(self, at, again):
        if self.asked:
            process, hello = self.asked[at % len(self.asked)] if again else self.asked.pop(at % len(self.asked))
            self.answered.append((process, hello, self.answer(hello)))

    def answer(self, hello: Hello) -> Grant | None:
        grant = self.members.hello(hello)
        self.keep()

        assert grant is None or grant.standing is not Standing.LEASED or (hello.id, hello.ticket) not in self.ended
        return grant

    @rule(at=INDEX)
    def an_answer_arrives(self, at):
        if self.answered:
            process, hello, grant = self.answered.pop(at % len(self.answered))
            if self.shards[hello.id].process == process:  # else nobody waits for it any more
                self.shards[hello.id].granted(hello, grant)

    @rule(id=AN_ID)
    def asks_and_is_answered_at_once(self, id):
        hello = self.shards[id].hello()
        self.shards[id].granted(hello, self.answer(hello))

    @rule(id=AN_ID)
    def a_ring_is_pushed(self, id):
        shard, ring = self.shards[id], self.members.view.ring
        if not shard.life.muted and ring.epoch > shard.ring.epoch:
            shard.ring = ring

    # ---------------------------------------------------------------------------------------------- events

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
    def time_passes_and_the_directory_looks_around(self, seconds):
        self.clock.advance(seconds)
        self.members.tick()
        self.keep()

    @rule(id=AN_ID, newest=st.booleans())
    def somebody_has_it_fenced(self, id, newest):
        ticket = self.members.view.ring.lives.get(id, 0) if newest else dict(self.was).get(id, 0)
        fenced = self.members.fence(Fence(id, ticket))
        self.keep()
        self.ended.add((id, ticket))
        if fenced.done:
            assert fenced.view.ring.lives.get(id) != ticket
            assert not self.leased(self.shards[id]) or self.shards[id].life.ticket != ticket

    @rule(id=AN_ID)
    def a_shard_is_restarted(self, id):
        self.shards[id].restart()

    @rule(id=AN_ID)
    def a_shard_loses_its_memory(self, id):
        self.shards[id].memory.lease[0], self.shards[id].memory.ticket[0] = 0.0, 0
        self.shards[id].restart()

    @rule(id=AN_ID)
    def a_shard_leaves(self, id):
        shard = self.shards[id]
        shard.life.end()
        self.members.leave(Leave(id, shard.life.ticket))
        self.keep()
        shard.restart()

    @rule()
    def the_directory_is_restarted(self):
        self.members = Membership(self.clock, self.tickets, LEASE_S)
        self.members.restore(copy.deepcopy(self.kept))
        self.kept_at = self.members.changes

    # ------------------------------------------------------------------------------------------ invariants

    def leased(self, shard: Shard) -> bool:
        """Whether its memory may be used, by whomever."""
        return self.clock() < shard.memory.lease[0]

    @invariant()
    def whoever_holds_a_lease_is_a_member_in_the_newest_ring(self):
        lives = self.members.view.ring.lives
        assert all(lives.get(id) == shard.life.ticket for id, shard in self.shards.items() if self.leased(shard))

    @invariant()
    def whoever_holds_a_lease_knows_all_others_that_do(self):
        leased = [shard for shard in self.shards.values() if self.leased(shard)]
        for shard in leased:
            if not shard.life.muted:
                assert all(shard.ring.lives.get(other.id) == other.life.ticket for other in leased)

    @invariant()
    def epochs_only_grow_and_with_every_change_of_the_ring(self):
        ring = self.members.view.ring
        assert ring.epoch >= self.epoch
        assert ring.epoch > self.epoch or ring.lives == self.lives
        self.epoch = ring.epoch

    @invariant()
    def a_ticket_names_one_life(self):
        lives = self.members.view.ring.lives
        self.was |= set(self.lives.items()) - set(lives.items())
        assert not self.was & set(lives.items())
        assert len(set(lives.values())) == len(lives)
        self.lives = dict(lives)

    @invariant()
    def what_is_not_kept_is_nothing_that_matters(self):
        assert self.members.state() == self.kept

    def teardown(self) -> None:
        """When nothing goes wrong any more, all are members soon, and know each other."""
        self.asked.clear()
        self.answered.clear()
        for _ in range(100):
            for id in IDS:
                self.asks_and_is_answered_at_once(id)
            self.time_passes_and_the_directory_looks_around(0.2)

        assert all(shard.life.leased for shard in self.shards.values())
        assert {shard.ring.epoch for shard in self.shards.values()} == {self.members.view.ring.epoch}
        assert self.members.view.ring.lives == {id: shard.life.ticket for id, shard in self.shards.items()}


def test_members_are_who_they_seem_to_be_whatever_happens():
    run_state_machine_as_test(Members, settings=settings(max_examples=60, stateful_step_count=60))
