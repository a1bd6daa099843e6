"""Memoized functions for tests: they have their values from a source, which knows how often they ran and where."""

from __future__ import annotations

import asyncio
from typing import Any

from marks import Barrier, Marks
from sources import Source

import raycache

#: Where a function is computed; what holds for one holds for the other.
MODES = ["task", "caller"]


def fetching(source: Source, cache: str | raycache.Cache, **options: Any) -> Any:
    """A memoized function of a key, and of data that counts and is not looked at."""

    @raycache.memoize(cache=cache, **options)
    def fetch(key: Any, data: Any = None) -> str:
        return source(key)

    return fetch


def fetching_async(source: Source, cache: str | raycache.Cache, **options: Any) -> Any:
    """The same, to be awaited."""

    @raycache.memoize(cache=cache, **options)
    async def fetch(key: Any, data: Any = None) -> str:
        return source(key)

    return fetch


def call_together(function: Any, barrier: Barrier, *args: Any) -> Any:
    """A call when all have come."""
    barrier.wait()
    return function(*args)


def call_announced(function: Any, arrivals: Marks, *args: Any) -> Any:
    """A call of an async function that adds a line when its shard has been asked: from then on it waits.

    A shard answers the messages of one process in the order in which they were sent; it must know the function already.
    """
    function.peek(*args)  # bound to its cache: the call below gets as far as its question before it waits for anything

    async def call() -> Any:
        task = asyncio.ensure_future(function(*args))
        await asyncio.sleep(0)
        function.cache_info()
        arrivals.add(repr(args[0]))
        return await task

    return asyncio.run(call())
