"""A Ray of this process's own, of one or several nodes on this machine, and generators that run on them as tasks.

Whatever is started here has ended when the context is left: also on errors, Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycache.core.memory import sweep

#: Each node's object store; near the least that Ray takes.
STORE_BYTES = 100 << 20
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
#: How long to wait for killed processes to be gone.
_END_S = 5.0


@contextlib.contextmanager
def local_ray(nodes: int) -> Iterator[list[str]]:
    """Starts a Ray of so many nodes on this machine, quietly, and ends it; gives Ray's ids of the nodes, own one first.

    Its logs and sockets are in a folder of its own that goes with it. To be used in the main thread.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(sweep)  # the last of all: what shards have left that were interrupted in being made
        stack.callback(_handle, {each: signal.getsignal(each) for each in _INTERRUPTS})
        folder = tempfile.mkdtemp(prefix="raydemo-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_no_orphans())
        stack.callback(ray.shutdown)
        try:
            with _deferred():
                _start(nodes, folder, stack)
            # Ray's own handler of SIGTERM would end nodes that the cache still needs for its end.
            _handle({signal.SIGTERM: signal.default_int_handler})
            own = ray.get_runtime_context().get_node_id()
            yield sorted((node["NodeID"] for node in ray.nodes() if node["Alive"]), key=lambda id: (id != own, id))
        finally:  # a second Ctrl-C does not interrupt what the first one began
            _handle(dict.fromkeys(_INTERRUPTS, signal.SIG_IGN))


def _start(nodes: int, folder: str, stack: contextlib.ExitStack) -> None:
    start_node(STORE_BYTES, _temp_dir=folder)
    cluster = more_nodes()
    stack.callback(_end_nodes, cluster)
    for _ in range(nodes - 1):
        cluster.add_node(object_store_memory=STORE_BYTES)


def start_node(store_bytes: int, **options: Any) -> None:
    """A Ray of one node for this process alone, also where RAY_ADDRESS leads to one that others use."""
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=store_bytes,
        **options,
    )


def more_nodes() -> Cluster:
    """What adds nodes on this machine to the Ray that this process is in, which is their head.

    With a head of its own a `Cluster` would be one without token authentication, and would write its address where
    every other `ray.init()` on this machine looks.
    """
    cluster = Cluster()
    cluster.head_node = SimpleNamespace(gcs_address=ray.get_runtime_context().gcs_address)
    return cluster


def _end_nodes(cluster: Cluster) -> None:
    """Ends the nodes beside the head."""
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node)


@contextlib.contextmanager
def _deferred() -> Iterator[None]:
    """Ctrl-C waits for the end of the context: a Ray that is interrupted while it starts can crash this process."""
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


def _handle(handlers: dict[signal.Signals, Any]) -> None:
    for each, handler in handlers.items():
        signal.signal(each, handler)


@contextlib.contextmanager
def _no_orphans() -> Iterator[None]:
    """Ends all processes that were begun in the context, also those whose parents have ended without them.

    A Ray that is ended while it starts leaves agents behind that would wait for their node for ever. Linux gives such
    orphans to the nearest subreaper, which here is this process.
    """
    besides = _children()
    _be_subreaper(True)
    try:
        yield
    finally:
        deadline = time.monotonic() + _END_S
        while (left := _children() - besides) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)
        _be_subreaper(False)


def _be_subreaper(yes: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(yes), 0, 0, 0)


def _children() -> set[int]:
    """The processes whose parent is this one."""
    children = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                children.add(int(path.parent.name))
    return children


def stream(
    generator: Callable[..., Iterator[Any]], calls: Sequence[tuple[Any, ...]], nodes: list[str]
) -> Iterator[Any]:
    """Runs the generator for each of the arguments, all at once, in processes spread over the nodes.

    What they yield comes as they yield it; what they raise is raised here.
    """
    task = ray.remote(generator)
    streams = []
    for number, args in enumerate(calls):
        there = NodeAffinitySchedulingStrategy(nodes[number % len(nodes)], soft=False)
        # No CPUs: all of them are to run at the same time, however few cores there are.
        options = {"num_cpus": 0, "num_returns": "streaming", "max_retries": 0, "scheduling_strategy": there}
        streams.append(task.options(**options).remote(*args))
    while streams:
        for one in ray.wait(streams, num_returns=1)[0]:
            came = next(one, None)
            if came is None:
                streams.remove(one)
            else:
                yield ray.get(came)
