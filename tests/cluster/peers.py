"""Other processes of the cluster that do what a test tells them: Ray actors, each with a near cache of its own."""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from marks import Marks
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from waiting import until

import raycache
import raycache.connecting
from raycache.core.fetch import Fetch

PATIENCE_S = 60.0
LET_GO_S = 20.0  # with it a test that fails stays within its own time


@dataclass(frozen=True)
class Outcome:
    """How a call ended in another process: what it returned or raised, how long it took, and when it had begun by the
    machine's clock."""

    value: Any = None
    error: type[BaseException] | None = None
    message: str = ""
    notes: str = ""
    seconds: float = 0.0
    began: float = 0.0


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """Calls a function; an exception is part of the outcome."""
    began = time.monotonic()
    try:
        value = function(*args, **kwargs)
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        return Outcome(None, type(error), str(error), notes, time.monotonic() - began, began)
    return Outcome(value, seconds=time.monotonic() - began, began=began)


def get_announced(group: raycache.Group, key: Any, arrivals: Marks, timeout: float | None = None) -> Any:
    """A get that adds a line when its shard has told it to wait for a load."""
    waits, process = Fetch._waits, str(os.getpid())

    def announce(fetch: Fetch, name: bytes, started: bool) -> None:
        waits(fetch, name, started)
        if process not in arrivals.lines():
            arrivals.add(process)

    with mock.patch.object(Fetch, "_waits", announce):
        return group.get(key, timeout=timeout)


def let_go(name: str) -> None:
    """Closes the process's handles of a cache."""
    for cache in list(raycache.connecting._joined.values()):
        if cache.name == name:
            cache.close()


class PeerActor:
    """One process."""

    def __init__(self) -> None:
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process lives
        faulthandler.register(signal.SIGUSR1, self._stacks)

    def about(self) -> tuple[int, Path]:
        """Its pid, and the file where it writes its stacks at SIGUSR1."""
        return os.getpid(), Path(f"/proc/{os.getpid()}/fd/{self._stacks.fileno()}")

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class Peer:
    """The test's end of a peer. Without a node it is on the test's own."""

    def __init__(self, node: str | None = None) -> None:
        node = node or ray.get_runtime_context().get_node_id()
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        self.node = node
        self._actor = ray.remote(PeerActor).options(num_cpus=0, scheduling_strategy=there).remote()
        self._about = self._actor.about.remote()

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Begins a call; `result` waits for it."""
        return self._actor.run.remote(function, *args, **kwargs)

    def do(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Makes a call and gives what it returns."""
        return ray.get(self.start(function, *args, **kwargs), timeout=PATIENCE_S)

    def let_go(self, cache: str) -> None:
        self.do(let_go, cache)

    @property
    def pid(self) -> int:
        pid: int = result(self._about)[0]
        return pid

    def stacks(self) -> str:
        """Where its threads are, also while it hangs."""
        pid, stacks = result(self._about)
        os.kill(pid, signal.SIGUSR1)
        until(lambda: "File" in stacks.read_text(), f"{pid} says where it is", 5.0)
        return stacks.read_text()

    def end(self) -> None:
        ray.kill(self._actor)


def result(call: Any) -> Any:
    """What a call has brought that was begun by `Peer.start`."""
    return ray.get(call, timeout=PATIENCE_S)


def results(calls: list[Any], patience_s: float = PATIENCE_S) -> list[Any]:
    return list(ray.get(calls, timeout=patience_s))


def let_go_of(cache: str, peers: list[Peer]) -> None:
    """Has peers close what they have of a cache. In the place of those that do not come others: one test's fault stays
    its own."""
    calls = [peer.start(let_go, cache) for peer in peers]
    if calls:
        ray.wait(calls, num_returns=len(calls), timeout=LET_GO_S)
    outcomes = [attempt(ray.get, call, timeout=0) for call in calls]
    stacks = []
    for place, outcome in enumerate(outcomes):
        if outcome.error:
            stacks.append(attempt(peers[place].stacks))
            peers[place].end()
            peers[place] = Peer(peers[place].node)
    said = "\n".join(str(each.value or each) for each in stacks)
    assert not stacks, f"peers did not let go of {cache}: {outcomes}\n{said}"


class Peers:
    """A pool of peers on the test's node: starting a process takes longer than most tests."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []

    def __call__(self, number: int) -> list[Peer]:
        self._peers += [Peer() for _ in range(number - len(self._peers))]
        return self._peers[:number]

    def let_go(self, cache: str) -> None:
        let_go_of(cache, self._peers)

    def end(self) -> None:
        for peer in self._peers:
            peer.end()
        self._peers.clear()
