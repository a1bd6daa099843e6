"""What counts a gateway's HTTP requests, refusals included."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raycache.edge.metrics import Requests

#: Which protocol a path is of, by how it begins; what is of none is asked by people and probes, and not counted.
PROTOCOLS = {"/_groupcache/": "groupcache", "/v1/": "rest"}
#: The page asks this every second.
PAGE = "/v1/page"
#: Of a request whose client went away before there was an answer.
GONE = "499"


class CountedHTTP:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol = _protocol(scope) if scope["type"] == "http" else None
        if protocol is None:
            await self._app(scope, receive, send)
            return
        status, began = GONE, self._requests.began()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._requests.ended(began, protocol, status)


def _protocol(scope: Scope) -> str | None:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == PAGE:
        return None
    return next((protocol for start, protocol in PROTOCOLS.items() if path.startswith(start)), None)
