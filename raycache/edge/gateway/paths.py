"""A request as it was sent: headers, and paths, as only there is a `%2F` in a name told from the `/` behind it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadRequest(Exception):
    """What was asked cannot be understood: 400."""


class Below(BaseRoute):
    """Whatever stands below a path. A route of its own, since starlette's patterns end at a line feed."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        self._path, self._app = path, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        there = scope["type"] == "http" and _whole(scope).startswith(self._path)
        return (Match.FULL if there else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def header(scope: Scope, name: bytes) -> list[str]:
    """The values of a header, as often as it was sent. starlette's `Request.headers` copies and decodes all of them."""
    return [value.decode("latin-1") for sent, value in scope["headers"] if sent == name]


def below(scope: Scope, path: str) -> bytes:
    """What was sent behind a path, still escaped.

    Servers differ in whether `path` and `raw_path` have what they were mounted under; both end with what is asked.
    """
    asked = _whole(scope).removeprefix(path)
    sent = bytes(scope.get("raw_path") or quote(scope["path"]).encode())
    if b"%" not in sent and sent.endswith(plain := asked.encode("utf-8", "replace")):
        return plain
    at = 0
    while at >= 0:
        if unquote(sent[at:].decode("latin-1")) == f"/{asked}":
            return sent[at + 1 :]
        at = sent.find(b"/", at + 1)
    return quote(asked).encode()  # `raw_path` is no path


def _whole(scope: Scope) -> str:
    """The decoded path, without what the application is mounted under."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if path.startswith(f"{root}/") else path


def unescaped(sent: bytes) -> str:
    """A part of a path; bytes that are not UTF-8 as in names of files. Raises BadRequest."""
    if bad := _NO_ESCAPE.search(sent):
        raise BadRequest(f"{sent[bad.start() :][:3].decode('latin-1')!r} is no escape; write % as %25")
    return unquote_to_bytes(sent).decode("utf-8", "surrogateescape")
