"""Values as they leave the gateway: bytes and a media type. Nothing is ever pickled for outside, nor unpickled from there."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

BYTES, TEXT, JSON = "application/octet-stream", "text/plain; charset=utf-8", "application/json"


class NoJson(Exception):
    """A Python value that is neither bytes nor text, and has no JSON: 406."""


class Content(NamedTuple):
    body: bytes
    media_type: str


def content(value: Any) -> Content:
    """Bytes and text as they are, other values as JSON; raises NoJson."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Content(bytes(value), BYTES)
    if isinstance(value, str):
        return Content(value.encode("utf-8", "surrogateescape"), TEXT)
    return Content(to_json(value), JSON)


def to_json(value: Any) -> bytes:
    """Raises NoJson."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # lone surrogates, which only escapes can write
        return json.dumps(value, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NoJson(
            f"the value, a {type(value).__module__}.{type(value).__qualname__}, is neither bytes nor text and has no JSON "
            f"({error}); have the getter return bytes, text, or what JSON has"
        ) from None
