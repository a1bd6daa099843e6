"""The OpenAPI document of the plain HTTP face, at `/openapi.json`: what may be sent, and what comes back."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from raycache._version import __version__
from raycache.edge import text
from raycache.edge.gateway.refusals import Reading
from raycache.edge.gateway.values import BYTES, JSON, TEXT

_ERROR = {"$ref": "#/components/schemas/Error"}
_ERRORS = {
    "400": "What was asked cannot be understood: an escape, a key, a type, a time, a body.",
    "401": "The bearer token is missing, or is another one.",
    "403": "No token is asked for, and a page of another site had its browser send this.",
    "404": "There is no such group (UnknownGroup), or the key does not exist (NotFound).",
    "406": "The value is neither bytes nor text, and has no JSON, or cannot be had as what is accepted.",
    "413": "The body, the batch or the value is too large.",
    "414": "The key is too long.",
    "421": "No token is asked for, and Host is no name of the gateway.",
    "502": "The getter raised; the message is the exception's own.",
    "503": "Too many requests at once, or the cluster does not answer in time. Retry-After says when to come again.",
    "504": "The value did not come in time; its load goes on.",
}


def _errors(*statuses: int) -> dict[str, Any]:
    """Of these statuses, and of those that every request may end with."""
    return {
        str(status): {"description": _ERRORS[str(status)], "content": {JSON: {"schema": _ERROR}}}
        for status in (*statuses, 401, 421, 503)
    }


def _parameter(name: str, place: str, about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "description": about, "schema": schema}


_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_GROUP = _parameter("group", "path", "Name of the group, escaped as one segment.", _NAME)
_KEY = _parameter("key", "path", "The key, escaped. Slashes may be left as they are.", _NAME)
_TYPE = _parameter(
    "type", "query", "What the text of a key means; json is for tuples.", {"enum": [*text.KEY_TYPES], "default": "str"}
)
_TIME = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d|w)?$"}
_TTL = _parameter("ttl", "query", "How long the value is to live, like 300 or 5m.", _TIME)
_TIMEOUT = _parameter(
    "Request-Timeout", "header", "How long to wait for a load, or for the cluster, like 0.5 or 500ms.", _TIME
)
_NONE_MATCH = _parameter("If-None-Match", "header", "ETags of values that the client has.", _TEXT)
_GOT = {
    "ETag": {"schema": _TEXT, "description": "Of the value as it is shown."},
    "Cache-Control": {"schema": _TEXT, "description": "max-age until the value expires; no-cache if it does not."},
    "X-Cache": {"schema": {"enum": ["near", "page", "shard", "load"]}, "description": "Where the get was answered."},
}
_COUNTERS = {"type": "object", "additionalProperties": {"type": "number"}}


def _answer(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {JSON: {"schema": schema}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


_ITEM = {"type": ["string", "number", "boolean", "array"]}
_BATCH = _object(
    keys={"type": "array", "items": _ITEM, "description": "Text, numbers, booleans, and lists for tuples."}
)
_ROW = {
    "type": "object",
    "properties": {
        "key": {},
        "value": {"description": "The value, if it has JSON."},
        "base64": {"type": "string", "description": "The value, if it is bytes."},
        "error": {"type": "object", "description": "Why there is none."},
        "cache": {"enum": ["near", "page", "shard", "load"]},
        "expires": {"type": ["number", "null"], "description": "Unix seconds."},
    },
    "required": ["key"],
}


def _get() -> dict[str, Any]:
    value = {BYTES: {"schema": {}}, TEXT: {"schema": _TEXT}, JSON: {"schema": {}}}
    return {
        "summary": "The value of a key, loaded if need be",
        "operationId": "get",
        "parameters": [_TYPE, _TIMEOUT, _NONE_MATCH],
        "responses": {
            "200": {"description": "The value.", "headers": _GOT, "content": value},
            "304": {"description": "The client has it.", "headers": _GOT},
            **_errors(400, 404, 406, 414, 502, 504),
        },
    }


def _put() -> dict[str, Any]:
    return {
        "summary": "Put a value into the cache, not into its source",
        "operationId": "set",
        "parameters": [_TYPE, _TTL, _TIMEOUT],
        "requestBody": {
            "required": True,
            "description": "JSON is the value that it says, text is text, everything else is bytes.",
            "content": {BYTES: {"schema": {}}, TEXT: {"schema": _TEXT}, JSON: {"schema": {}}},
        },
        "responses": {"204": {"description": "No get returns an older value."}, **_errors(400, 403, 404, 413, 414)},
    }


def _delete() -> dict[str, Any]:
    return {
        "summary": "Remove a key from the whole cache",
        "operationId": "remove",
        "parameters": [_TYPE, _TIMEOUT],
        "responses": {
            "200": _answer("No get returns the old value.", _object(removed={"type": "integer"})),
            **_errors(400, 403, 404, 414),
        },
    }


def _get_many() -> dict[str, Any]:
    return {
        "summary": "The values of many keys",
        "operationId": "getMany",
        "parameters": [_TYPE, _TIMEOUT],
        "requestBody": {"required": True, "content": {JSON: {"schema": _BATCH}}},
        "responses": {
            "200": _answer(
                "One row for each key, in the order asked.", _object(values={"type": "array", "items": _ROW})
            ),
            **_errors(400, 403, 404, 413, 414, 502, 504),
        },
    }


def _look(summary: str, id: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "operationId": id,
            "parameters": [_TIMEOUT] if 400 in statuses else [],
            "responses": {"200": _answer(summary, schema), **_errors(*statuses)},
        }
    }


def document() -> dict[str, Any]:
    """Paths, and what all of them share."""
    health = _object(status=_TEXT, shards={"type": "integer"}, reachable={"type": "integer"})
    by_group = {"type": "object", "additionalProperties": _COUNTERS}
    error = _object(error=_object(type=_TEXT, message=_TEXT))
    return {
        "openapi": "3.1.0",
        "info": {"title": "raycache", "version": __version__, "description": "The groups of a cache on Ray."},
        "paths": {
            "/v1/groups": _look(
                "The names of the groups", "groups", _object(groups={"type": "array", "items": _TEXT}), 400
            ),
            "/v1/groups/{group}": {
                "parameters": [_GROUP],
                **_look("Counters of a group", "group", _object(name=_TEXT, stats=_COUNTERS), 400, 404),
            },
            "/v1/groups/{group}/keys/{key}": {
                "parameters": [_GROUP, _KEY],
                "get": _get(),
                "put": _put(),
                "delete": _delete(),
            },
            "/v1/groups/{group}/get": {"parameters": [_GROUP], "post": _get_many()},
            "/v1/stats": _look("Counters of all groups", "stats", _object(total=_COUNTERS, groups=by_group), 400),
            "/v1/page": _look("What the page at / shows: shards, groups, the hottest keys", "page", {"type": "object"}),
            "/healthz": _look("Whether a shard can be reached", "health", health),
        },
        "components": {
            "schemas": {"Error": error},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def route() -> BaseRoute:
    body = text.to_json(document()).encode()

    async def answer(_: Request) -> Response:
        return Response(body, media_type=JSON)

    return Reading("/openapi.json", answer)
