"""A network in fake time: shards and a directory answer as the test says, at once or never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fake_clock import FakeClock

from raycache.core.members import Members
from raycache.core.messages import Answers, Failed, GetView, Place, Suspect, View
from raycache.core.ring import Ring
from raycache.core.steps import Local, Steps, Wait, drive

#: An answer that never comes.
SILENT = object()


class Later:
    """A future that the test ends."""

    def __init__(self) -> None:
        self.value: Any = SILENT


#: What waits longer than this would wait for ever.
FOR_EVER_S = 120.0


def view(epoch: int, *members: str) -> View:
    """Members with tickets 1, 2, 3, ..., in the order of the alphabet of all that there might be."""
    lives = {id: ord(id) - ord("a") + 1 for id in members}
    return View(Ring(epoch, dict.fromkeys(members, 1.0), lives), {id: Place("node", f"/{id}") for id in members})


class ScriptedNetwork:
    """`shards` and `directory` answer messages; every message is kept in `sent`, with the time and whom it went to."""

    def __init__(self, clock: FakeClock, first: View) -> None:
        self.clock, self.view = clock, first
        self.began = clock()
        self.shards: dict[str, Callable[[Any], Any]] = {}
        self.directory: Callable[[Any], Any] = self.known
        self.getter: Callable[[list[bytes]], Any] = lambda _: SILENT
        self.sent: list[tuple[float, str, Any]] = []
        self.page_servers: dict[str, Callable[[Sequence[bytes]], Any]] = {}
        self.loading: dict[str, Callable[[bytes], Any]] = {}
        self.gets: list[tuple[str, bytes, int, int]] = []
        self.reads: list[tuple[float, str, tuple[bytes, ...]]] = []

    def known(self, message: Any) -> Any:
        """What a directory says that is well and has nothing to do."""
        return self.view if isinstance(message, (GetView, Suspect)) else SILENT

    def ask(self, shard: str, message: Any) -> Any:
        self.sent.append((self.elapsed_s, shard, message))
        return self.shards.get(shard, lambda _: SILENT)(message)

    def ask_directory(self, message: Any) -> Any:
        self.sent.append((self.elapsed_s, "directory", message))
        return self.directory(message)

    def read(self, shard: str, keys: Sequence[bytes]) -> Any:
        """What the shard's page server says; by default there is none."""
        self.reads.append((self.elapsed_s, shard, tuple(keys)))
        return self.page_servers.get(shard, lambda _: None)(keys)

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> Any:
        """What the page server says to a get that it is to load the key for; by default there is none."""
        self.gets.append((shard, key, epoch, number))
        return self.loading.get(shard, lambda _: None)(key)

    def run(self, spec: Any, keys: list[bytes], calls: Any) -> Any:
        return self.getter(keys)

    def attach(self, view: View) -> Local:
        return Local()

    @property
    def elapsed_s(self) -> float:
        return self.clock() - self.began

    def wait(self, want: Wait) -> list[Any]:
        """Time passes until what is wanted has come, or its time is over."""
        futures = [future.value if isinstance(future, Later) else future for future in want.futures]
        here = [future is not SILENT for future in futures]
        if not (all(here) if want.all or not here else any(here)) or not here:
            assert want.timeout_s is not None, "this would wait for ever"
            self.clock.advance(want.timeout_s)
            assert self.elapsed_s < FOR_EVER_S, "this goes on for ever"
        return [None if future is SILENT else future for future in futures]

    def drive(self, steps: Steps[Any]) -> Any:
        self.began = self.clock()
        return drive(steps, self.wait)

    def members(self) -> Members:
        """Of a process that has seen the first view."""
        members = Members(self, self.clock)
        members.see(self.view)
        return members

    def to(self, *who: str, kind: type = object) -> list[Any]:
        """The messages of a kind that were sent to these, in order."""
        return [message for _, to, message in self.sent if to in who and isinstance(message, kind)]


def script(*answers: Any) -> Callable[[Any], Any]:
    """Answers one after the other; the last one for ever."""
    left = list(answers)
    return lambda message: _said(left.pop(0) if len(left) > 1 else left[0], message)


def _said(answer: Any, message: Any) -> Any:
    known = isinstance(answer, (Answers, Failed)) or answer is SILENT or not callable(answer)
    return answer if known else answer(message)
