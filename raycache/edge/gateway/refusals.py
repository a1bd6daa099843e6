"""Refusals: what becomes of errors, and how every one of the REST face reads, starlette's own routing included."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


def text_of(error: Exception) -> str:
    """What an exception says. The type of one that says nothing, or whose `__str__` raises: getters raise anything."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def status_of(error: Exception, statuses: Mapping[type[Exception], int], otherwise: int) -> int:
    """The status of the first of these kinds that the error is of."""
    return next((status for kind, status in statuses.items() if isinstance(error, kind)), otherwise)


async def answered(
    request: Request, answer: Callable[[Request], Awaitable[Response]], failure: Callable[[Exception], Response]
) -> Response | None:
    """The answer to a request, or what stands for its error; None for a client that has gone."""
    try:
        return await answer(request)
    except ClientDisconnect:
        return None
    except Exception as error:
        return failure(error)


def error_body(kind: str, message: str) -> bytes:
    """How every error of the REST face reads."""
    return json.dumps({"error": {"type": kind, "message": message}}).encode() + b"\n"


def refusal(status: int, kind: str, message: str, retry_after_s: int | None = None, **headers: str) -> Response:
    """An answer that is an error. The connection ends where the rest of a body would have to be read for nothing."""
    sent: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"connection": "close"} if status == 413 else {}
    sent |= {"www-authenticate": 'Bearer realm="raycache"'} if status == 401 else {}
    sent |= {"retry-after": str(retry_after_s)} if retry_after_s is not None else {}
    return Response(error_body(kind, message), status, sent, "application/json")


def not_allowed(method: str, allowed: Iterable[str]) -> Response:
    """What a path answers to a method that it does not have."""
    named = ", ".join(allowed)
    return refusal(405, "MethodNotAllowed", f"{method[:20]!r} is none of {named}", allow=named)


class Reading(Route):
    """A path of the REST face that is only read. Starlette's own route would refuse other methods in plain text."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self.methods or {"GET", "HEAD"}
        if scope["method"] in methods:
            await super().handle(scope, receive, send)
        else:
            await not_allowed(scope["method"], sorted(methods))(scope, receive, send)


async def no_such_path(scope: Scope, receive: Receive, send: Send) -> None:
    """What is asked where there is no route."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    else:
        what = "there is nothing at this path; /openapi.json says what there is"
        await refusal(404, "NoSuchPath", what)(scope, receive, send)
