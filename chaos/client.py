"""A client: a process of its own that uses the cache at random and keeps a journal. An actor, started by the arena."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import raycache
from chaos.broken import ignore_leases
from chaos.journal import Journal
from chaos.source import Source, seen, value

#: How often each kind of operation is done.
MIX = {"get": 80, "get_many": 8, "remove": 6, "set": 5, "clear": 1}
#: Mean time between two operations; one in BREAK is followed by a longer one.
THINK_S, BREAK_S, BREAK = 0.002, 0.1, 50


@dataclass(frozen=True)
class Work:
    """What a client is to do."""

    client: str
    cache: str
    group: str
    source: Source
    folder: Path  # for its journal
    seed: int
    until: float
    mix: Mapping[str, int]  # how often each kind of operation is done


class ClientActor:
    """One process."""

    def __init__(self, broken: bool) -> None:
        if broken:
            ignore_leases()

    def pid(self) -> int:
        return os.getpid()

    def connect(self, cache: str) -> None:
        raycache.connect(cache)

    def work(self, work: Work) -> None:
        """Uses the cache until the time is over."""
        while time.monotonic() < work.until and not work.source.over:
            with contextlib.suppress(raycache.CacheUnavailable):  # not up at this moment
                _Client(work, _group(work)).run()

    def look(self, work: Work) -> None:
        """Gets every key once."""
        client = _Client(work, _group(work))
        for key in work.source.keys:
            client.get([key])
        client.journal.close()


def _group(work: Work) -> raycache.Group:
    return raycache.connect(work.cache).group(work.group)


class _Client:
    """Does one operation after the other."""

    def __init__(self, work: Work, group: raycache.Group) -> None:
        self._work, self._group, self._source = work, group, work.source
        self._random = Random(f"{work.client} {work.seed}")
        self.journal = Journal(work.folder / f"{work.client}.journal")

    def run(self) -> None:
        mix = self._work.mix
        while time.monotonic() < self._work.until and not self._source.over:
            (kind,) = self._random.choices(list(mix), list(mix.values()))
            self._do(kind)
            time.sleep(self._random.expovariate(1 / (THINK_S if self._random.randrange(BREAK) else BREAK_S)))
        self.journal.close()

    def _do(self, kind: str) -> None:
        keys = self._source.keys
        if kind == "get":
            self.get([self._random.choice(keys)])
        elif kind == "get_many":
            self.get(keys)
        else:
            self._write(kind, keys if kind == "clear" else [self._random.choice(keys)])

    def get(self, keys: Sequence[str]) -> None:
        """Gets one key by `get`, several by `get_many`."""
        self.journal.begin("get", dict.fromkeys(keys, -1))
        got: dict[Any, Any]
        try:
            got = self._group.get_many(keys) if len(keys) > 1 else {keys[0]: self._group.get(keys[0])}
        except Exception as error:
            return self.journal.end(error=_told(error))
        versions = {key: seen(key, got[key]) for key in keys}
        return self.journal.end(
            versions={key: version for key, version in versions.items() if version is not None},
            wrong={key: f"{got[key]!r:.100}" for key, version in versions.items() if version is None},
        )

    def _write(self, kind: str, keys: Sequence[str]) -> None:
        """Puts new versions into the source, and then changes the cache, as an application does."""
        with self._source.locked():
            versions = self._source.give_out(keys)
            self.journal.begin(kind, versions)
            self._source.store(versions)
        called = time.monotonic()
        try:
            self._change(kind, versions)
        except Exception as error:
            return self.journal.end(called=called, error=_told(error))
        return self.journal.end(called=called)

    def _change(self, kind: str, versions: dict[str, int]) -> Any:
        (key, version), *_ = versions.items()
        if kind == "set":
            return self._group.set(key, value(key, version))
        return self._group.remove(key) if kind == "remove" else self._group.clear()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
