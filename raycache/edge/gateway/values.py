"""Values on their way out, as bytes with a media type, and in, as what their media type says.

Nothing is ever pickled for the outside, and nothing that comes from there is unpickled.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

BYTES, TEXT, JSON = "application/octet-stream", "text/plain", "application/json"
_CHARSET = "; charset=utf-8"
#: Codecs of Python that no client means; the time of the first grows with the square of the length.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape"})


class NoJson(Exception):
    """The value cannot be shown as what is accepted: it is neither bytes nor text and has no JSON, or the like. 406."""


class Content(NamedTuple):
    body: bytes
    media_type: str


def content(value: Any, accept: str = "*/*") -> Content:
    """Bytes and text as they are and other values as JSON; text as JSON or bytes, where `accept` asks for that.

    Raises NoJson.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        offers: tuple[str, ...] = (BYTES,)
    elif isinstance(value, str):
        offers = (TEXT, JSON, BYTES)
    else:
        offers = (JSON,)
    chosen = offers[0] if accept == "*/*" else _chosen(offers, accept, value)
    if chosen == JSON:
        return Content(to_json(value), JSON)
    if isinstance(value, str):
        return Content(_text(value), TEXT + _CHARSET if chosen == TEXT else BYTES)
    return Content(bytes(value), BYTES)


def _text(value: str) -> bytes:
    """Text as UTF-8; what a name of a file that is not UTF-8 was decoded from."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise NoJson(f"the text cannot be written as UTF-8 ({error}); ask for it with Accept: {JSON}") from None


def to_json(value: Any) -> bytes:
    """Raises NoJson."""
    try:
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # lone surrogates, which only escapes can write
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NoJson(
            f"the value, of type {type(value).__qualname__}, is neither bytes nor text, and has no JSON ({error}); "
            f"have the getter return bytes, text or what JSON has"
        ) from None


def from_json(body: bytes) -> Any:
    """What a JSON document says; raises ValueError."""
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _finite(number: str) -> float:
    """What could not be shown again is not taken."""
    if math.isinf(value := float(number)):
        raise ValueError(f"{number:.100} is too large for a number")
    return value


def value_of(body: bytes, content_type: str) -> Any:
    """The value that a body means: of JSON what it says, text as str, all else as bytes; raises ValueError."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind == JSON:
        return from_json(body)
    if not kind.startswith("text/"):
        return body
    charset = dict(_parameters(parameters)).get("charset", "utf-8")
    try:
        if codecs.lookup(charset).name in _NO_CHARSETS:
            raise LookupError
        return body.decode(charset)
    except LookupError:
        raise ValueError(f"there is no charset {charset!r:.100}; write text as UTF-8") from None


# --------------------------------------------------------------------------------------------------- what is accepted


def _chosen(offers: tuple[str, ...], accept: str, value: Any) -> str:
    """The offer that is wanted most; of equals the first."""
    ranges = [(kind, _quality(parameters)) for kind, parameters in _ranges(accept)]
    wanted = {offer: _wanted(offer, ranges) for offer in offers}
    best = max(offers, key=wanted.__getitem__)
    if wanted[best] > 0:
        return best
    raise NoJson(
        f"a value of type {type(value).__qualname__} can be had as {' or '.join(offers)}, and the request accepts "
        f"{accept!r:.200} alone"
    )


def _ranges(accept: str) -> Iterator[tuple[str, str]]:
    for each in accept.split(","):
        kind, _, parameters = each.partition(";")
        yield kind.strip().lower(), parameters


def _wanted(offer: str, ranges: list[tuple[str, float]]) -> float:
    """How much an offer is wanted: the most specific range that it is in says it (RFC 9110, section 12.5.1)."""
    for name in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        if some := [quality for kind, quality in ranges if kind == name]:
            return max(some)
    return 0.0


def _quality(parameters: str) -> float:
    try:
        return float(dict(_parameters(parameters)).get("q", "1"))
    except ValueError:
        return 0.0


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    for each in text.split(";"):
        name, _, value = each.partition("=")
        yield name.strip().lower(), value.strip().strip('"')
