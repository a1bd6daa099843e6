"""Real hosts: a laptop and three machines of a network, and the shipped cluster.yaml brought up on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster_on_hosts import ClusterOnHosts, wheel
from host_notebook import Notebooks
from lan import Lan, why_not

#: Every load gives another value, so that the same value twice is one load.
FIRST_CELL = """
import os, time, ray, raycache

def load(key):
    return os.urandom(8).hex()

cache = raycache.connect(address="auto")
users = cache.group("users", getter=load, capacity="4 MiB")
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one cluster are its story, and run in the order in which they stand; the last one ends it."""
    places = [place for place, item in enumerate(items) if item.path.name == "test_real_hosts.py"]
    story = sorted((items[place] for place in places), key=lambda item: item.reportinfo()[1] or 0)
    for place, item in zip(places, story, strict=True):
        items[place] = item


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    if reason := why_not():
        pytest.skip(reason)
    lan = Lan("laptop", "head", "worker1", "worker2")
    yield lan
    lan.end()


@pytest.fixture(scope="module")
def cluster(lan: Lan, tmp_path_factory: pytest.TempPathFactory) -> ClusterOnHosts:
    """The cluster, just after `ray up`."""
    cluster = ClusterOnHosts(*lan.hosts)
    cluster.prepare(wheel(tmp_path_factory.mktemp("wheel")))
    cluster.up()
    return cluster


@pytest.fixture(scope="module")
def notebooks(cluster: ClusterOnHosts) -> Iterator[Notebooks]:
    """A notebook on each host, with the group `users` in it."""
    notebooks = Notebooks(FIRST_CELL)
    yield notebooks
    notebooks.end()
