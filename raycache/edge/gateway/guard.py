"""The guard before all HTTP routes: other sites, the token, requests at once, what nobody caught, the access log."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raycache.edge.gateway.browsers import Browsers
from raycache.edge.gateway.limits import Limits, TooLarge
from raycache.edge.gateway.paths import header
from raycache.edge.gateway.refusals import refusal

#: One JSON document a request, where the access log is on.
access = logging.getLogger("raycache.access")
_log = logging.getLogger("raycache.gateway")
#: Needs no token: probes have none, and the page is the same for everybody; what it shows is asked for with one.
OPEN = frozenset({"/healthz", "/"})


class Guard:
    """An ASGI application around another."""

    def __init__(
        self, app: ASGIApp, limits: Limits, *, browsers: Browsers | None = None, access_log: bool = False
    ) -> None:
        self._app, self._limits, self._browsers, self._access_log = app, limits, browsers, access_log
        #: Requests that are being answered.
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._access_log:
            await self._logged(scope, receive, send)
        else:
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refused := self._refused(scope)) is not None:
            await refused(scope, receive, send)
            return
        self.running += 1
        try:
            await self._answered(scope, receive, send)
        finally:
            self.running -= 1

    def _refused(self, scope: Scope) -> Response | None:
        """What is answered to a request that is none of the routes' business."""
        limits = self._limits
        if self._browsers is not None and (refused := self._browsers.refused(scope)) is not None:
            return refused
        if limits.token is not None and not self._may(scope):
            return _refusal(401, "a bearer token is needed: Authorization: Bearer TOKEN")
        if self.running >= limits.concurrency:
            what = f"{self.running} requests are being answered, which is the most; try again"
            return _refusal(503, what, limits.retry_after_s)
        return None

    def _may(self, scope: Scope) -> bool:
        given = header(scope, b"authorization")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return path in OPEN or (len(given) == 1 and self._limits.authorized(given[0]))

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is wrong with a request and was not said by its route, and what is wrong with the route."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if not begun:
                what = "the gateway stops, and the time to answer is over"
                await _refusal(503, what, self._limits.retry_after_s)(scope, receive, send)
            raise
        except Exception as error:
            if begun:  # the server ends the connection: half an answer is none
                raise
            if not isinstance(error, TooLarge):
                _log.exception("%s %s failed", scope["method"], scope["path"])
            status = error.status if isinstance(error, TooLarge) else 500
            await _refusal(status, str(error) if status != 500 else "a defect of the gateway; its log has more")(
                scope, receive, send
            )

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, size = time.monotonic(), 0, 0

        async def sending(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        finally:
            line = {
                "time": round(time.time(), 3),
                "client": (scope.get("client") or ("", 0))[0],
                "method": scope["method"],
                "path": (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
                "status": status,
                "bytes": size,
                "seconds": round(time.monotonic() - began, 6),
            }
            access.info("%s", json.dumps(line))


_KINDS = {401: "Unauthorized", 413: "TooLarge", 414: "TooLarge", 500: "InternalError", 503: "TooBusy"}


def _refusal(status: int, message: str, retry_after_s: int | None = None) -> Response:
    return refusal(status, _KINDS[status], message, retry_after_s)
