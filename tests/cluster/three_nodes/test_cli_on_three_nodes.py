"""The commands up, drain and doctor on three nodes, as users run them."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from caches import nothing_left
from cluster_ray import ClusterRay
from commands import Command, errors
from processes import descendants
from sources import Source

import raycache
from raycache.edge import doctor, facts

KEYS = [f"key-{number}" for number in range(300)]


@pytest.fixture
def name(cluster_ray: ClusterRay) -> Iterator[str]:
    """Of a cache that a test makes on three nodes; nothing of it is left."""
    cluster_ray.nodes(3)
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    raycache.connect(name).destroy()
    nothing_left(name)


def test_a_cache_goes_up_on_all_nodes_and_a_node_is_drained(
    command: Command, cluster_ray: ClusterRay, name: str, source: Source
) -> None:
    """What was there is on the others then, and was not loaded again."""
    here = ("--name", name, "--address", cluster_ray.address)
    up = command.run("up", *here, "--capacity", "32MiB", "--nodes", "3")
    shards = raycache.connect(name).shards()
    group = raycache.connect(name).group("users", source, capacity="8MiB", near=0)
    group.get_many(KEYS)
    last = cluster_ray.nodes(3)[-1]
    drained = command.run("drain", last[:12], *here)
    left = raycache.connect(name).shards()
    values = group.get_many(KEYS)

    assert (up.returncode, errors(up)) == (0, [])
    assert {shard.node for shard in shards} == set(cluster_ray.nodes(3))
    assert all(shard.id in up.stdout for shard in shards)
    assert (drained.returncode, errors(drained)) == (0, [])
    assert f"{last[:12]}.0 has left; it had" in drained.stdout
    assert {shard.node for shard in left} == set(cluster_ray.nodes(3)[:2])
    assert values == {key: Source.value(key) for key in KEYS}
    assert sum(source.runs.values()) == len(KEYS)


def test_the_doctor_names_a_node_that_does_not_answer(cluster_ray: ClusterRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time; the others are looked at all the same."""
    ids = cluster_ray.nodes(3)
    monkeypatch.setattr(facts, "PROBE_S", 15.0)
    stopped = raylet(ids[-1])
    os.kill(stopped, signal.SIGSTOP)
    try:
        known = facts.collect("nobody", cluster_ray.address)
    finally:
        os.kill(stopped, signal.SIGCONT)
    found = [finding for finding in doctor.diagnose(known) if finding.check == "ray"]

    assert {node.id: node.answered for node in known.nodes} == {id: id != ids[-1] for id in ids}
    assert [finding.state for finding in found] == [doctor.ERROR]
    assert ids[-1][:12] in found[0].found


def raylet(node: str) -> int:
    """The process of a node's raylet."""
    raylets = [each.pid for each in descendants() if each.command.startswith("raylet")]
    (found,) = [pid for pid in raylets if node.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found
