"""Stores that processes share, behind one face: Redis, memcached, and a Ray actor that holds a dict.

What is here is an address: it travels to the process that is measured, and is opened there. Values are Python objects,
pickled on their way to a server.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.peers import install

#: Items that are sent at once.
_AT_ONCE = 10_000


class Store(Protocol):
    """An open store. A key that is not there has the value None."""

    def get(self, key: str) -> Any: ...
    def get_many(self, keys: Sequence[str]) -> dict[str, Any]: ...
    def set(self, key: str, value: Any) -> None: ...
    def set_many(self, items: Mapping[str, Any]) -> None: ...


class Address(Protocol):
    """Where a store is."""

    def open(self) -> Store: ...


@dataclass(frozen=True)
class Redis:
    """redis-py, which uses hiredis where that is installed."""

    port: int

    def open(self) -> _RedisStore:
        client = install.package("redis").Redis(port=self.port)
        client.ping()  # connected, as a cache is
        return _RedisStore(client)


class _ServerStore:
    """What is the same of both servers, whose clients give bytes."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, key: str) -> Any:
        data = self.client.get(key)
        return None if data is None else pickle.loads(data)


class _RedisStore(_ServerStore):
    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        found = zip(keys, self.client.mget(keys), strict=True)
        return {key: pickle.loads(data) for key, data in found if data is not None}

    def set(self, key: str, value: Any) -> None:
        self.client.set(key, pickle.dumps(value, protocol=5))

    def set_many(self, items: Mapping[str, Any]) -> None:
        for part in _pickled(items):
            self.client.mset(part)


@dataclass(frozen=True)
class Memcached:
    """pymemcache."""

    port: int

    def open(self) -> _MemcachedStore:
        client = install.package("pymemcache.client.base").Client(("127.0.0.1", self.port), no_delay=True)
        client.version()  # connected, as a cache is
        return _MemcachedStore(client)


class _MemcachedStore(_ServerStore):
    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        return {key: pickle.loads(data) for key, data in self.client.get_many(keys).items()}

    def set(self, key: str, value: Any) -> None:
        self.client.set(key, pickle.dumps(value, protocol=5), noreply=False)

    def set_many(self, items: Mapping[str, Any]) -> None:
        for part in _pickled(items):
            failed = self.client.set_many(part)
            assert not failed, f"memcached refused {len(failed)} values"


class Dict:
    """What the actor runs: a cache as one writes it with plain Ray."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        return {key: self._values[key] for key in keys if key in self._values}

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value

    def set_many(self, items: Mapping[str, Any]) -> None:
        self._values.update(items)


@dataclass(frozen=True)
class Actor:
    """A named Ray actor that holds a `Dict`."""

    handle: Any

    def open(self) -> _ActorStore:
        return _ActorStore(self.handle)


class _ActorStore:
    def __init__(self, handle: Any) -> None:
        import ray

        self._handle, self._wait = handle, ray.get

    def get(self, key: str) -> Any:
        return self._wait(self._handle.get.remote(key))

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = self._wait(self._handle.get_many.remote(keys))
        return found

    def set(self, key: str, value: Any) -> None:
        self._wait(self._handle.set.remote(key, value))

    def set_many(self, items: Mapping[str, Any]) -> None:
        self._wait(self._handle.set_many.remote(dict(items)))


def _pickled(items: Mapping[str, Any]) -> Iterator[dict[str, bytes]]:
    """In parts."""
    listed = list(items.items())
    for at in range(0, len(listed), _AT_ONCE):
        yield {key: pickle.dumps(value, protocol=5) for key, value in listed[at : at + _AT_ONCE]}
