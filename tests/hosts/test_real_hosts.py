"""The shipped cluster.yaml on real hosts: brought up by `ray up`, used, a host cut off and healed, taken down."""

from __future__ import annotations

import pytest
from cluster_on_hosts import ClusterOnHosts
from host_notebook import Notebooks
from lan import Lan

pytestmark = pytest.mark.timeout(600)  # the first test waits for `ray up`: some 40 s on two cores that are free

LEASE_S = 3.0


def keys(prefix: str) -> str:
    """More than enough that every shard owns some."""
    return f"[f'{prefix}-{{number}}' for number in range(30)]"


def test_the_next_cell_on_the_head_finds_a_cache_with_a_shard_on_every_host(
    cluster: ClusterOnHosts, notebooks: Notebooks
) -> None:
    """`ray up` is back when the workers have joined and the cache serves."""
    nodes = notebooks(cluster.head)("sorted(node['NodeManagerAddress'] for node in ray.nodes() if node['Alive'])")
    shards = notebooks(cluster.head)("len({shard.node for shard in cache.shards()})")

    assert [host.address for host in cluster.hosts] == nodes
    assert shards == 3


def test_the_token_is_on_every_host_for_its_user_alone(cluster: ClusterOnHosts) -> None:
    """It lies in a file of mode 0600, and stands in no command line."""
    for host in cluster.hosts:
        file = host.home / ".ray" / "auth_token"

        assert file.read_text() == cluster.token
        assert file.stat().st_mode & 0o777 == 0o600
        assert not [line for line in host.commands() if cluster.token in line]
        assert [line for line in host.commands() if "raylet" in line]


@pytest.mark.parametrize(
    ("token", "status"),
    [("RAY_AUTH_MODE=token", 0), ("RAY_AUTH_MODE=token RAY_AUTH_TOKEN=guessed", 1), ("RAY_AUTH_MODE=disabled", 1)],
    ids=["right", "wrong", "none"],
)
def test_only_who_has_the_token_is_answered(cluster: ClusterOnHosts, token: str, status: int) -> None:
    """Ray's GCS refuses everybody else."""
    asks = f"env {token} ~/raycache-env/bin/ray health-check --address {cluster.head.address}:6379"

    said = cluster.ssh(cluster.workers[0], f"{asks} 2>&1; echo $?").split()

    assert str(status) == said[-1]
    assert ("InvalidAuthToken:" in said) == bool(status)


def test_a_key_is_loaded_once_for_all_hosts(cluster: ClusterOnHosts, notebooks: Notebooks) -> None:
    """What one host has loaded the others get: each load would give another value."""
    on_head, *on_workers = [notebooks(host)(f"users.get_many({keys('once')})") for host in cluster.hosts]

    assert [on_head, on_head] == on_workers


def test_a_worker_reads_what_its_own_shard_has_from_shared_memory(
    cluster: ClusterOnHosts, notebooks: Notebooks
) -> None:
    """Of thirty keys about a third are owned by the worker's shard, and each is read once by a new process there."""
    notebooks(cluster.head)(f"users.get_many({keys('paged')})")

    hits = notebooks(cluster.workers[0])(
        "before = users.stats().page_hits\n"
        f"[users.get(key) for key in {keys('paged')}]\n"
        "users.stats().page_hits - before"
    )

    assert 0 < hits < 30


def test_what_is_removed_on_one_host_is_gone_on_all(cluster: ClusterOnHosts, notebooks: Notebooks) -> None:
    """Also from the near caches, which every notebook has of its own."""
    for _ in range(5):
        old = [notebooks(host)("users.get('removed')") for host in cluster.hosts]
        notebooks(cluster.workers[1])("users.remove('removed')")
        new = [notebooks(host)("users.get('removed')") for host in cluster.hosts]

        assert len(set(old)) == len(set(new)) == 1
        assert set(old).isdisjoint(new)


def test_a_host_that_is_cut_off_holds_nobody_up_and_gives_nothing_old(
    cluster: ClusterOnHosts, notebooks: Notebooks, lan: Lan
) -> None:
    """The others get and remove within bounds, the host loads or says that it cannot; healed, it serves again."""
    head, other, cut = (notebooks(host) for host in (cluster.head, cluster.workers[0], cluster.workers[1]))
    old, *_ = [notebook(f"users.get_many({keys('cut')})") for notebook in (head, other, cut)]

    lan.link(cluster.workers[1], "down")
    other.start(_GETS_FOR_TEN_SECONDS)
    removed_s = head(f"began = time.monotonic(); users.remove_many({keys('cut')}); time.monotonic() - began")
    on_the_cut_one = cut(_TRIES)
    stalls = other.result()
    lan.link(cluster.workers[1], "up")

    assert removed_s < 10
    assert [(key, stall) for key, stall in stalls if stall > LEASE_S + 5] == []
    assert old["cut-0"] not in on_the_cut_one
    head.until("sum(shard.reachable for shard in cache.shards()) == 3", "all shards serve", 40)
    new = head(f"users.remove_many({keys('cut')}); users.get_many({keys('cut')})")
    assert set(old.values()).isdisjoint(new.values())
    for notebook in (other, cut):
        notebook.until(f"users.get_many({keys('cut')}) == {new}", "every host has the same", 40)


_GETS_FOR_TEN_SECONDS = f"""
stalls, number, began = [], 0, time.monotonic()
while time.monotonic() < began + 10:
    for key in {keys("cut")}[number % 30], f"new-{{number}}":
        asked = time.monotonic()
        users.get(key, timeout=30)
        stalls.append((key, time.monotonic() - asked))
    number += 1
stalls
"""

_TRIES = """
def attempt():
    try:
        return users.get("cut-0", timeout=2)
    except raycache.RaycacheError as error:
        return type(error).__name__

[attempt() for _ in range(3)]
"""


def test_when_the_cluster_is_down_nothing_of_it_is_left(cluster: ClusterOnHosts, notebooks: Notebooks) -> None:
    """No process, and nothing in shared memory."""
    notebooks.end()

    cluster.down()

    for host in cluster.hosts:
        left = [*host.commands(), *(host.root / "dev" / "shm").iterdir()]

        assert left == []
