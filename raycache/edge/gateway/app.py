"""The gateway as an ASGI application: to be run by `raycache serve`, or mounted in any ASGI server."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from raycache.cache import Cache
from raycache.edge import metrics
from raycache.edge.gateway import groupcache, openapi, page
from raycache.edge.gateway.browsers import Browsers
from raycache.edge.gateway.counted_http import CountedHTTP
from raycache.edge.gateway.groupcache import Escaping
from raycache.edge.gateway.guard import Guard
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.refusals import no_such_path
from raycache.edge.gateway.rest import Rest
from raycache.edge.gateway.served import Definition, Served


class Application:
    """An ASGI application over what is served. It belongs to the event loop that runs it."""

    def __init__(
        self,
        served: Served,
        limits: Limits,
        *,
        escaping: Escaping = "path",
        hosts: Collection[str] | None = None,
        access_log: bool = False,
    ) -> None:
        self.served, self.limits = served, limits
        self.requests = metrics.Requests()
        routes = [  # those that are asked for most come first
            *groupcache.routes(served, limits, escaping, self.requests),
            *Rest(served, limits).routes(),
            *page.routes(served),
            *metrics.routes(served, self.requests),
            openapi.route(),
        ]
        router = Router(routes, redirect_slashes=False, default=no_such_path)
        browsers = None if hosts is None else Browsers(hosts)
        guard = Guard(router, limits, browsers=browsers, access_log=access_log)
        self._app = CountedHTTP(guard, self.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def application(
    cache: Cache,
    groups: Mapping[str, Definition] | None = None,
    *,
    limits: Limits | None = None,
    escaping: Escaping = "path",
    hosts: Collection[str] | None = None,
    access_log: bool = False,
) -> Application:
    """The ASGI application that serves the groups of a cache.

    Args:
        groups: getters, or keyword options of `cache.group`, by the names of groups: these are registered, and they
            alone are served. Without it whatever groups the cache has are served.
        limits: bounds, and the bearer token; by default those of `Limits`, and no token.
        escaping: how clients of groupcache's HTTP protocol escape keys: "path" (a space is %20) or "query" (it is +).
        hosts: names, beside loopback's, under which the application is known. Where they are given, what browsers ask
            under other names is refused, as are writes that pages of other sites have them make: for what is on
            loopback without a token. By default that is left to what the application is mounted in.
        access_log: one JSON document for each request, at INFO to the logger "raycache.access".
    """
    return Application(Served(cache, groups), limits or Limits(), escaping=escaping, hosts=hosts, access_log=access_log)
