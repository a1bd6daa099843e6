"""groupcache's HTTP protocol: statuses, texts and bytes as mailgun's groupcache and groupcache-go give them."""

from __future__ import annotations

import asyncio
import math
import time
from urllib.parse import quote, quote_plus

import pytest
from asgi_calls import Answer, call
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

import raycache
from raycache.edge.gateway.groupcache import routes
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.served import Hit, Served

MESSAGE = "application/x-protobuf"
TEXT = "text/plain; charset=utf-8"
EMPTY = Answer(200, {"content-length": "0"}, b"")
SET_K = b"\x0a\x06scores\x12\x01k\x1a\x03new"


def refused(status: int, text: str) -> Answer:
    """As Go's http.Error writes them."""
    body = text.encode() + b"\n"
    headers = {"content-type": TEXT, "x-content-type-options": "nosniff", "content-length": str(len(body))}
    return Answer(status, headers | ({"connection": "close"} if status == 413 else {}), body)


def value(body: bytes) -> Answer:
    return Answer(200, {"content-type": MESSAGE, "content-length": str(len(body))}, body)


class Shown:
    """Serves what it is given, an exception by raising it, and remembers what is done to it."""

    def __init__(self, given=b"", expires=None):
        self.given, self.expires = given, expires
        self.done, self.timeouts, self.lookups = [], [], []

    async def known(self, name, timeout_s):
        """All groups are served; to find that out takes half of the time."""
        self.lookups.append(timeout_s)
        return timeout_s / 2

    async def get(self, group, key, *, timeout_s=None):
        self.timeouts.append(timeout_s)
        self.done.append(("get", group, key))
        if isinstance(self.given, Exception):
            raise self.given
        return Hit(self.given, "near", self.expires)

    async def set(self, group, key, value, *, ttl_s=None):
        self.done.append(("set", group, key, value, ttl_s))
        if isinstance(self.given, Exception):
            raise self.given

    async def remove(self, group, keys):
        self.done.append(("remove", group, list(keys)))
        if isinstance(self.given, Exception):
            raise self.given
        return 0


def ask(served, method, path, body=b"", *, escaping="path", limits=Limits(), **options) -> Answer:  # noqa: B008
    app = Starlette(routes=routes(served, limits, escaping))
    return asyncio.run(call(app, method, "/_groupcache/" + path, body, **options))


# ------------------------------------------------------------------------------------------------------ bytes


VALUES = {
    "bytes": (b"630", b"\x0a\x03630\x18\x00"),
    "text": ("Tüm", b"\x0a\x04T\xc3\xbcm\x18\x00"),
    "nothing": (b"", b"\x0a\x00\x18\x00"),
    "what has JSON": ({"score": 630}, b'\x0a\x0d{"score":630}\x18\x00'),
    "200 bytes, whose length takes two": (b"x" * 200, b"\x0a\xc8\x01" + b"x" * 200 + b"\x18\x00"),
}


@pytest.mark.parametrize(("given", "body"), VALUES.values(), ids=VALUES)
def test_a_value_is_a_get_response_with_expire_0(given, body):
    assert ask(Shown(given), "GET", "scores/Tom") == value(body)


EXPIRIES = {
    "1.7 billion seconds": (1_700_000_000.0, b"\x80\x80\xa8\xb1\xe3\x9f\xe7\xcb\x17"),
    "a quarter of a second after 1970": (0.25, b"\x80\xe5\x9a\x77"),
    "beyond what an int64 has": (1e12, b"\xff" * 8 + b"\x7f"),
}


@pytest.mark.parametrize(("expires", "varint"), EXPIRIES.values(), ids=EXPIRIES)
def test_an_expiry_is_told_in_nanoseconds(expires, varint):
    assert ask(Shown(b"v", expires), "GET", "g/k").body == b"\x0a\x01v\x18" + varint


def test_a_set_is_answered_with_nothing_and_takes_the_key_from_the_message():
    served = Shown()

    assert ask(served, "PUT", "scores/another", SET_K) == EMPTY
    assert served.done == [("set", "scores", "k", b"new", None)]


def test_a_set_has_the_group_of_the_path():
    served = Shown()
    ask(served, "PUT", "others/k", SET_K)

    assert served.done == [("set", "others", "k", b"new", None)]


def test_the_expiry_of_a_set_is_read_in_nanoseconds(monkeypatch):
    served = Shown()
    monkeypatch.setattr(time, "time", lambda: 1_699_999_999.5)
    ask(served, "PUT", "g/k", SET_K + b"\x20\x80\x80\xa8\xb1\xe3\x9f\xe7\xcb\x17")

    assert served.done == [("set", "g", "k", b"new", 0.5)]


@pytest.mark.parametrize("expire", [b"\x01", b"\xff" * 9 + b"\x01"], ids=["a nanosecond of 1970", "before 1970"])
def test_a_set_that_has_expired_already_leaves_no_value(expire):
    served = Shown()

    assert ask(served, "PUT", "g/k", SET_K + b"\x20" + expire) == EMPTY
    assert served.done == [("remove", "g", ["k"])]


def test_a_set_with_expire_0_does_not_expire():
    served = Shown()
    ask(served, "PUT", "g/k", SET_K + b"\x20\x00")

    assert served.done == [("set", "g", "k", b"new", None)]


def test_a_removal_is_answered_with_nothing():
    served = Shown()

    assert ask(served, "DELETE", "scores/Tom") == EMPTY
    assert served.done == [("remove", "scores", ["Tom"])]


def test_many_keys_are_removed_at_once():
    served = Shown()
    body = '{"group": "scores", "keys": ["a b/c", "ü", "k"]}'.encode()

    assert ask(served, "POST", "scores/_remove-keys/", body) == EMPTY
    assert served.done == [("remove", "scores", ["a b/c", "ü", "k"])]


@pytest.mark.parametrize("body", [b'{"group": "scores"}', b'{"keys": null}', b'{"keys": []}'])
def test_no_keys_are_removed_where_none_are_named(body):
    """Go leaves an empty list out, or writes null."""
    served = Shown()

    assert ask(served, "POST", "scores/_remove-keys/", body) == EMPTY
    assert served.done == [("remove", "scores", [])]


# ------------------------------------------------------------------------------------------------------ errors


class Mute(Exception):
    """One that cannot be shown."""

    def __str__(self):
        raise RuntimeError


ERRORS = {
    "no such group": (raycache.UnknownGroup("no such group: scores"), 404, "no such group: scores"),
    "no such key": (raycache.NotFound("no Tom here"), 404, "no Tom here"),
    "the getter's own": (ValueError("the database is away"), 503, "the database is away"),
    "the getter's own without a text": (ZeroDivisionError(), 503, "ZeroDivisionError"),
    "the getter's own that cannot be shown": (Mute(), 503, "Mute"),
    "a load that takes too long": (raycache.LoadTimeout("5 s"), 503, "5 s"),
    "a loader that died": (raycache.LoaderDied("it died"), 503, "it died"),
    "a cache that cannot be reached": (raycache.CacheUnavailable("no shard"), 500, "no shard"),
    "a key that is none": (raycache.InvalidKey("too long"), 400, "too long"),
    "a value that is too large": (raycache.ValueTooLarge("too large"), 413, "too large"),
}


@pytest.mark.parametrize(("error", "status", "text"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_error_is_a_status_and_a_line_of_text(method, error, status, text):
    assert ask(Shown(error), method, "scores/k", SET_K) == refused(status, text)


def test_a_value_that_has_no_json_is_not_acceptable():
    answer = ask(Shown(object()), "GET", "g/k")

    assert (answer.status, answer.headers["content-type"]) == (406, TEXT)
    assert b"object" in answer.body


REQUESTS = {
    "no key": ("GET", "scores", b"", 400, "bad request"),
    "no group": ("GET", "", b"", 400, "bad request"),
    "an escape that is none": ("GET", "scores/100%zz", b"", 400, "'%zz' is no escape; write % as %25"),
    "an escape that is cut off": ("GET", "scores/100%4", b"", 400, "'%4' is no escape; write % as %25"),
    "a post to a key": ("POST", "scores/Tom", b"", 404, "invalid path for POST method"),
    "another method": ("PATCH", "scores/Tom", b"", 405, "Only GET, DELETE, PUT, POST are supported"),
    "a question about headers": ("HEAD", "scores/Tom", b"", 405, "Only GET, DELETE, PUT, POST are supported"),
    "a set of nothing": ("PUT", "scores/k", b"", 400, "a groupcachepb.SetRequest without group and key"),
    "a set without a key": ("PUT", "scores/k", b"\x0a\x01g", 400, "a groupcachepb.SetRequest without key"),
    "keys that are no list": (
        "POST",
        "scores/_remove-keys/",
        b'{"keys": "Tom"}',
        400,
        'invalid request: it is no object with a list of keys, like {"keys": ["a", "b"]}',
    ),
    "keys that are no text": (
        "POST",
        "scores/_remove-keys/",
        b'{"keys": [1]}',
        400,
        'invalid request: it is no object with a list of keys, like {"keys": ["a", "b"]}',
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_is_wrong_is_a_status_and_a_line_of_text(method, path, body, status, text):
    served = Shown()

    assert ask(served, method, path, body) == refused(status, text)
    assert served.done == []


@pytest.mark.parametrize("body", [b"\x0a\x7fg", b"\xff" * 20, b"\x0a\x01g\x12\x01k\x20" + b"\xff" * 11])
def test_a_set_that_is_no_message_is_refused(body):
    answer = ask(Shown(), "PUT", "g/k", body)

    assert answer.status == 400
    assert answer.body.startswith(b"%d bytes are no groupcachepb.SetRequest: " % len(body))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=["nothing", "half", "no text", "deep"])
def test_a_list_of_keys_that_is_no_json_is_refused(body):
    answer = ask(Shown(), "POST", "g/_remove-keys/", body)

    assert answer.status == 400
    assert answer.body.startswith(b"invalid request: ")


BEYOND = {
    "a key": ("GET", "g/" + "k" * 14, b"", 414),
    "the key of a set": ("PUT", "g/k", b"\x0a\x01g\x12\x0ekkkkkkkkkkkkkk", 414),
    "a key of many": ("POST", "g/_remove-keys/", b'{"keys": ["kkkkkkkkkkkkkk"]}', 414),
    "too many keys": ("POST", "g/_remove-keys/", b'{"keys": ["a", "b", "c", "d"]}', 413),
    "a body": ("PUT", "g/k", SET_K + b"x" * 50, 413),
}


@pytest.mark.parametrize(("method", "path", "body", "status"), BEYOND.values(), ids=BEYOND)
@pytest.mark.parametrize("parts", [1, 3])
def test_what_is_beyond_a_limit_is_refused(method, path, body, status, parts):
    served = Shown()
    limits = Limits(key_bytes=13, keys=3, body_bytes=50)

    assert ask(served, method, path, body, limits=limits, parts=parts).status == status
    assert served.done == []


def test_a_get_waits_as_long_as_its_header_says_and_no_longer_than_the_gateway_does():
    waits = [{}, {"request_timeout": "500ms"}, {"request_timeout": "3600"}]
    served = Shown()
    for headers in waits:
        ask(served, "GET", "g/k", limits=Limits(timeout_s=10), **headers)

    assert served.lookups == [10, 0.5, 10]
    assert served.timeouts == [5, 0.25, 5]
    assert ask(served, "GET", "g/k", request_timeout="soon").status == 400


# ------------------------------------------------------------------------------- defects 20 to 23 of the family


def test_an_unknown_group_and_a_missing_key_are_different_errors(inline, getter):
    """Defect 20: both are 404, and the text tells them apart."""
    getter.values["nobody"] = raycache.NotFound("nobody is no player")
    cache = inline()
    cache.group("scores", getter)
    served = Served(cache)

    assert ask(served, "GET", "players/Tom") == refused(404, "no such group: players")
    assert ask(Served(cache), "GET", "scores/nobody") == refused(404, "nobody is no player")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", b""),
        ("GET", "k" * 9000, b""),
        ("PUT", "k", b"no message"),
        ("PUT", "k", SET_K),
        ("DELETE", "k", b""),
        ("POST", "_remove-keys/", b"no JSON"),
        ("POST", "k", b""),
        ("PATCH", "k", b""),
    ],
)
def test_whatever_is_asked_of_a_group_that_is_not_served_is_told_so(inline, method, path, body):
    """As the family does, before it looks at key, method and body."""
    assert ask(Served(inline()), method, f"players/{path}", body) == refused(404, "no such group: players")


def test_a_slash_that_is_escaped_stands_between_group_and_key_where_no_other_does():
    """The family's servers split the path when it is decoded."""
    served = Shown(b"v")
    for path in ("scores%2FTom", "scores%2fa%2fb", "a%2Fb/c%2Fd"):
        ask(served, "GET", path)

    assert served.done == [("get", "scores", "Tom"), ("get", "scores", "a/b"), ("get", "a/b", "c/d")]


ODD_KEYS = {
    "a space": "a b",
    "a plus": "a+b",
    "a percent sign": "100%",
    "what looks like an escape": "%2F",
    "a slash": "a/b",
    "a slash in front": "/a",
    "slashes side by side": "a//b",
    "a slash at the end": "a/",
    "a dot": ".",
    "two dots": "..",
    "a path upwards": "../../etc/passwd",
    "a line break": "a\nb",
    "a zero": "a\0b",
    "a question mark and a hash": "a?b#c",
    "an emoji": "🦆",
    "bytes that are no UTF-8": b"\xff\xfe\x80".decode("utf-8", "surrogateescape"),
    "a name of ours": "_remove-keys/",
}


@pytest.mark.parametrize(("escaping", "escaped"), [("path", quote), ("query", quote_plus)])
@pytest.mark.parametrize("group", ["scores", "teams/red +%", "..", "/"])
def test_odd_keys_and_groups_survive(inline, getter, group, escaping, escaped):
    """Defect 21: from the path to the getter and back."""
    cache = inline()
    cache.group(group, getter)
    getter.values = {key: key for key in ODD_KEYS.values()}
    got = {}
    for key in ODD_KEYS.values():
        path = f"{escaped(group, safe='')}/{escaped(key, safe='', errors='surrogateescape')}"
        body = ask(Served(cache), "GET", path, escaping=escaping).body
        got[key] = body.removeprefix(b"\x0a%c" % (len(body) - 4)).removesuffix(b"\x18\x00")

    assert got == {key: key.encode("utf-8", "surrogateescape") for key in ODD_KEYS.values()}
    assert getter.calls == list(ODD_KEYS.values())


@given(st.binary(min_size=1, max_size=50))
def test_no_two_keys_become_one(key):
    served = Shown()
    ask(served, "GET", "g/" + quote(key, safe=""))
    (got,) = served.done

    assert got[2].encode("utf-8", "surrogateescape") == key


def test_slashes_of_keys_need_no_escapes():
    served = Shown()
    ask(served, "GET", "g//a/../b")

    assert served.done == [("get", "g", "/a/../b")]


def test_a_plus_is_a_plus_in_paths_and_a_space_in_queries():
    path, query = Shown(), Shown()
    ask(path, "GET", "g/a+b%20c%2Bd")
    ask(query, "GET", "g/a+b%20c%2Bd", escaping="query")

    assert path.done == [("get", "g", "a+b c+d")]
    assert query.done == [("get", "g", "a b c+d")]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_empty_key_has_a_clear_error(method):
    """Defect 21."""
    served = Shown()
    body = b"\x0a\x01g\x12\x00\x1a\x01v"

    assert ask(served, method, "g/", body) == refused(400, "the key is empty; a key has at least one character")
    assert served.done == []


def test_a_missing_key_costs_one_call_of_the_getter(inline, getter):
    """Defect 22."""
    getter.values["nobody"] = raycache.NotFound("nobody is no player")
    cache = inline()
    cache.group("scores", getter)

    assert ask(Served(cache), "GET", "scores/nobody").status == 404
    assert getter.calls == ["nobody"]


# -------------------------------------------------------------------------------------------------- a real cache


def test_what_is_set_is_got_and_what_is_removed_is_loaded(inline, getter):
    cache = inline()
    cache.group("scores", getter)
    getter.values["k"] = b"old"

    async def talk():
        app = Starlette(routes=routes(Served(cache), Limits()))
        path = "/_groupcache/scores/"
        return [
            (await call(app, "GET", path + "k")).body,
            (await call(app, "PUT", path + "k", SET_K)).body,
            (await call(app, "GET", path + "k")).body,
            (await call(app, "DELETE", path + "k")).body,
            (await call(app, "GET", path + "k")).body,
            (await call(app, "PUT", path + "k", SET_K)).body,
            (await call(app, "POST", path + "_remove-keys/", b'{"keys": ["k"]}')).body,
            (await call(app, "GET", path + "k")).body,
        ]

    old, new = b"\x0a\x03old\x18\x00", b"\x0a\x03new\x18\x00"
    assert asyncio.run(talk()) == [old, b"", new, b"", old, b"", b"", old]
    assert getter.calls == ["k"] * 3


def test_an_expiry_that_was_set_is_the_one_that_is_told(inline):
    cache = inline()
    group = cache.group("scores", None)
    expire = (int(time.time()) + 300) * 10**9

    async def talk():
        app = Starlette(routes=routes(Served(cache), Limits()))
        await call(app, "PUT", "/_groupcache/scores/k", SET_K + b"\x20" + varint(expire))
        return (await call(app, "GET", "/_groupcache/scores/k")).body

    body = asyncio.run(talk())
    assert body[:6] == b"\x0a\x03new\x18"
    assert math.isclose(number(body[6:]), expire, abs_tol=1e9)
    assert group.peek("k") == b"new"


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])


def number(varint: bytes) -> int:
    return sum((byte & 127) << 7 * place for place, byte in enumerate(varint))


def test_it_may_be_mounted_under_a_path():
    served = Shown(b"v")
    app = Starlette(routes=routes(served, Limits()))

    answer = asyncio.run(call(app, "GET", "/_groupcache/g/a%2Fb", root="/cache"))
    assert answer == value(b"\x0a\x01v\x18\x00")
    assert served.done == [("get", "g", "a/b")]
