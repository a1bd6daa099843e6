"""What tests of the gateway share: an inline cache, an application over it, and requests without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from requests_to import requested

import raycache
from raycache.edge.gateway.app import Application, application


@pytest.fixture
def cache(inline: Callable[..., raycache.Cache]) -> raycache.Cache:
    return inline()


@pytest.fixture
def users(cache: raycache.Cache, getter: Callable[[Any], Any]) -> raycache.Group:
    """A group over the test's getter."""
    return cache.group("users", getter)


@pytest.fixture
def app(cache: raycache.Cache) -> Application:
    return application(cache)


@pytest.fixture
def ask(app: Application) -> Callable[..., httpx.Response]:
    """`ask("GET", "/healthz")`, of the application."""
    return lambda method, path, **given: asyncio.run(requested(app, method, path, **given))
