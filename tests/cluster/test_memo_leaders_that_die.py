"""Who computes a call is killed in the middle, or who brought its arguments: nobody hangs, the next call computes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from cluster_ray import ClusterRay
from marks import Marks
from memos import MODES, call_announced, fetching, fetching_async
from peers import Peer, Peers, attempt, result, results
from programs import Program
from sources import Source
from waiting import until

import raycache
from raycache.core.fills import TOKEN_S

#: A computation whose process is gone must be anybody's within this time: a token lives for a tenth of it.
SOON_S = 30.0


@pytest.fixture
def fetch(source: Source, cache: raycache.Cache, where: str) -> Any:
    """A function that the shard knows already."""
    function = fetching_async(source, cache.name, where=where)
    call_announced(function, Marks(source._folder / "first"), "somebody else")
    return function


@pytest.mark.parametrize("where", ["task"])
def test_those_who_wait_for_a_task_that_is_killed_get_loader_died(
    fetch: Any, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """At once, from one run; the next call computes."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    calls = [peer.start(attempt, call_announced, fetch, arrivals, "alice") for peer in peers(3)]
    arrivals.await_lines(3)
    source.await_run("alice")
    os.kill(source.pids("alice")[0], signal.SIGKILL)
    outcomes = results(calls)
    source.behave("alice")

    assert [outcome.error for outcome in outcomes] == [raycache.LoaderDied] * 3
    assert call_announced(fetch, arrivals, "alice") == Source.value("alice")
    assert source.runs["'alice'"] == 2


@pytest.mark.parametrize("where", ["caller"])
def test_those_who_wait_for_a_caller_that_is_killed_compute_in_its_place(
    fetch: Any, source: Source, peers: Peers, mortal: Callable[[], Peer], tmp_path: Path
) -> None:
    """One of them does, when the token of the dead has run out; all have the value."""
    leader, pid = mortal(), None
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    leader.start(attempt, call_announced, fetch, arrivals, "alice")
    source.await_run("alice")
    (pid,) = source.pids("alice")
    calls = [peer.start(attempt, call_announced, fetch, arrivals, "alice") for peer in peers(3)]
    arrivals.await_lines(4)
    os.kill(pid, signal.SIGKILL)
    source.behave("alice")
    outcomes = results(calls)

    assert [outcome.value for outcome in outcomes] == [Source.value("alice")] * 3
    assert max(outcome.seconds for outcome in outcomes) < SOON_S
    assert source.runs["'alice'"] == 2


@pytest.mark.parametrize("where", MODES)
def test_a_call_after_its_leader_was_killed_computes(
    where: str, source: Source, cache: raycache.Cache, mortal: Callable[[], Peer]
) -> None:
    """Nobody waited; what the dead one had begun blocks the key for seconds at most."""
    function = fetching(source, cache.name, where=where)
    source.will("wait", "alice")
    call = mortal().start(attempt, function, "alice")
    source.await_run("alice")
    os.kill(source.pids("alice")[0], signal.SIGKILL)
    if where == "task":
        assert result(call).error is raycache.LoaderDied
    source.behave("alice")
    outcome = attempt(function, "alice")

    assert outcome.value == Source.value("alice")
    assert outcome.seconds < SOON_S
    assert source.runs == {"'alice'": 2}


@pytest.mark.parametrize("where", ["caller"])
def test_a_caller_that_is_killed_harms_no_other_call(
    fetch: Any, source: Source, peers: Peers, mortal: Callable[[], Peer], tmp_path: Path
) -> None:
    """Other keys of the function are computed meanwhile, without waiting for the dead one's token."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    mortal().start(attempt, call_announced, fetch, arrivals, "alice")
    source.await_run("alice")
    os.kill(source.pids("alice")[0], signal.SIGKILL)
    outcome = peers(1)[0].do(attempt, call_announced, fetch, arrivals, "bob")

    assert outcome.value == Source.value("bob")
    assert outcome.seconds < TOKEN_S


#: Calls with an argument that travels through the object store, and belongs to this program.
OWNER = """
    import sys
    from pathlib import Path
    import numpy as np
    import ray
    from memos import fetching_async, call_announced
    from marks import Marks
    from sources import Source

    address, cache, folder, arrivals = sys.argv[1:]
    ray.init(address=address, log_to_driver=False)
    probe = ray.put(np.arange(100_000.0))
    print(ray.cloudpickle.dumps(probe).hex(), flush=True)
    fetch = fetching_async(Source(Path(folder)), cache)
    call_announced(fetch, Marks(Path(arrivals)), "alice", np.arange(100_000.0))
"""


def kill(owner: Program, probe: Any) -> None:
    """Returns when its objects are gone: until Ray knows, they can still be read."""
    owner.kill()

    def gone() -> bool:
        try:
            ray.get(probe, timeout=1.0)
        except ray.exceptions.ObjectLostError:
            return True
        except ray.exceptions.GetTimeoutError:  # not there, but Ray does not know yet that it is lost
            pass
        return False

    until(gone, "the objects of the program are gone")


@pytest.mark.parametrize("where", ["task"])
def test_a_call_whose_arguments_died_with_their_owner_is_made_with_those_of_others(
    fetch: Any, source: Source, cluster_ray: ClusterRay, cache: raycache.Cache, peers: Peers, tmp_path: Path
) -> None:
    """It waits for a free task when the program is killed that had asked first; who joined it brings the same ones."""
    busy = ["busy 1", "busy 2"]
    source.will("wait", *busy)
    arrivals = Marks(tmp_path / "arrivals")
    others = [peer.start(call_announced, fetch, arrivals, key) for peer, key in zip(peers(2), busy, strict=True)]
    for key in busy:
        source.await_run(key)
    data = np.arange(100_000.0)
    words = (cluster_ray.address, cache.name, tmp_path / "source", tmp_path / "owner")
    with Program(OWNER, *words) as owner:
        probe = ray.cloudpickle.loads(bytes.fromhex(owner.line()))
        Marks(tmp_path / "owner").await_lines(1)
        queued = fetch.explain("alice", data).computing
        late = peers(3)[2].start(attempt, call_announced, fetch, arrivals, "alice", data)
        arrivals.await_lines(3)
        kill(owner, probe)
    source.behave(*busy)
    outcome = result(late)

    assert queued
    assert results(others) == [Source.value(key) for key in busy]
    assert outcome.value == Source.value("alice")
    assert source.runs["'alice'"] == 1
    assert until(lambda: fetch.explain("alice", data).hit, "the result is kept")


@pytest.mark.parametrize("where", ["task"])
def test_a_call_whose_owner_was_killed_before_it_began_can_be_made_again(
    fetch: Any, source: Source, cluster_ray: ClusterRay, cache: raycache.Cache, peers: Peers, tmp_path: Path
) -> None:
    """Nobody waited for it; the key is not taken for ever."""
    busy = ["busy 1", "busy 2"]
    source.will("wait", *busy)
    arrivals = Marks(tmp_path / "arrivals")
    others = [peer.start(call_announced, fetch, arrivals, key) for peer, key in zip(peers(2), busy, strict=True)]
    for key in busy:
        source.await_run(key)
    data = np.arange(100_000.0)
    words = (cluster_ray.address, cache.name, tmp_path / "source", tmp_path / "owner")
    with Program(OWNER, *words) as owner:
        probe = ray.cloudpickle.loads(bytes.fromhex(owner.line()))
        Marks(tmp_path / "owner").await_lines(1)
        kill(owner, probe)
    source.behave(*busy)
    results(others)
    outcome = peers(1)[0].do(attempt, call_announced, fetch, arrivals, "alice", data)

    assert outcome.value == Source.value("alice")
    assert outcome.seconds < SOON_S
