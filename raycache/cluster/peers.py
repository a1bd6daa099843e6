"""Actor calls to the directory and the shards of a cache, and waiting for them: what clients and shards share."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from typing import Any

import ray
import ray.exceptions

from raycache._version import __version__
from raycache.cluster.loader import failed
from raycache.cluster.page_client import Reading
from raycache.core import futures
from raycache.core.futures import Done, Pending
from raycache.core.messages import Call, Failed, GroupSpec, View
from raycache.core.steps import Local, Wait
from raycache.errors import VersionMismatch

NAMESPACE = "raycache"

#: How long it may take to get what is there. Ray may have dropped it again, and then nobody would be told.
READY_S = 1.0

_READINGS = frozenset({Reading})
_NO_RAY = Done(Failed("this process has left Ray (ray.shutdown)"))


def directory_name(cache: str) -> str:
    return f"{cache}.directory"


def shard_name(cache: str, id: str) -> str:
    return f"{cache}.shard.{id}"


class Peers:
    """Reaches one cache's directory and shards, with ObjectRefs as futures; also what waits for its futures."""

    def __init__(self, cache: str, directory: Any) -> None:
        self._cache, self._directory = cache, directory
        self._shards: dict[str, Any] = {}

    def ask(self, shard: str, message: Any) -> Any:
        if not ray.is_initialized():  # a call would start another Ray
            return _NO_RAY
        try:
            if shard not in self._shards:
                self._shards[shard] = ray.get_actor(shard_name(self._cache, shard), NAMESPACE)
            return self._shards[shard].handle.remote(message)
        except Exception as error:  # no such actor (any more), no Ray (any more)
            self._shards.pop(shard, None)
            return Done(Failed(f"{type(error).__name__}: {error}"))

    def ask_directory(self, message: Any) -> Any:
        if not ray.is_initialized():
            return _NO_RAY
        try:
            return self._directory.handle.remote(message)
        except Exception as error:
            return Done(Failed(f"{type(error).__name__}: {error}"))

    def wait(self, want: Wait) -> list[Any]:
        refs = want.futures
        if _READINGS.issuperset(map(type, refs)) and refs:
            return self._read(want)
        if not refs or not all(isinstance(future, ray.ObjectRef) for future in refs):
            return [_plain(came) for came in futures.wait(self._as_futures(want), self._failed)]
        if len(refs) == 1:
            return [self._get(refs[0], want.timeout_s)]
        distinct = list(dict.fromkeys(refs))
        ray.wait(distinct, num_returns=len(distinct) if want.all else 1, timeout=want.timeout_s)
        ready, _ = ray.wait(distinct, num_returns=len(distinct), timeout=0)
        until = time.monotonic() + READY_S
        came = {ref: self._get(ref, max(until - time.monotonic(), 0.0)) for ref in ready}
        return [came.get(ref) for ref in refs]

    def _read(self, want: Wait) -> list[Any]:
        """What page servers answer: they work on it at the same time, whichever is waited for first."""
        until = time.monotonic() + want.timeout_s if want.timeout_s is not None else None
        return [future.result(until and max(until - time.monotonic(), 0.0)) for future in want.futures]

    async def await_(self, want: Wait) -> list[Any]:
        return [_plain(came) for came in await futures.await_(self._as_futures(want), self._failed)]

    def _as_futures(self, want: Wait) -> Wait:
        made = {future: future.future() for future in want.futures if isinstance(future, (ray.ObjectRef, Reading))}
        return want._replace(
            futures=[future if isinstance(future, Done) else made.get(future, future) for future in want.futures]
        )

    def _get(self, ref: Any, timeout_s: float | None) -> Any:
        try:
            return _plain(ray.get(ref, timeout=timeout_s))
        except ray.exceptions.GetTimeoutError:
            return None
        except ray.exceptions.RayError as error:
            return self._failed(error)

    def _failed(self, error: BaseException) -> Failed:
        """What an error means to whoever waits. Raises that of a peer of another version: nothing that is asked of it
        has an answer."""
        cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else None
        if isinstance(cause, VersionMismatch):
            raise VersionMismatch(f"{cause} (this process has raycache {__version__})") from None
        if isinstance(error, ray.exceptions.ActorDiedError):  # for good; another may have its name by now
            for shard, handle in list(self._shards.items()):
                if handle._actor_id.hex() == error.actor_id:
                    self._shards.pop(shard, None)
        return failed(error)


class ShardNetwork(Peers):
    """What a shard has of the network: it asks others, and has neither loads nor shared memory beside its own."""

    def read(self, shard: str, keys: Sequence[bytes]) -> None:
        """It gets nothing."""

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> None:
        """Nor this way."""

    def run(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Pending[Any]:
        raise AssertionError("a shard runs no getter in its own process")

    def attach(self, view: View) -> Local:
        return Local()


def _plain(came: Any) -> Any:
    """Outcomes travel as bytes; nothing else does."""
    return pickle.loads(came) if type(came) is bytes else came
