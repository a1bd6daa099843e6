"""What cases run in: a cache on a local Ray and a Redis, each started when first asked for and ended at the end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from typing import Any, TypeVar

import ray

import raycache
from benchmarks.harness import NotRun
from benchmarks.redis_server import redis_server

#: Room for all cases together; the million entries take a quarter of it.
CAPACITY = "1536 MiB"

T = TypeVar("T")


class Setting:
    """A context manager; ends whatever it has started."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._ends = ExitStack()
        self._numbers = itertools.count()

    def __enter__(self) -> Setting:
        return self

    def __exit__(self, *error: Any) -> None:
        self._ends.__exit__(*error)

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @cached_property
    def cache(self) -> raycache.Cache:
        """A cache of this run alone, also where RAY_ADDRESS leads to a Ray that others use."""
        cache = raycache.connect(f"bench-{os.getpid()}", capacity=CAPACITY)
        self._ends.callback(cache.destroy)
        return cache

    @cached_property
    def _redis(self) -> int | NotRun:
        try:
            return self._ends.enter_context(redis_server())
        except NotRun as error:
            return error

    def redis(self, contender: str, not_run: dict[str, str]) -> int | None:
        """The port of a Redis; None, and why in `not_run` for this contender, where there is none."""
        if isinstance(self._redis, int):
            return self._redis
        not_run[contender] = str(self._redis)
        return None

    def in_new_process(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in a Ray worker that has done nothing before and does nothing after."""
        # Ray gives a worker to tasks with the same environment only.
        environment = {"env_vars": {"RAYCACHE_BENCH_PROCESS": str(next(self._numbers))}}
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0, runtime_env=environment)(work)
        result: T = ray.get(task.remote(*arguments))
        return result
