"""The two faces of a group, so that every test of one is a test of the other."""

from __future__ import annotations

import asyncio
from typing import Any

from raycache import Group


def sync(group: Group, method: str, *arguments: Any, **options: Any) -> Any:
    """Calls a method as a thread does."""
    if method == "contains":
        return arguments[0] in group
    if method == "len":
        return len(group)
    result = getattr(group, method)(*arguments, **options)
    return list(result) if method == "keys" else result


def async_(group: Group, method: str, *arguments: Any, **options: Any) -> Any:
    """Calls a method in an event loop of its own."""

    async def call() -> Any:
        result = getattr(group, f"a{method}")(*arguments, **options)
        return [key async for key in result] if method == "keys" else await result

    return asyncio.run(call())


FACES = {"sync": sync, "async": async_}
