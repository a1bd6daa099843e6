"""Joining a Ray and a cache in it, and what is said when that cannot be."""

from __future__ import annotations

import glob
import socket
from collections.abc import Callable

import programs
import pytest
from caches import left, nothing_left
from cluster_ray import ClusterRay
from peers import Peer, attempt
from waiting import until

import raycache
from raycache.cluster import deploy

CONNECT = """
    import sys, time
    import raycache

    began = time.monotonic()
    try:
        raycache.connect("never", address=sys.argv[1])
    except raycache.CacheUnavailable as error:
        print(time.monotonic() - began)
        print(error)
"""


@pytest.mark.parametrize("listens", [False, True])
def test_an_address_without_ray_is_refused_in_time(listens: bool) -> None:
    """Whether nobody listens there, or somebody else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if not listens:
            server.close()
        seconds, message = programs.run(CONNECT, address, patience_s=25)[:2]

    assert float(seconds) < 10
    assert address in message


def test_a_process_in_one_ray_cannot_join_another(cluster_ray: ClusterRay) -> None:
    """The message names both."""
    with pytest.raises(raycache.CacheUnavailable, match=rf"'127.0.0.1:1'.*{cluster_ray.address}"):
        raycache.connect("never", address="127.0.0.1:1")


def test_ray_client_is_refused_with_a_remedy(cluster_ray: ClusterRay) -> None:
    """It has no shared memory with the cluster."""
    with pytest.raises(raycache.CacheUnavailable, match="Ray Client"):
        raycache.connect("never", address="ray://127.0.0.1:10001")


def test_a_cache_of_another_version_is_refused(
    make_cache: Callable[..., raycache.Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both versions; the cache goes on for its own."""
    from raycache import connecting

    cache = make_cache()
    monkeypatch.setattr(deploy, "__version__", "0.0.7")
    monkeypatch.setattr(connecting, "_joined", {})
    with pytest.raises(raycache.VersionMismatch, match=rf"raycache {raycache.__version__}, and this is 0\.0\.7"):
        raycache.connect(cache.name)
    monkeypatch.undo()

    assert raycache.connect(cache.name) is cache


def test_a_cache_that_must_be_up_is_not_made(cluster_ray: ClusterRay) -> None:
    """What `raycache status` asks for must not come into being by that."""
    from raycache.connecting import join

    with pytest.raises(raycache.CacheUnavailable, match="no cache 'never' is up"):
        join("never")
    assert left("never") == []


def test_caches_of_different_names_are_independent(make_cache: Callable[..., raycache.Cache]) -> None:
    """The same group and key, different values; the end of one leaves the other."""
    one, two = make_cache(), make_cache()
    for cache in (one, two):
        cache.group("users", None).set("alice", cache.name)
    values = [cache.group("users").get("alice") for cache in (one, two)]
    one.destroy()

    assert values == [one.name, two.name]
    assert two.group("users").get("alice") == two.name
    assert left(one.name) == []


def test_a_node_has_as_many_shards_as_it_was_told(make_cache: Callable[..., raycache.Cache]) -> None:
    """All of them have keys, and all are in the books."""
    cache = make_cache(shards_per_node=2)
    group = cache.group("users", None)
    group.set_many({f"key-{number}": number for number in range(100)})
    shards = cache.shards()

    assert len(shards) == 2
    assert len({shard.pid for shard in shards}) == 2
    assert sum(shard.entries for shard in shards) == len(group) == 100
    assert all(25 < shard.entries < 75 for shard in shards)
    assert group.remove_many(f"key-{number}" for number in range(50)) == 50
    assert sorted(group.keys()) == sorted(f"key-{number}" for number in range(50, 100))


def test_who_made_a_cache_destroys_it_at_the_end_of_the_context(
    make_cache: Callable[..., raycache.Cache], mortal: Callable[[], Peer]
) -> None:
    """Who only joined it lets go of it."""
    name, joiner = make_cache().name, mortal()

    def use() -> bool:
        with raycache.connect(name) as cache:
            cache.group("users", None).set("alice", 1)
        return cache.closed

    assert joiner.do(use)
    with raycache.connect(name) as cache:
        assert cache.group("users").get("alice") == 1
    assert cache.closed
    nothing_left(name)


def test_a_closed_cache_says_so(make_cache: Callable[..., raycache.Cache]) -> None:
    """Its groups, too; connecting again gives one that works."""
    cache = make_cache()
    users = cache.group("users", None)
    users.set("alice", 1)
    cache.close()
    for use in (cache.shards, lambda: users.get("bob"), lambda: users.get("alice"), lambda: users.set("alice", 2)):
        with pytest.raises(raycache.CacheUnavailable, match="closed"):
            use()
    again = raycache.connect(cache.name)

    assert again.group("users").get("alice") == 1
    again.destroy()
    nothing_left(cache.name)


def test_a_cache_may_be_made_again_under_the_name_of_one_that_was_destroyed(
    make_cache: Callable[..., raycache.Cache], mortal: Callable[[], Peer]
) -> None:
    """Processes that had joined the first join the second."""
    first, peer = make_cache(), mortal()
    name = first.name
    users = first.group("users", str.upper)
    peer.do(users.get, "alice")
    first.destroy()
    second = raycache.connect(name, capacity="64 MiB")
    users = second.group("users", str.lower)
    try:
        outcomes = [peer.do(attempt, users.get, "Alice"), peer.do(attempt, lambda: raycache.connect(name).groups())]

        assert [(outcome.error, outcome.value) for outcome in outcomes] == [(None, "alice"), (None, ["users"])]
        assert users.stats().loads == 1
    finally:
        second.destroy()


def test_other_processes_let_go_of_the_memory_of_a_destroyed_cache(
    make_cache: Callable[..., raycache.Cache], mortal: Callable[[], Peer]
) -> None:
    """A file that is deleted but mapped still takes shared memory."""
    cache, peer = make_cache(), mortal()
    users = cache.group("users", str.upper)
    peer.do(users.get, "alice")
    pid, name = peer.pid, cache.name
    mapped = maps(pid, name)
    cache.destroy()

    assert mapped
    until(lambda: not maps(pid, name), "the other process has let go", 10.0)


def maps(pid: int, name: str) -> list[str]:
    """What a process has mapped of a cache's pages."""
    with open(f"/proc/{pid}/maps") as lines:
        return [line for line in lines if f"-{name}-" in line]


def test_nothing_is_left_of_caches_that_were_made_and_destroyed_at_once(cluster_ray: ClusterRay) -> None:
    """Under the same name."""
    for _ in range(3):
        raycache.connect("brief", capacity="64 MiB").destroy()

    nothing_left("brief")
    assert glob.glob("/dev/shm/raycache-*-brief-*") == []
