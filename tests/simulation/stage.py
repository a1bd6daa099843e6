"""A stage: a cluster without chance but for short delays, for scenes that say themselves what happens and when.

Three nodes with a shard and a client each; no shard runs before the scene starts it. A scene waits for conditions, not
for times, and what its clients get is judged by the run's history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from clients import ClientProcess
from kernel import Violation
from servers import ShardProcess
from shared_memory import Watched
from wire import Hold, ask

from raycache.core import hot
from raycache.core.keys import encode
from raycache.core.messages import Fence, Weigh, group_prefix
from raycache.core.ring import Ring

if TYPE_CHECKING:
    from simulation import Simulation

#: A scene looks so often whether what it waits for has come; when it has not by then, the scene is wrong.
LOOK_S, MOST_WAIT_S = 0.02, 30.0
#: Enough for each shard to own some in every ring.
KEYS = tuple(f"k{number}" for number in range(60))


class Operation:
    """What a client has begun. Called, it waits for its end."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self.ended = stage, False

    def __call__(self) -> None:
        self._stage.until(lambda: self.ended)


class Stage:
    """What a scene can do."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self.kernel, self.wire = simulation, simulation.kernel, simulation.wire
        self.directory = simulation.directory
        self._operations = 0

    # ------------------------------------------------------------------------------------------- processes

    def shard(self, node: str) -> ShardProcess:
        return self._simulation.shards[f"{node}.0"]

    def client(self, node: str) -> ClientProcess:
        return next(each for each in self._simulation.clients if each.place == node)

    def start(self, *nodes: str) -> None:
        """Starts their shards, waits until they have leases, and lets their clients know."""
        for node in nodes:
            self.shard(node).start()
        self.until(lambda: all(map(self.leased, nodes)))
        self.refresh(*nodes)

    def refresh(self, *nodes: str) -> None:
        """Lets their clients know the newest ring."""
        for node in nodes:
            self._begin(node, lambda client, _: client.refresh())()

    def leased(self, node: str) -> bool:
        """Whether the lease in the node's memory is valid."""
        lease = self.shard(node).memory.versions.lease._words[0]
        return bool(self.kernel.now + self._simulation.offsets[node] < lease)

    def restart_directory(self, *, lost: bool = False) -> None:
        """Kills it, and starts it at once; `lost`: what it had saved is lost, too."""
        self.directory.kill()
        if lost:
            self.directory.saved = None
        self.directory.start()

    def on_ticket(self, node: str, do: Callable[[], None]) -> None:
        """Has something done, once, when the node's shard has written down a ticket."""
        versions, left = self.shard(node).memory.versions, [do]
        versions.ticket = Watched(self.kernel, versions.ticket, written=lambda _: left.pop()() if left else None)  # type: ignore[assignment, arg-type]

    def on_slot(self, node: str, do: Callable[[], None]) -> None:
        """Has something done whenever a slot in the node's memory is read. Call it before anything reads them."""
        versions = self.shard(node).memory.versions
        versions.slots = Watched(self.kernel, versions.slots, read=lambda _: do())  # type: ignore[assignment, arg-type]

    def serve_pages(self) -> None:
        """From now on clients have connections to page servers."""
        self._simulation.page_reads = 1.0

    def on_read(self, node: str, do: Callable[[], None]) -> None:
        """Has something done, once, when records in the node's pages were read and nothing was done with them yet."""
        pages, left = self.shard(node).memory.pages, [do]
        read = pages.get_many

        def get_many(keys: Iterable[bytes]) -> dict[bytes, bytes]:
            records = read(keys)
            if left:
                left.pop()()
            return records

        pages.get_many = get_many  # type: ignore[method-assign]

    # ---------------------------------------------------------------------------------------------- network

    def cut(self, one: str, *others: str) -> None:
        for other in others or {"n0", "n1", "n2", "dir"} - {one}:
            self.wire.cut(one, other, until=float("inf"))

    def join(self, one: str, *others: str) -> None:
        for other in others or {"n0", "n1", "n2", "dir"} - {one}:
            self.wire.join(one, other)

    def come_back(self, node: str) -> None:
        """Of a shard that was given up: joins the network, and waits until it is a member with a lease again."""
        members = {each.partition(".")[0] for each in self.ring.members}
        self.join(node)
        self.members(*members, node)
        self.until(lambda: self.leased(node))

    def hold(self, kind: str, source: str = "", target: str = "", failing: bool = False) -> Hold:
        return self.wire.hold(kind, source, target, failing)

    def catch(self, hold: Hold) -> None:
        """Waits until something is held up; what comes after that goes through."""
        self.until(lambda: len(hold) > 0)
        hold.stop()

    # --------------------------------------------------------------------------------------------- membership

    @property
    def ring(self) -> Ring:
        return self.directory.directory.view.ring

    def members(self, *nodes: str) -> None:
        """Waits until these, and no others, are members."""
        self.until(lambda: set(self.ring.members) == {f"{node}.0" for node in nodes})

    def fence(self, node: str) -> None:
        """As a client does that gets no answer."""
        self._tell(Fence(f"{node}.0", self.ring.lives[f"{node}.0"]))

    def weigh(self, **weights: float) -> None:
        """Other weights; waits until they are in the ring."""
        epoch = self.ring.epoch
        self._tell(Weigh({f"{node}.0": weight for node, weight in weights.items()}))
        self.until(lambda: self.ring.epoch > epoch)

    def _tell(self, message: Any) -> None:
        ask(self.wire, self._simulation.world, self.directory, message)

    def key(self, owner: str, then: str = "", **weights: float) -> str:
        """A key that this node's shard owns, in the present ring; and that one in the ring with these weights."""
        now = self.ring
        after = Ring(0, now.members | {f"{node}.0": weight for node, weight in weights.items()})
        fulls = {key: self._full(key) for key in KEYS}
        fitting = [key for key, full in fulls.items() if now.owner(full) == f"{owner}.0"]
        return next(key for key in fitting if not then or after.owner(fulls[key]) == f"{then}.0")

    # --------------------------------------------------------------------------------------------- operations

    def get(self, node: str, key: str) -> None:
        """By the node's client, to its end."""
        self.begin_get(node, key)()

    def store(self, node: str, key: str) -> None:
        """A get whose value lies with the owner then: not only with the one who asked for it."""
        self.get(node, key)
        self.until(lambda: any(key.encode() in each for each in self._stored()))

    def _stored(self) -> list[bytes]:
        memories = self._simulation.memories.values()
        return [full for memory in memories for full in memory.pages._records]

    def begin_anew(self, node: str) -> None:
        """Another process takes the place of the node's client: it has nothing near."""
        self.client(node).kill()
        self.client(node).start()
        self.refresh(node)

    def want_copy(self, node: str, key: str) -> None:
        """Processes of a node that does not own the key ask for it until the node's shard wants a copy."""
        for times in range(hot.LEAST_TIMES):
            self.begin_anew(node)
            self.get(node, key)
            self.until(lambda times=times: self.asked(node, key) > times)  # type: ignore[misc]

    def asked(self, node: str, key: str) -> int:
        """How often its processes have got a key of another node, as far as the node's shard knows."""
        return self.shard(node).shard._copies._sketch.estimate(self._full(key))

    def copied(self, node: str, key: str) -> bool:
        """Whether there is a copy in the node's memory."""
        return hot.PREFIX + self._full(key) in self.shard(node).memory.pages._records

    def _full(self, key: str) -> bytes:
        return group_prefix(self._simulation.spec.id) + encode(key)

    def begin_get(self, node: str, key: str) -> Operation:
        return self._begin(node, lambda client, name: client.read(name, "get", key))

    def remove_before_the_answer(self, node: str, key: str) -> None:
        """The node's client gets a key that n0 owns, and the answer comes when n0's client has removed it."""
        held = self.hold("Answers", source="n0", target=node)
        got = self.begin_get(node, key)
        self.catch(held)
        self.remove("n0", key)
        held.release()
        got()

    def see_the_same(self, key: str, *nodes: str) -> None:
        """Clients get a key long after any change of it."""
        self._simulation.agreed = self.kernel.now
        self.sleep(LOOK_S)
        for node in nodes:
            self.get(node, key)

    def remove(self, node: str, key: str) -> None:
        self.begin("remove", node, key)()

    def begin(self, kind: str, node: str, key: str) -> Operation:
        """The source changes, and the node's client removes or sets the key."""
        return self._begin(node, lambda client, name: client.change(name, kind, key))

    def _begin(self, node: str, do: Callable[[ClientProcess, str], None]) -> Operation:
        client, operation = self.client(node), Operation(self)
        self._operations += 1
        name = f"{client.name}/{self._operations}"

        def run() -> None:
            do(client, name)
            operation.ended = True

        client.thread(run)
        return operation

    def load_takes(self, seconds: float) -> None:
        """Loads that begin from now on read the source at once, and bring what they read so much later."""
        self._simulation.load_s = seconds

    def lose_ends_of_loads(self) -> None:
        """From now on no client hears of the end of a load that it was told of once."""
        self._simulation.unheard = 1.0

    # ------------------------------------------------------------------------------------------------- time

    def sleep(self, seconds: float) -> None:
        self.kernel.sleep(seconds)

    def until(self, condition: Callable[[], bool]) -> None:
        end = self.kernel.now + MOST_WAIT_S
        while not condition():
            if self.kernel.now > end:
                raise RuntimeError("the scene does not come about: what it waits for has not come")
            self.sleep(LOOK_S)

    def promise(self, what: str, kept: bool) -> None:
        if not kept:
            raise Violation(f"not kept: {what}")

    def within(self, seconds: float, what: str, condition: Callable[[], bool]) -> None:
        """A promise about time."""
        end = self.kernel.now + seconds
        while not condition():
            if self.kernel.now > end:
                raise Violation(f"{what} takes longer than {seconds:g} s")
            self.sleep(LOOK_S)
