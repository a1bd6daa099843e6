"""Who has made a cache, and so ends it with its `with` block."""

from __future__ import annotations

import uuid

import pytest
import ray
from caches import nothing_left
from cluster_ray import ClusterRay

from raycache.cluster import deploy
from raycache.options import CacheOptions

MAKERS = 6


@pytest.fixture
def name(cluster_ray: ClusterRay) -> str:
    cluster_ray.nodes(1)
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    deploy.destroy(name)
    nothing_left(name)


@ray.remote(num_cpus=0)
class Maker:
    """One of several processes that want the same cache."""

    def ready(self) -> None:
        """Answers when the process is there."""

    def make(self, name: str) -> bool:
        return deploy.directory(name, CacheOptions(capacity_bytes=32 << 20))[1]


def test_of_processes_that_make_a_cache_at_the_same_moment_one_has_made_it(name: str) -> None:
    """The others' `with` blocks must not destroy it."""
    makers = [Maker.remote() for _ in range(MAKERS)]
    ray.get([maker.ready.remote() for maker in makers])
    made = ray.get([maker.make.remote(name) for maker in makers])

    assert sum(made) == 1
    assert not ray.get(makers[0].make.remote(name))
