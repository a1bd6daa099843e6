"""The plain HTTP face, `/v1/...` and `/healthz`: groups and keys as curl and browsers ask for them.

Group and key are read from the path as it was sent: `%2F` in a group is part of its name, and of a key everything
counts, slashes, dots and all. What keys are, other than text, says `?type=`, as on the command line.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from blake3 import blake3
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from raycache.core.keys import Key
from raycache.core.stats import Stats
from raycache.edge import text
from raycache.edge.gateway.limits import Limits, TooLarge
from raycache.edge.gateway.paths import BadRequest, Below, below, header, unescaped
from raycache.edge.gateway.refusals import Reading, answered, not_allowed, refusal, status_of, text_of
from raycache.edge.gateway.served import Hit, Served
from raycache.edge.gateway.values import JSON, NoJson, content, from_json, to_json, value_of
from raycache.errors import (
    CacheUnavailable,
    InvalidKey,
    InvalidOption,
    LoadTimeout,
    NotFound,
    UnknownGroup,
    ValueTooLarge,
)
from raycache.options import parse_seconds

#: What each error is to a client, beside the getter's own: that is a bad gateway, to what lies behind.
STATUS: dict[type[Exception], int] = {
    NotFound: 404,
    UnknownGroup: 404,
    InvalidKey: 400,
    InvalidOption: 400,
    NoJson: 406,
    ValueTooLarge: 413,
    CacheUnavailable: 503,
    LoadTimeout: 504,
}
GETTER_FAILED = 502
GROUPS = "/v1/groups/"
_NOSNIFF = {"x-content-type-options": "nosniff"}

_Answer = Callable[[Request, str], Awaitable[Response]]
_KeyAnswer = Callable[[Request, str, Key], Awaitable[Response]]


class Rest:
    """The routes over what is served."""

    def __init__(self, served: Served, limits: Limits) -> None:
        self._served, self._limits = served, limits
        self._of_keys: dict[str, _KeyAnswer] = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
        }

    def routes(self) -> list[BaseRoute]:
        return [
            Below(GROUPS, self._of_group),
            self._question("/v1/groups", self._names),
            self._question("/v1/stats", self._stats),
            self._question("/healthz", self._health),
        ]

    # ----------------------------------------------------------------------------------------- one group

    async def _of_group(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await answered(Request(scope, receive), self._answer, self._error)
        if response is None:
            return
        if scope["method"] == "HEAD":
            response.body = b""  # its headers say how long it would be
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        group, what, key = (*below(request.scope, GROUPS).split(b"/", 2), None, None)[:3]
        name, method = unescaped(group or b""), request.method
        if what == b"keys" and key is not None:
            if method not in self._of_keys:
                return not_allowed(method, self._of_keys)
            return await self._of_keys[method](request, name, self._key(request, unescaped(key)))
        answers: Mapping[str, _Answer]
        if what is None:
            answers = {"GET": self._group_stats, "HEAD": self._group_stats}
        elif what == b"get" and key is None:
            answers = {"POST": self._get_many}
        else:
            there = "behind /v1/groups/GROUP there is /keys/KEY and /get; a slash in the name of a group is %2F"
            return refusal(404, "NoSuchPath", there)
        return await answers[method](request, name) if method in answers else not_allowed(method, answers)

    def _key(self, request: Request, key: str) -> Key:
        return parsed_key(self._limits.check_key(key), _kind(request.query_params))

    async def _get(self, request: Request, group: str, key: Key) -> Response:
        hit = await self._served.get(group, key, timeout_s=self._limits.patience_s(request))
        shown = content(hit.value, ", ".join(header(request.scope, b"accept")) or "*/*")
        headers = _NOSNIFF | {
            "etag": f'"{blake3(shown.body).hexdigest(length=16)}"',
            "cache-control": _cache_control(hit.expires),
            "x-cache": hit.tier,
            "vary": "Accept",
        }
        if _matches(header(request.scope, b"if-none-match"), headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(shown.body, headers=headers | {"content-type": shown.media_type})

    async def _put(self, request: Request, group: str, key: Key) -> Response:
        ttl_s = _ttl_s(request)
        try:
            value = value_of(await self._limits.body(request), request.headers.get("content-type", ""))
        except ValueError as error:
            raise BadRequest(f"the body is not what its Content-Type says: {error}") from None
        await self._served.known(group, self._limits.patience_s(request))
        await self._served.set(group, key, value, ttl_s=ttl_s)
        return Response(status_code=204)

    async def _delete(self, request: Request, group: str, key: Key) -> Response:
        await self._served.known(group, self._limits.patience_s(request))
        return _json({"removed": await self._served.remove(group, [key])})

    async def _get_many(self, request: Request, group: str) -> Response:
        asked = self._keys(await self._limits.body(request), request.query_params)
        hits = await self._served.get_many(group, [key for key, _ in asked], timeout_s=self._limits.patience_s(request))
        written = dict(asked)
        rows = [b'{"key":%s,%s}' % (to_json(written[key]), _row(hit)) for key, hit in hits.items()]
        return Response(b'{"values":[%s]}' % b",".join(rows), media_type=JSON)

    def _keys(self, body: bytes, query: QueryParams) -> list[tuple[Key, Any]]:
        """The keys of a batch, with how they were written: JSON as it is, but for text, which is what `type` says."""
        try:
            document = from_json(body)
            keys = document["keys"]
            if not isinstance(keys, list):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            raise BadRequest('the body is no JSON document like {"keys": ["a", "b"]}') from None
        self._limits.check_batch(keys)
        kind = _kind(query)
        return [
            (parsed_key(self._limits.check_key(key), kind) if isinstance(key, str) else text.with_tuples(key), key)
            for key in keys
        ]

    async def _group_stats(self, request: Request, group: str) -> Response:
        left_s = await self._served.known(group, self._limits.patience_s(request))
        stats = await self._served.stats(left_s)
        return _json({"name": group, "stats": stats.get(group, Stats()).as_dict()})

    # ---------------------------------------------------------------------------------------- all groups

    def _question(self, path: str, answer: Callable[[Request], Awaitable[Response]]) -> BaseRoute:
        """A path at which the cluster is asked."""

        async def ask(request: Request) -> Response:
            try:
                return await answer(request)
            except (CacheUnavailable, InvalidOption) as error:
                return self._error(error)

        return Reading(path, ask)

    async def _names(self, request: Request) -> Response:
        await self._served.look(self._limits.patience_s(request))
        return _json({"groups": self._served.names()})

    async def _stats(self, request: Request) -> Response:
        stats = await self._served.stats(self._limits.patience_s(request))
        groups = {name: each.as_dict() for name, each in stats.items()}
        return _json({"total": sum(stats.values(), Stats()).as_dict(), "groups": groups})

    async def _health(self, _: Request) -> Response:
        """Whether any shard can be reached: without one gets would all be loads in this very process."""
        shards = await self._served.health()
        up = sum(shard.reachable for shard in shards)
        if not up:
            raise CacheUnavailable(f"none of {len(shards)} shards can be reached")
        return _json({"status": "ok", "shards": len(shards), "reachable": up})

    def _error(self, error: Exception) -> Response:
        if isinstance(error, TooLarge):
            raise error
        kind = type(error).__name__
        if isinstance(error, BadRequest):
            return refusal(400, kind, str(error))
        status = status_of(error, STATUS, GETTER_FAILED)
        return refusal(status, kind, text_of(error), self._limits.retry_after_s if status == 503 else None)


# ------------------------------------------------------------------------------------------------- what is asked


def parsed_key(key: str, kind: str) -> Key:
    """The key that a text means as this type; raises BadRequest."""
    try:
        return text.parse_key(key, kind)
    except (ValueError, TypeError) as error:
        raise BadRequest(str(error)) from None


def _kind(query: QueryParams) -> str:
    """What `?type=` says of keys."""
    kind = _one(query, "type", "str")
    if kind not in text.KEY_TYPES:
        raise BadRequest(f"type={kind[:100]!r} is none of {', '.join(text.KEY_TYPES)}")
    return kind


def _one(query: QueryParams, name: str, default: str = "") -> str:
    """What stands there at most once."""
    said = query.getlist(name)
    if len(said) > 1:
        raise BadRequest(f"{name}= stands there {len(said)} times; say it once")
    return said[0] if said else default


def _ttl_s(request: Request) -> float | None:
    """How long a value is to live: `?ttl=5m`, else the max-age of Cache-Control."""
    if "ttl" in request.query_params:
        return parse_seconds(_one(request.query_params, "ttl"), "ttl")
    said = re.search(r"max-age=(\d{1,15})", request.headers.get("cache-control", ""))
    return float(said[1]) if said else None


def _matches(given: list[str], etag: str) -> bool:
    """Whether `If-None-Match` names it."""
    tags = [tag.strip().removeprefix("W/") for each in given for tag in each.split(",")]
    return etag in tags or "*" in tags


# ----------------------------------------------------------------------------------------------- what is answered


def _cache_control(expires: float | None) -> str:
    """Whoever keeps a value that does not expire must ask again each time, which the ETag makes cheap."""
    return "no-cache" if expires is None else f"max-age={max(math.floor(expires - time.time()), 0)}"


def _row(hit: Hit | NotFound) -> bytes:
    """One answer of a batch."""
    if isinstance(hit, NotFound):
        return b'"error":' + to_json({"type": "NotFound", "message": str(hit)})
    where = b'"cache":"%s","expires":%s' % (hit.tier.encode(), to_json(hit.expires))
    try:
        return b'"value":%s,%s' % (to_json(hit.value), where)
    except NoJson as error:
        if isinstance(hit.value, bytes):
            return b'"base64":%s,%s' % (to_json(text.to_base64(hit.value)), where)
        return b'"error":' + to_json({"type": "NoJson", "message": str(error)})


def _json(document: Any) -> Response:
    return Response(text.to_json(document, indent=None) + "\n", media_type=JSON, headers=_NOSNIFF)
