"""The directory is killed: nothing that runs stops, and it comes back knowing what it knew."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import ray
from caches import nothing_left
from peers import Peer, Peers, results
from processes import alive
from sources import Source
from waiting import until

import raycache
from raycache.cluster import deploy
from raycache.cluster.peers import NAMESPACE, directory_name


def kill_directory(cache: raycache.Cache) -> int:
    """Kills its process; the process id."""
    pid = directory_pid(cache)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the directory is dead")
    return pid


def directory_pid(cache: raycache.Cache) -> int:
    directory = ray.get_actor(directory_name(cache.name), NAMESPACE)
    return int(ray.get(directory.__ray_call__.remote(lambda _: os.getpid()), timeout=30))


def ready(cache: raycache.Cache) -> bool:
    """Whether the directory answers."""
    try:
        cache.groups()
    except raycache.CacheUnavailable:
        return False
    return True


def test_a_killed_directory_comes_back_with_members_groups_and_options(
    make_cache: Callable[..., raycache.Cache], source: Source, mortal: Callable[[], Peer]
) -> None:
    """And a process that is new then finds all of it."""
    cache = make_cache()
    users = cache.group("users", source, ttl="1h")
    cache.group("friends", None)
    users.get("alice")
    before = [(shard.id, shard.pid, shard.epoch) for shard in cache.shards()]
    kill_directory(cache)
    until(lambda: ready(cache), "the directory is back")
    name = cache.name

    assert [(shard.id, shard.pid, shard.epoch) for shard in cache.shards()] == before
    assert cache.groups() == ["friends", "users"]
    assert mortal().do(lambda: raycache.connect(name).group("users").get("alice")) == Source.value("alice")
    assert cache.group("users", source, ttl="1h") is users
    assert source.runs == {"'alice'": 1}


def test_gets_sets_and_removes_go_on_while_the_directory_is_dead(
    make_cache: Callable[..., raycache.Cache], source: Source, pool: Peers
) -> None:
    """Hits, loads and changes need it for nothing."""
    cache = make_cache()
    users = cache.group("users", source)
    peers = pool(2)
    for peer in peers:
        peer.do(users.get, "alice")

    def use(number: int) -> list[Any]:
        seen = []
        for turn in range(30):
            users.set(f"{number}-{turn}", turn)
            seen += [users.get("alice"), users.get(f"{number}-{turn}"), users.remove(f"{number}-{turn}")]
            seen += [users.get(f"{number}-{turn}")]
        return seen

    def expected(number: int) -> list[Any]:
        return [
            each for turn in range(30) for each in (Source.value("alice"), turn, True, Source.value(f"{number}-{turn}"))
        ]

    calls = [peer.start(use, number) for number, peer in enumerate(peers)]
    source.await_run("0-3")
    kill_directory(cache)

    assert results(calls) == [expected(0), expected(1)]
    until(lambda: ready(cache), "the directory is back")


def test_a_directory_may_be_killed_again_and_again(make_cache: Callable[..., raycache.Cache], source: Source) -> None:
    """Groups that were registered between two deaths are known after the second."""
    cache = make_cache()
    for number in range(3):
        cache.group(f"group-{number}", source, capacity="1 MiB")
        kill_directory(cache)
        until(lambda: ready(cache), "the directory is back")

    assert cache.groups() == ["group-0", "group-1", "group-2"]
    assert cache.group("group-0").get("alice") == Source.value("alice")


def test_a_cache_may_be_destroyed_while_its_directory_is_being_restarted(
    make_cache: Callable[..., raycache.Cache],
) -> None:
    """It is asked again when it is back, and nothing is left."""
    cache = make_cache()
    kill_directory(cache)
    cache.destroy()
    nothing_left(cache.name)


def test_who_destroys_a_cache_whose_directory_hangs_is_told_so_and_it_ends_all_the_same(
    make_cache: Callable[..., raycache.Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is killed, and its shards have nobody then."""
    monkeypatch.setattr(deploy, "RESTART_S", 0.5)
    monkeypatch.setattr(deploy, "PATIENCE_S", 0.5)
    cache = make_cache()
    (shard,) = cache.shards()
    pid = directory_pid(cache)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(
        raycache.CacheUnavailable, match=f"directory of the cache '{cache.name}' did not answer .* kill"
    ):
        cache.destroy()
    until(lambda: not alive(pid), "the directory is dead")
    until(lambda: not alive(shard.pid), "its shard has ended")
    nothing_left(cache.name)
