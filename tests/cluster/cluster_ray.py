"""The Ray of a test run: started once, with one node or with three, ended with the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from processes import Process, descendants
from waiting import until

from raycache.cluster.local import more_nodes

STORE_BYTES = 256 << 20


class ClusterRay:
    """One Ray, whose number of nodes is changed as tests want it. The first node is the one that the tests are on."""

    def __init__(self) -> None:
        # Ray's workers inherit these.
        self._environment = pytest.MonkeyPatch()
        for folder in (Path(__file__).parent, Path(__file__).parent / "three_nodes"):  # what tests give them is there
            self._environment.setenv("PYTHONPATH", os.fspath(folder), prepend=os.pathsep)
        # Else Ray would kill workers when the machine's memory runs short, whoever took it.
        self._environment.setenv("RAY_memory_monitor_refresh_ms", "0")
        self._processes: list[Process] = []  # that were started here; Ray's others are below them
        with self._starting():
            context = ray.init(
                address="local",  # whatever Ray runs on this machine already
                num_cpus=4,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        self.address = context.address_info["gcs_address"]
        self._cluster = more_nodes()
        self.others: list[Any] = []

    def nodes(self, number: int) -> list[str]:
        """Has so many nodes run; Ray's ids of them, the tests' own first."""
        while len(self.others) > number - 1:
            self.remove(self.others[-1])
        while len(self.others) < number - 1:
            self.add()
        return [ray.get_runtime_context().get_node_id(), *(node.node_id for node in self.others)]

    def add(self) -> Any:
        """One more node, by Ray's handle of it; `node_id` is its id."""
        with self._starting():
            self.others.append(self._cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES))
        return self.others[-1]

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Other tests have processes below this one, too."""
        before = descendants()
        yield
        self._processes += [each for each in descendants() if each not in before and each.parent == os.getpid()]

    def remove(self, node: Any, *, crash: bool = False) -> None:
        """Ends a node, in good order or at once as a crash would, and waits until Ray knows."""
        self.others.remove(node)
        self._cluster.remove_node(node, allow_graceful=not crash)
        until(lambda: node.node_id not in self._alive(), f"Ray knows that {node.node_id} is gone", 60.0)

    def _alive(self) -> set[str]:
        return {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def end(self) -> None:
        """Ends Ray; none of its processes is left."""
        below = self._processes + [each for root in self._processes for each in descendants(root.pid)]
        for node in list(self.others):
            self.remove(node)
        ray.shutdown()
        self._environment.undo()
        until(
            lambda: not any(each.lives for each in below),
            lambda: f"all processes of Ray have ended; there are {[each for each in below if each.lives]}",
        )
