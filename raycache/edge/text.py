"""Keys from the text of a command line, and values to text."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Callable
from typing import Any

from raycache.core.keys import Key, encode


def _from_json(text: str) -> Any:
    key = with_tuples(json.loads(text))
    encode(key)
    return key


def with_tuples(value: Any) -> Any:
    """JSON as a key: a list is a tuple."""
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _base64(text: str) -> bytes:
    return base64.b64decode(text, altchars="-_" if {*text} & {*"-_"} else None, validate=True)


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


#: How the text of a key is read; os.fsencode gives back the very bytes that were typed.
KEY_TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "bytes": os.fsencode,
    "int": int,
    "float": float,
    "bool": _bool,
    "hex": bytes.fromhex,
    "base64": _base64,
    "json": _from_json,
}


def parse_key(text: str, kind: str) -> Key:
    """The key that a text means; a JSON list is a tuple. Raises ValueError."""
    try:
        key: Key = KEY_TYPES[kind](text)
    except (ValueError, KeyError, RecursionError) as error:
        reason = f": {error}" if kind == "json" else ""
        raise ValueError(f"{text!r} cannot be read as {kind}{reason}") from error
    return key


def show_value(value: Any) -> str | bytes:
    """A value for the terminal or the next program: text and bytes as they are, others as JSON, else their repr."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):  # a lone surrogate, as in file names that are not UTF-8, has no bytes to print
        return value.encode("utf-8", "backslashreplace").decode()
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def to_json(document: Any, *, indent: int | None = 2) -> str:
    """One JSON document; numbers that JSON does not have (infinity, NaN) become null. In one line without indent."""
    return json.dumps(_finite(document), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
