"""The simulated network: delays, reordering, losses and cut links between places, and processes that answer messages.

A message that is lost may be known as such to its sender (the transport says so) or not (nothing ever comes).
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from kernel import Future, Kernel, Process

from raycache.core.messages import Failed

#: How often messages that are to be held are, and for how long.
HELD, HELD_S = 0.3, (2.0, 8.0)


class Hold:
    """Messages, or answers, that are held up until they are released."""

    def __init__(self, kernel: Kernel, source: str, target: str, kind: str, failing: bool) -> None:
        self._kernel, self._source, self._target, self._kind = kernel, source, target, kind
        self._failing = failing
        self._held: list[tuple[Callable[..., None], Any]] = []
        self.open = True

    def __len__(self) -> int:
        return len(self._held)

    def takes(self, source: Process, target: Process, what: Any) -> bool:
        kind = type(getattr(what, "message", what)).__name__
        ends = self._source in ("", source.place), self._target in ("", target.place)
        return self.open and kind == self._kind and all(ends)

    def take(self, arrive: Callable[..., None], what: Any, reply: Future, why: str) -> None:
        self._held.append((arrive, what))
        if self._failing:  # as a transport does that loses sight of what it has sent
            self._kernel.at(self._kernel.now + 0.1, reply.set, Failed(why))

    def stop(self) -> None:
        """Holds up no more; what was held stays so."""
        self.open = False

    def release(self) -> None:
        self.open = False
        for arrive, what in self._held:
            self._kernel.soon(arrive, what)
        self._held.clear()


class Wire:
    """Who can reach whom, and how long it takes."""

    def __init__(self, kernel: Kernel, stats: Counter[str]) -> None:
        self._kernel, self._rng, self._stats = kernel, kernel.rng, stats
        self.ordered = False  # messages between two processes arrive in the order in which they were sent
        self.told = 0.0  # the chance that the transport tells a sender of a loss
        self.slow = self.lossy = 0.0  # the chance that a message is delayed for long, or lost
        self.held: tuple[str, ...] = ()  # kinds of messages that are often held up for very long
        self._holds: list[Hold] = []
        self._cut: dict[frozenset[str], float] = {}
        self._last: dict[tuple[str, str], float] = {}

    def cut(self, one: str, other: str, until: float) -> None:
        self._cut[frozenset((one, other))] = until
        self._kernel.log(f"link between {one} and {other} is CUT until {until:.4f}")

    def hold(self, kind: str, source: str = "", target: str = "", failing: bool = False) -> Hold:
        """Holds up what has this class, from one place to another; `failing`: its sender is told that it is lost."""
        hold = Hold(self._kernel, source, target, kind, failing)
        self._holds.append(hold)
        return hold

    def join(self, one: str, other: str) -> None:
        """The link is there again."""
        self._cut.pop(frozenset((one, other)), None)

    def heal(self) -> None:
        self.slow = self.lossy = 0.0
        self.held = ()
        self._cut.clear()

    def delay(self) -> float:
        if self.slow and self._rng.random() < self.slow:
            return self._rng.uniform(0.05, 3)
        return self._rng.uniform(0.001, 0.05)

    def lost(self, source: Process, target: Process) -> bool:
        if self._cut and self._cut.get(frozenset((source.place, target.place)), 0.0) > self._kernel.now:
            return True
        return self.lossy > 0 and self._rng.random() < self.lossy

    def send(
        self, source: Process, target: Process, arrive: Callable[..., None], what: Any, reply: Future, why: str
    ) -> None:
        """Sends something; where it is lost, `reply` may bring word of that."""
        self._stats["messages"] += 1
        if self.lost(source, target):
            self._stats["messages lost"] += 1
            if self._rng.random() < self.told:
                self._kernel.at(self._kernel.now + self._rng.uniform(0.01, 1), reply.set, Failed(why))
            return
        for hold in self._holds:
            if hold.takes(source, target, what):
                hold.take(arrive, what, reply, why)
                return
        when = self._kernel.now + self.delay()
        if self.held and type(getattr(what, "message", what)).__name__ in self.held and self._rng.random() < HELD:
            when += self._rng.uniform(*HELD_S)
        if self.ordered:
            pair = source.name, target.name
            when = self._last[pair] = max(when, self._last.get(pair, 0.0) + 1e-6)
        self._kernel.at(when, arrive, what)


class Envelope:
    """A message on its way, and where the answer goes."""

    __slots__ = ("message", "reply", "source")

    def __init__(self, source: Process, message: Any) -> None:
        self.source, self.message, self.reply = source, message, Future()


class Server(Process):
    """A process that answers messages, one at a time and in the order in which they arrive."""

    def __init__(self, kernel: Kernel, wire: Wire, name: str, place: str) -> None:
        super().__init__(kernel, name, place)
        self.wire = wire
        self._inbox: deque[Envelope] = deque()
        self._idle: Future | None = None

    def start(self) -> None:
        super().start()
        self._inbox.clear()
        self._idle = None
        self.thread(self._serve)

    def handle(self, message: Any) -> Any:
        raise NotImplementedError

    def ask(self, target: Server | None, message: Any) -> Future:
        return ask(self.wire, self, target, message)

    def receive(self, envelope: Envelope) -> None:
        if not self.up:
            if self.kernel.rng.random() < self.wire.told:
                envelope.reply.set(Failed(f"{self} is not there"))
        else:
            self._inbox.append(envelope)
            if self._idle is not None:
                self._idle.set(True)

    def _serve(self) -> None:
        kernel = self.kernel
        while True:
            while not self._inbox:
                self._idle = Future()
                kernel.wait([self._idle])
            envelope = self._inbox.popleft()
            self.answer(envelope, self.handle(envelope.message))

    def answer(self, envelope: Envelope, answer: Any) -> None:
        kernel = self.kernel
        kernel.step()
        if kernel.trace is not None:
            kernel.log(self, "<-", envelope.source, short(envelope.message), "=>", short(answer))
        self.wire.send(self, envelope.source, envelope.reply.set, answer, envelope.reply, "the answer is lost")


def ask(wire: Wire, source: Process, target: Server | None, message: Any) -> Future:
    """Sends a message; the future of its answer, which may never come."""
    source.kernel.step()
    envelope = Envelope(source, message)
    if target is None:
        envelope.reply.set(Failed("there is no such actor"))
    else:
        wire.send(source, target, target.receive, envelope, envelope.reply, f"{target} cannot be reached")
    return envelope.reply


_OMITTED = re.compile(
    r"\b\w+=(?:False|0|\(\)|None|b'')(?:, )?|\bnumber=\d+(?:, )?|\\x00\\x00\\x00\\x01s"
    r"|, outcome=Future, payload=Future|Stats\(.*?\)"
)


def short(message: Any) -> str:
    """A message in a trace, without what it says by default."""
    return _OMITTED.sub("", repr(message).replace("." * 100, ""))[:240]
