"""What tests of the inline cache share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faces import FACES

import raycache


@pytest.fixture(params=FACES)
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method of a group: `call(group, "get", "a")`, once as a thread and once as an event loop."""
    return FACES[request.param]


@pytest.fixture(params=[1, 3], ids=["1 shard", "3 shards"])
def cache(request: pytest.FixtureRequest, inline: Callable[..., raycache.Cache]) -> raycache.Cache:
    return inline(shards=request.param)


@pytest.fixture
def group(cache: raycache.Cache, getter: Callable[[Any], Any]) -> raycache.Group:
    """A group over the test's getter."""
    return cache.group("users", getter)
