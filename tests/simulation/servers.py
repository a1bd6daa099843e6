"""The processes of the cache: shards and the directory, the real classes in simulated processes.

What is here is what raycache.cluster does on Ray: locks, loops, waiting, and sending what the core wants sent.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kernel import Event, Future
from loads import SimulatedLoad, SimulatedLoader
from shared_memory import Memory
from wire import Envelope, Server, ask, short

from raycache.core.client import Client
from raycache.core.directory import Directory
from raycache.core.members import Members
from raycache.core.messages import (
    Ack,
    Call,
    Failed,
    Fence,
    GroupSpec,
    Learn,
    Leave,
    Loading,
    Served,
    ShardInfo,
    Suspect,
    View,
)
from raycache.core.page_gets import HELD_S, PageGets, Waiting
from raycache.core.shard import Shard
from raycache.core.steps import Local, LocalPages, Wait, drive
from raycache.errors import CacheUnavailable

if TYPE_CHECKING:
    from simulation import Simulation

#: As in raycache.cluster: how often a shard looks after its entries, and asks for a lease when it has none; how long it
#: waits for those to whom it hands entries over, and before it asks them again.
HOUSE_S, ASK_S, ADOPT_S, PAUSE_S = 1.0, 0.1, 5.0, 0.2
#: And how often the directory looks after its members, and teaches those that are behind; how long it waits for them.
TICK_S, TEACH_S, PATIENCE_S = 0.1, 0.5, 2.0


class Stop(NamedTuple):
    """The directory lets a shard go."""


class Read(NamedTuple):
    """What a client asks a page server for; answered by Served, or the connection is closed."""

    keys: tuple[bytes, ...]


class GetThere(NamedTuple):
    """A get that a page server is to load the key for; answered by Served or Loading."""

    epoch: int
    number: int
    key: bytes


class Link:
    """`Network` of one process."""

    def __init__(self, simulation: Simulation, process: Any) -> None:
        self._simulation, self._process = simulation, process

    def ask(self, shard: str, message: Any) -> Future:
        return ask(self._simulation.wire, self._process, self._simulation.shards.get(shard), message)

    def ask_directory(self, message: Any) -> Future:
        return ask(self._simulation.wire, self._process, self._simulation.directory, message)

    def read(self, shard: str, keys: Sequence[bytes]) -> Future | None:
        """There is not always a connection."""
        return self._ask_page_server(shard, Read(tuple(keys)))

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> Future | None:
        return self._ask_page_server(shard, GetThere(epoch, number, key))

    def _ask_page_server(self, shard: str, message: Any) -> Future | None:
        chance = self._simulation.page_reads
        if shard not in self._simulation.shards or not chance or self._simulation.kernel.rng.random() >= chance:
            return None
        return ask(self._simulation.wire, self._process, self._simulation.shards[shard], message)

    def run(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Future:
        return self._simulation.load_directly(keys)

    def attach(self, view: View) -> Local:
        here = {
            id: self._simulation.memories[place.folder]
            for id, place in sorted(view.places.items())
            if place.node == self._process.place
        }
        if not here:
            return Local()
        home, memory = next(iter(here.items()))
        versions = memory.versions
        pages = {id: LocalPages(memory.pages, memory.versions.lease) for id, memory in here.items()}
        return Local(versions.lease, versions.slots, pages, home, versions.ticket)


class ShardProcess(Server):
    """One shard. Its memory outlives its processes, until it leaves or its node is lost."""

    def __init__(self, simulation: Simulation, id: str, node: str, weight: float) -> None:
        super().__init__(simulation.kernel, simulation.wire, id, node)
        self.simulation, self.id, self.weight = simulation, id, weight
        self.left = False
        self.forget()

    def clock(self) -> float:
        self.kernel.step()
        return self.kernel.now + self.simulation.offsets[self.place]

    def forget(self) -> None:
        """Its folder is removed; who has it open goes on to see the old one."""
        self.memory = self.simulation.memories[self.id] = Memory(self.kernel)

    def start(self) -> None:
        super().start()
        self.left = False
        self._landed, self._changed, self._moved = Event(self.kernel), Event(self.kernel), Event(self.kernel)
        self._loader = SimulatedLoader(self.simulation, self, self._load_landed)
        self._link = Link(self.simulation, self)
        self.shard = Shard(
            ShardInfo(
                id=self.id,
                node=self.place,
                pid=self.life,
                address=self.place,
                folder=self.id,
                weight=self.weight,
                capacity_bytes=self.simulation.options.capacity_bytes,
            ),
            pages=self.memory.pages,  # type: ignore[arg-type]
            versions=self.memory.versions,
            loader=self._loader,
            clock=self.clock,
            max_loads=2,
            lease_s=self.simulation.options.lease_s,
            hot=self.simulation.options.hot,
        )
        self._gets = PageGets(self.shard.page_reads, self._handle_at_once, self.clock)
        for work in (self._keep_lease, self._house, self._hand_over):
            self.thread(self._forever, work)

    def kill(self) -> None:
        super().kill()
        self._loader.end()

    def end(self) -> None:
        """The actor is killed for good. One that had left by itself has removed its folder."""
        if self.up:
            self.kill()
        if self.left:
            self.forget()
        self.left = True

    def receive(self, envelope: Envelope) -> None:
        """What is asked of the page server waits for nothing else."""
        if self.up and isinstance(envelope.message, Read):
            self.thread(self._serve_pages, envelope)
        elif self.up and isinstance(envelope.message, GetThere):
            self.thread(self._serve_get, envelope)
        else:
            super().receive(envelope)

    def _serve_pages(self, envelope: Envelope) -> None:
        served = self.shard.page_reads.read(envelope.message.keys)
        self.simulation.stats["records served"] += sum(map(bool, served.records)) if served else 0
        self.answer(envelope, Failed("it has hung up") if served is None else served)

    def _serve_get(self, envelope: Envelope) -> None:
        end = Future()

        def tell(served: Served) -> None:
            self.simulation.stats["loads told by page servers"] += served.records[0] is not None
            self.wire.send(self, envelope.source, end.set, served, end, "the end is lost")

        got = self._gets.get(*envelope.message, tell)
        if isinstance(got, Waiting):
            self.answer(envelope, Loading(got.started, end))
            self.kernel.sleep(HELD_S)
            if not end.done:
                self._gets.give_up(got)
        else:
            self.answer(envelope, Failed("it has hung up") if got is None else got)

    def _handle_at_once(self, message: Any) -> Any:
        if self.mutex.taken:
            return None
        with self.mutex:
            return None if self.shard.would_settle(message.keys) else self.shard.handle(message)

    def _load_landed(self, load: SimulatedLoad) -> None:
        if self._gets.wants(load.keys):
            self.thread(self._gets.landed, load.keys, load)
        self._landed.set()

    def handle(self, message: Any) -> Any:
        with self.mutex:
            if isinstance(message, Stop):
                self.left = True
                return self.shard.leave()
            epoch = self.shard.epoch
            answer = self.shard.handle(message)
            if self.shard.epoch > epoch:
                self._has_learned()
        return answer

    def _forever(self, work: Callable[[], None]) -> None:
        while not self.left:
            work()

    def _has_learned(self) -> None:
        self._changed.set()
        self._moved.set()

    def _keep_lease(self) -> None:
        hello = self.shard.hello()
        (grant,) = self.kernel.wait([self._link.ask_directory(hello)], self.simulation.options.lease_s)
        if isinstance(grant, Failed):
            grant = None
        if grant is None or not self.shard.life.renewed(hello, grant):
            with self.mutex:
                epoch = self.shard.epoch
                self.shard.granted(hello, grant)
                if self.shard.epoch > epoch:
                    self._has_learned()
            if grant is not None:
                self.kernel.log(self, "was granted", short(grant))
        leased, joins = self.shard.life.leased, grant is not None and grant.ticket > 0
        self._changed.wait(self.simulation.options.lease_s / 3 if leased else 0.0 if joins else ASK_S)

    def _house(self) -> None:
        self._landed.wait(HOUSE_S)
        with self.mutex:
            self.shard.tick()
            self.shard.told(self._gets.take_told())

    def _hand_over(self) -> None:
        with self.mutex:
            sends = self.shard.sends
        if not sends:
            self._moved.wait(HOUSE_S)
        while not self.left and self._send_batch():
            pass
        self._own_borrowed()
        self._finish_overdue()

    def _send_batch(self) -> bool:
        with self.mutex:
            if not self.shard.sends:
                return False
            sending = self.shard.batch()
        if sending is None:
            return True
        target, message = sending
        (answer,) = self.kernel.wait([self._link.ask(target, message)], ADOPT_S)
        self.simulation.stats["entries handed over"] += answer.done if isinstance(answer, Ack) else 0
        with self.mutex:
            self.shard.handed(target, message, answer)
        if not isinstance(answer, Ack):
            self.kernel.sleep(PAUSE_S)
        return True

    def _own_borrowed(self) -> None:
        with self.mutex:
            borrowed = self.shard.borrowed()
        for key, future in borrowed:
            (payload,) = self.kernel.wait([future], ADOPT_S)
            if payload is not None:
                with self.mutex:
                    self.shard.own(key, future, None if isinstance(payload, Failed) else payload[0])

    def _finish_overdue(self) -> None:
        with self.mutex:
            due = self.shard.overdue()
        for begun, spec in due:
            self.kernel.log(self, "finishes", short(begun))
            members = Members(self._link, self.clock)
            try:
                drive(members.refresh(), self._wait)
                drive(Client(members).finish(spec, begun), self._wait)
            except CacheUnavailable as error:
                self.kernel.log(self, f"could not finish: {error}")
                continue
            self.simulation.stats["operations finished by an owner"] += 1
            with self.mutex:
                self.shard.finished(begun)

    def _wait(self, want: Wait) -> list[Any]:
        return self.kernel.wait(want.futures, want.timeout_s, want.all)


class DirectoryProcess(Server):
    """The directory, and what it has saved."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.kernel, simulation.wire, "directory", "dir")
        self.simulation = simulation
        self.saved: bytes | None = None
        self._offset = 0.0

    def clock(self) -> float:
        self.kernel.step()
        return self.kernel.now + self._offset

    def start(self) -> None:
        super().start()
        simulation, rng = self.simulation, self.kernel.rng
        self._offset = rng.uniform(0, 1000)  # it may be restarted on another node
        made: dict[str, Any] = {"clock": self.clock, "tickets": simulation.ticket}
        if self.saved is not None:
            self.directory = Directory.restored(pickle.loads(self.saved), **made)
        else:
            lost = int((simulation.epoch_s + self.kernel.now) * 1000) if self.life else 0  # by the wall clock
            self.directory = Directory(simulation.options, lost=lost, **made)
        self._wake = Event(self.kernel)
        self._taught: dict[str, tuple[int, float]] = {}
        self._saved_changes = -1
        self.save()
        self.thread(self._look_after)

    def save(self) -> None:
        """In Ray's GCS, before anybody is told."""
        if self.directory.changes != self._saved_changes:
            self._saved_changes = self.directory.changes
            state = pickle.dumps(self.directory.state())
            self.kernel.step()
            self.saved = state
            self.kernel.step()

    def handle(self, message: Any) -> Any:
        for id in message.ids if isinstance(message, Suspect) else ():
            ticket = self.directory.view.ring.lives.get(id)
            if ticket is not None and self.simulation.shards[id].left:
                self._handle(Fence(id, ticket))
        return self._handle(message)

    def _handle(self, message: Any) -> Any:
        with self.mutex:
            epoch = self.directory.view.ring.epoch
            answer = self.directory.handle(message)
            self.save()
            if self.directory.view.ring.epoch > epoch:
                self.kernel.log("EPOCH", self.directory.view.ring)
                self._wake.set()
        return answer

    def _look_after(self) -> None:
        while True:
            self._wake.wait(TICK_S)
            with self.mutex:
                epoch = self.directory.view.ring.epoch
                self.directory.tick()
                self.save()
                view, behind = self.directory.view, self.directory.members.behind()
                leaving = self.directory.members.drained()
            if view.ring.epoch > epoch:
                self.kernel.log("EPOCH", view.ring)
            for id in behind:
                taught, at = self._taught.get(id, (-1, 0.0))
                if taught < view.ring.epoch or self.kernel.now - at > TEACH_S:
                    self._taught[id] = view.ring.epoch, self.kernel.now
                    self.ask(self.simulation.shards[id], Learn(view.ring))
            for id in leaving:
                self._let_go(id, view)

    def _let_go(self, id: str, view: View) -> None:
        """Ends a shard that has handed over all that it had."""
        shard = self.simulation.shards[id]
        leave: Any = None
        if not shard.left:
            (leave,) = self.kernel.wait([self.ask(shard, Stop())], PATIENCE_S)
            self.simulation.stats["shards that left"] += 1
            self.simulation.let_go(shard)
        self._handle(leave if isinstance(leave, Leave) else Fence(id, view.ring.lives.get(id, 0)))
