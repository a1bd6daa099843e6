"""Bringing a cache up in a Ray cluster, and joining one that is up."""

from __future__ import annotations

import secrets
import time
from typing import Any

import ray
import ray.exceptions

from raycache._version import __version__
from raycache.cluster import nodes
from raycache.cluster.directory import PATIENCE_S, DirectoryActor
from raycache.cluster.peers import NAMESPACE, directory_name, shard_name
from raycache.core.memory import folders, sweep
from raycache.errors import CacheUnavailable, VersionMismatch
from raycache.options import CacheOptions

#: How long connecting waits for the directory to be there, and for shards to serve; and how often it looks.
UP_S, READY_S = 60.0, 0.02
#: How long the directory may take to answer who ends the cache, its restart included.
RESTART_S = 10.0


def find_directory(cache: str) -> Any | None:
    """The cache's directory, if the cache is up."""
    try:
        return ray.get_actor(directory_name(cache), NAMESPACE)
    except ValueError:
        return None


def directory(cache: str, options: CacheOptions | None) -> tuple[Any, bool]:
    """The cache's directory, made if need be, and whether it was made here.

    Args:
        options: of the cache, if it is made; None: it must be up.

    Raises:
        CacheUnavailable: it is not up, or does not come up.
        VersionMismatch: it is of another version.
    """
    sweep()
    maker = secrets.token_hex(8)  # two processes may make it at the same moment, and one of them has then
    deadline = time.monotonic() + UP_S
    while True:
        found = find_directory(cache)
        if found is None:
            if options is None:
                raise CacheUnavailable(
                    f"no cache {cache!r} is up in this Ray; raycache.connect({cache!r}) in a program makes it"
                )
            found = _make_directory(cache, options, maker)
        try:
            hello = ray.get(found.hello.remote(), timeout=UP_S)
        except ray.exceptions.RayError as error:  # on its way down, or lost a race to be made
            if time.monotonic() > deadline:
                raise CacheUnavailable(f"the directory of the cache {cache!r} does not come up: {error}") from error
            time.sleep(0.1)
            continue
        if hello["version"] != __version__:
            raise VersionMismatch(
                f"the cache {cache!r} was started by raycache {hello['version']}, and this is {__version__}; install "
                f"the same version everywhere, or end the cache with that version and start it anew"
            )
        return found, hello["maker"] == maker


def _make_directory(cache: str, options: CacheOptions, maker: str) -> Any:
    return (
        ray.remote(DirectoryActor)
        .options(
            name=directory_name(cache),
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            max_restarts=-1,
            get_if_exists=True,
            scheduling_strategy=nodes.preferably_on_the_head(),
        )
        .remote(cache, options, maker)
    )


def wait_until_ready(cache: str, ids: list[str], deadline: float) -> None:
    """Waits until these shards serve; raises TimeoutError with the names of those that do not."""
    waiting = list(ids)
    while waiting:
        waiting = [id for id in waiting if not _ready(cache, id)]
        if waiting and time.monotonic() > deadline:
            raise TimeoutError(f"no lease yet for {', '.join(waiting)}")
        if waiting:
            time.sleep(READY_S)


def _ready(cache: str, id: str) -> bool:
    try:
        return bool(ray.get(ray.get_actor(shard_name(cache, id), NAMESPACE).ready.remote(), timeout=PATIENCE_S))
    except (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError, ValueError):
        return False


def destroy(cache: str) -> None:
    """Ends the cache: its shards, its directory, all that they had.

    Raises CacheUnavailable where its directory does not answer. It is killed then, and the shards end without it.
    """
    found = find_directory(cache)
    if found is None:
        return
    try:
        ours = _stop(found)
    except ray.exceptions.RayError as error:
        raise CacheUnavailable(
            f"the directory of the cache {cache!r} did not answer within {RESTART_S:g} s, and was killed "
            f"({type(error).__name__}: {error}); its shards end by themselves within seconds, and `raycache status` "
            f"says when the cache is gone"
        ) from error
    finally:
        ray.kill(found)
    deadline = time.monotonic() + 5 * PATIENCE_S
    # A shard that was just being restarted could not remove its folder, and takes a moment to be gone.
    while (find_directory(cache) is not None or (ours and folders(ours))) and time.monotonic() < deadline:
        if ours:
            sweep(ours)
        time.sleep(0.02)


def _stop(directory: Any) -> str:
    """Has a directory end its shards, once more if it dies meanwhile and is restarted; how their folders begin."""
    ours, deadline = "", time.monotonic() + RESTART_S
    while True:
        last = time.monotonic() > deadline
        try:
            ours = str(ray.get(directory.hello.remote(), timeout=PATIENCE_S)["folders"])
            ray.get(directory.stop.remote(), timeout=10 * PATIENCE_S)
            return ours
        except ray.exceptions.ActorDiedError:  # somebody else ends the cache
            return ours
        except ray.exceptions.RayError:
            if last:
                raise
        time.sleep(READY_S)
