"""The gateway as an ASGI application, to be run by `raycache serve` or mounted in any ASGI server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from starlette.types import ASGIApp

from raycache.cache import Cache
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.served import Definition

#: How clients of groupcache's HTTP protocol escape keys.
Escaping = Literal["path", "query"]


def application(
    cache: Cache,
    groups: Mapping[str, Definition] | None = None,
    *,
    limits: Limits | None = None,
    escaping: Escaping = "path",
    access_log: bool = False,
) -> ASGIApp:
    """The ASGI application that serves the groups of a cache; with `groups`, registers and serves these alone."""
    raise NotImplementedError
