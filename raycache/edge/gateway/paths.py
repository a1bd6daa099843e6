"""Paths as they were sent: only there is a `%2F`, which is part of a name, told from the `/` behind it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.types import Scope

_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadRequest(Exception):
    """What was asked cannot be understood: 400."""


def raw_path(scope: Scope) -> bytes:
    """What stands behind the mount's path, as it was sent.

    Servers differ in whether `raw_path` has what they were mounted under; it ends with what is asked in any case.
    """
    path: str = scope["path"]
    asked = path.removeprefix(scope.get("root_path", "")).removeprefix("/")
    raw = bytes(scope.get("raw_path") or quote(path).encode())
    if b"%" not in raw and asked.isascii():
        return asked.encode()
    at = 0
    while at >= 0:
        if unquote(raw[at:].decode("latin-1")).removeprefix("/") == asked:
            return raw[at:].removeprefix(b"/")
        at = raw.find(b"/", at + 1)
    return bytes(quote(asked), "ascii")


def unescaped(raw: bytes) -> str:
    """A part of a path; bytes that are not UTF-8 as in names of files. Raises BadRequest."""
    if bad := _ESCAPE.search(raw):
        raise BadRequest(f"{bad.string[bad.start() :][:3].decode('latin-1')!r} is no escape; write % as %25")
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
