"""Operations as generators: they say what to wait for, and whoever drives them waits.

An operation yields `Wait` and is sent what has come. It decides and never blocks, so one body serves threads, event
loops, the inline cache and a simulation, which differ in how they wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from raycache.core.messages import Call, Future, GroupSpec, View
from raycache.core.pages import Pages
from raycache.core.versions import SLOTS

T = TypeVar("T")


class Wait(NamedTuple):
    """Yielded by an operation: wait for these futures, for all or for at least one, at most so long.

    It is sent a list with a result for each: what came, a `Failed`, or None for what has not come yet.
    """

    futures: Sequence[Future]
    timeout_s: float | None
    all: bool = True


Steps = Generator[Wait, list[Any], T]


class LocalPages(NamedTuple):
    """The pages of a shard on this node, and the lease under which they may be used."""

    pages: Pages
    lease: Sequence[float]


class Local(NamedTuple):
    """Shared memory of the shards on this node: slots and lease of one of them, which vouch for near entries, and the
    pages of all. Without any the lease has run out: nothing local may be used. `home` is the one, which keeps copies
    for this node, and `ticket` that of its life."""

    lease: Sequence[float] = (0.0,)
    slots: Sequence[int] = bytes(SLOTS)
    pages: Mapping[str, LocalPages] = {}
    home: str = ""
    ticket: Sequence[int] = (0,)


class Network(Protocol):
    """How messages travel. None of these waits, and none raises: a failure is what a future brings."""

    def ask(self, shard: str, message: Any) -> Future: ...

    def ask_directory(self, message: Any) -> Future: ...

    def read(self, shard: str, keys: Sequence[bytes]) -> Future | None:
        """Asks the page server of a shard on another node; brings what it has `Served`, or Failed.

        None where there is no connection to it: the next ones may find one.
        """
        ...

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> Future | None:
        """Has a shard's page server give a key, and load it if it is not there; brings what is `Served`, or `Loading`.

        None where there is no connection for that now: ask by a call.
        """
        ...

    def run(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Future:
        """Runs the getter for keys without any shard; brings an outcome and its payload."""
        ...

    def attach(self, view: View) -> Local:
        """The shared memory of this node's shards in the view."""
        ...


def drive(steps: Steps[T], wait: Callable[[Wait], list[Any]]) -> T:
    """Runs an operation, waiting in this thread."""
    try:
        want = next(steps)
        while True:
            want = steps.send(wait(want))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def adrive(steps: Steps[T], wait: Callable[[Wait], Awaitable[list[Any]]]) -> T:
    """Runs an operation, waiting in this event loop."""
    try:
        want = next(steps)
        while True:
            want = steps.send(await wait(want))
    except StopIteration as stop:
        result: T = stop.value
        return result
