"""groupcache's HTTP protocol as a peer reads it from its socket: every status, from the first byte to the last."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

import pytest
import uvloop

import raycache
from raycache.edge.gateway.app import application
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.server import Address, Server

LIMITS = Limits(body_bytes=100, key_bytes=50)
TEXT = "content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
ANN = b"\x0a\x06scores\x12\x03Ann\x1a\x017"
REMOVE = b'{"group": "scores", "keys": ["Ann"]}'


def answer(status: str, headers: str, body: bytes) -> bytes:
    """Of a client that asks once."""
    head = f"HTTP/1.1 {status}\r\ndate: (now)\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


def message(body: bytes) -> bytes:
    head = f"content-length: {len(body)}\r\ncontent-type: application/x-protobuf\r\n"
    return f"HTTP/1.1 200 OK\r\ndate: (now)\r\n{head}connection: close\r\n\r\n".encode() + body


def error(status: str, text: str) -> bytes:
    return answer(status, TEXT, f"{text}\n".encode())


EMPTY = answer("200 OK", "", b"")
NO_JSON = (
    "the value, of type set, is neither bytes nor text, and has no JSON (Object of type set is not JSON serializable); "
    "have the getter return bytes, text or what JSON has"
)
# Some Pythons have other phrases for these two.
TOO_LARGE, TOO_LONG = (f"{status.value} {status.phrase}" for status in (HTTPStatus(413), HTTPStatus(414)))
ANSWERS = {
    ("GET", "scores/Tom", b""): message(b"\x0a\x03630\x18\x00"),
    ("GET", "scores/Nobody", b""): error("404 Not Found", "Nobody has no score"),
    ("GET", "scores/Sick", b""): error("503 Service Unavailable", "the database is away"),
    ("GET", "scores/Many", b""): error("406 Not Acceptable", NO_JSON),
    ("GET", "players/Tom", b""): error("404 Not Found", "no such group: players"),
    ("GET", "scores", b""): error("400 Bad Request", "bad request"),
    ("GET", "scores/", b""): error("400 Bad Request", "the key is empty; a key has at least one character"),
    ("GET", "scores/%zz", b""): error("400 Bad Request", "'%zz' is no escape; write % as %25"),
    ("GET", "scores/" + "k" * 51, b""): error(TOO_LONG, "a key of 51 bytes; at most 50 are served: use a digest of it"),
    ("PUT", "scores/Ann", ANN): EMPTY,
    ("PUT", "scores/Ann", b"\x0a\x01g"): error("400 Bad Request", "a groupcachepb.SetRequest without key"),
    ("PUT", "scores/Ann", b"x" * 101): (
        f"HTTP/1.1 {TOO_LARGE}\r\ndate: (now)\r\n{TEXT}connection: close\r\ncontent-length: 66\r\n\r\n"
        "the body has more than 100 bytes, which is the most that is taken\n"
    ).encode(),
    ("DELETE", "scores/Ann", b""): EMPTY,
    ("POST", "scores/_remove-keys/", REMOVE): EMPTY,
    ("POST", "scores/_remove-keys/", b""): error(
        "400 Bad Request", "invalid request: Expecting value: line 1 column 1 (char 0)"
    ),
    ("POST", "scores/Ann", b""): error("404 Not Found", "invalid path for POST method"),
    ("PATCH", "scores/Ann", b""): error("405 Method Not Allowed", "Only GET, DELETE, PUT, POST are supported"),
}


async def asked(cache: raycache.Cache) -> dict[tuple[str, str, bytes], bytes]:
    """The answers of a gateway to all of these, each over a connection of its own."""
    server = Server(LIMITS, Address("127.0.0.1", 0))
    await server.start(application(cache, limits=LIMITS))
    port = server.addresses["http"].port
    try:
        return dict(zip(ANSWERS, await asyncio.gather(*(said(port, *each) for each in ANSWERS)), strict=True))
    finally:
        await server.stop()


async def said(port: int, method: str, path: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} /_groupcache/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    got = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return re.sub(rb"\r\ndate: [^\r]+GMT\r", b"\r\ndate: (now)\r", got)


@pytest.fixture
def cache(inline, getter):
    cache = inline()
    cache.group("scores", getter)
    getter.values = {"Tom": b"630", "Many": {1}, "Sick": ValueError("the database is away")}
    getter.values["Nobody"] = raycache.NotFound("Nobody has no score")
    return cache


def test_every_answer_is_these_bytes(cache):
    """But for its date."""
    assert uvloop.run(asked(cache)) == ANSWERS
