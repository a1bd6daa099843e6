"""groupcache's HTTP protocol: a gateway that is a peer in the pool of a Go service.

`GET`, `PUT` and `DELETE /_groupcache/{group}/{key}`, and `POST /_groupcache/{group}/_remove-keys/`. Statuses and
texts are those of mailgun's groupcache and groupcache-go, to the byte: their peers tell by the status whether a getter
has spoken (404 and 503, which are their caller's answer) or the peer has failed (all others, and they load the key
themselves).

Group and key are read from the path as it was sent: only there is a `%2F` in a name told from the `/` behind it. What
is not UTF-8 becomes text with lone surrogates, as names of files do, each of which stands for one byte.
"""

from __future__ import annotations

import time
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from raycache.edge.gateway import messages
from raycache.edge.gateway.limits import Limits, TooLarge
from raycache.edge.gateway.paths import BadRequest, Below, below, unescaped
from raycache.edge.gateway.refusals import answered, status_of, text_of
from raycache.edge.gateway.served import Hit, Served
from raycache.edge.gateway.values import NoJson, content, from_json
from raycache.edge.metrics import Requests
from raycache.errors import CacheUnavailable, InvalidKey, InvalidOption, NotFound, UnknownGroup, ValueTooLarge

BASE = "/_groupcache/"
#: How clients write keys into a path: by `url.PathEscape`, or by `url.QueryEscape`, as the first groupcache does, where
#: a `+` is a space.
Escaping = Literal["path", "query"]
_REMOVE_KEYS = "_remove-keys/"
_NANO = 10**9
#: What fits into `expire`, in the year 2262.
_LATEST = 2**63 - 1

#: What errors are to a peer, beside the getter's own.
_STATUSES: dict[type[Exception], int] = {
    UnknownGroup: 404,
    NotFound: 404,
    BadRequest: 400,
    InvalidKey: 400,
    InvalidOption: 400,
    ValueTooLarge: 413,
    NoJson: 406,
    CacheUnavailable: 500,
}
_GETTER_FAILED = 503


class _Refused(Exception):
    """The request cannot be answered: a status and its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def routes(
    served: Served, limits: Limits, escaping: Escaping = "path", requests: Requests | None = None
) -> list[BaseRoute]:
    """For a starlette application. `requests`: where it is counted which group is asked for."""
    return [Below(BASE, _Peer(served, limits, escaping, requests or Requests()))]


class _Peer:
    """Everything below `/_groupcache/`."""

    def __init__(self, served: Served, limits: Limits, escaping: Escaping, requests: Requests) -> None:
        self._served, self._limits, self._plus, self._requests = served, limits, escaping == "query", requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if response := await answered(Request(scope, receive), self._answer, _failure):
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        group, key = self._path(request.scope)
        # Before all else of the request: whoever asks for a group that is none is told so.
        left_s = await self._served.known(group, self._limits.patience_s(request))
        self._requests.of_peers[group] += 1
        self._limits.check_key(key)
        if request.method == "GET":
            return _hit(await self._served.get(group, key, timeout_s=left_s))
        if request.method == "PUT":
            await self._set(group, await self._limits.body(request))
        elif request.method == "DELETE":
            await self._served.remove(group, [key])
        elif request.method != "POST":
            raise _Refused(405, "Only GET, DELETE, PUT, POST are supported")
        elif key.startswith(_REMOVE_KEYS):
            await self._served.remove(group, self._keys(await self._limits.body(request)))
        else:
            raise _Refused(404, "invalid path for POST method")
        return Response()

    def _path(self, scope: Scope) -> tuple[str, str]:
        """The group and the key that a path names."""
        sent = below(scope, BASE)
        group, slash, key = sent.partition(b"/")
        if not slash:  # the family splits what is decoded
            group, slash, key = sent.replace(b"%2f", b"%2F").partition(b"%2F")
        if not slash:
            raise _Refused(400, "bad request")
        if self._plus:
            group, key = group.replace(b"+", b" "), key.replace(b"+", b" ")
        return unescaped(group), unescaped(key)

    async def _set(self, group: str, body: bytes) -> None:
        """The key is the one in the message, as the family has it."""
        try:
            message = messages.parsed(messages.SetRequest, body)
        except ValueError as error:
            raise _Refused(400, str(error)) from None
        key, ttl_s = self._limits.check_key(message.key.decode("utf-8", "surrogateescape")), None
        if message.expire:
            ttl_s = message.expire / _NANO - time.time()
        if ttl_s is None or ttl_s > 0:
            await self._served.set(group, key, message.value, ttl_s=ttl_s)
        else:  # over already
            await self._served.remove(group, [key])

    def _keys(self, body: bytes) -> list[str]:
        """Of a request to remove many: `{"group": ..., "keys": [...]}`."""
        try:
            asked = from_json(body)
        except ValueError as error:
            raise _Refused(400, f"invalid request: {error}") from None
        keys = (asked.get("keys") or []) if isinstance(asked, dict) else None  # Go leaves an empty list out
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise _Refused(400, 'invalid request: it is no object with a list of keys, like {"keys": ["a", "b"]}')
        self._limits.check_batch(keys)
        return [self._limits.check_key(key) for key in keys]


def _hit(hit: Hit) -> Response:
    """As peers give it: `expire` is there also where it is 0, for never."""
    expire = min(round((hit.expires or 0) * _NANO), _LATEST)
    message = messages.GetResponse(value=content(hit.value).body, expire=expire)
    return Response(message.SerializeToString(), media_type="application/x-protobuf")


def _failure(error: Exception) -> Response:
    """A status and a text that ends in a newline, as Go writes errors."""
    status = error.status if isinstance(error, (_Refused, TooLarge)) else status_of(error, _STATUSES, _GETTER_FAILED)
    headers = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    if status == 413:  # what comes is not read to its end
        headers["connection"] = "close"
    return Response(text_of(error).encode("utf-8", "backslashreplace") + b"\n", status, headers)
