"""The gateway's own server on loopback: clients that are slow, half gone or too many, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time

import grpc
import httpx
import pytest
import uvloop

from raycache.edge.gateway import messages
from raycache.edge.gateway import server as server_module
from raycache.edge.gateway.app import Application, application
from raycache.edge.gateway.connections import JOINED_BYTES, Connection
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.served import Served
from raycache.edge.gateway.server import Address, Server, Tls
from raycache.errors import InvalidOption

GET = b"GET /v1/groups/users/keys/a HTTP/1.1\r\nhost: gateway\r\n\r\n"
LAST = GET[:-2] + b"connection: close\r\n\r\n"
#: Everything is late at once.
HASTY = {"head_s": 0.05, "body_s": 0.05, "idle_s": 0.05}


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch):
    monkeypatch.setattr(server_module, "LOOK_S", 0.01)


@pytest.fixture
def cache(inline):
    return inline(clock=time.monotonic)


@contextlib.asynccontextmanager
async def serving(cache, **bounds):
    """The port of a gateway that serves."""
    limits = Limits(**bounds)
    server = Server(limits, Address("127.0.0.1", 0))
    await server.start(application(cache, limits=limits))
    try:
        yield server.addresses["http"].port
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def sent(port, data):
    """What comes for some bytes, to the end of the connection."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 20)


def run(cache, talk, **bounds):
    async def talking():
        async with serving(cache, **bounds) as port:
            return await talk(port)

    return uvloop.run(talking())


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


def statuses(cache, requests, **bounds):
    """For each request, made at once in connections of their own, to the end of these."""

    async def ask(port):
        return await asyncio.gather(*(sent(port, data) for data in requests.values()))

    return dict(zip(requests, map(status, run(cache, ask, **bounds)), strict=True))


# --------------------------------------------------------------------------------------------------- bad clients

PUT = b"PUT /v1/groups/users/keys/a HTTP/1.1\r\nhost: g\r\n"


def test_a_client_that_stops_is_not_waited_for(cache, users):
    """Slowloris: it keeps its connection and sends nothing more."""
    stops = {
        "nothing": b"",
        "half a line": b"GET /v1",
        "half a head": GET[:-2],
        "half a body": PUT + b"content-length: 9\r\n\r\nhalf",
        "half the chunks": PUT + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "an empty line": b"\r\n",
    }

    assert statuses(cache, stops, **HASTY) == dict.fromkeys(stops, 408)


def test_a_client_that_asks_nothing_more_is_let_go(cache, users):
    requests = {"one": GET, "another begun": GET + b"GET /"}

    assert statuses(cache, requests, **HASTY) == dict.fromkeys(requests, 200)


def test_a_client_that_sends_a_byte_now_and_then_is_late_all_the_same(cache, users):
    async def drip(port):
        async with connected(port) as (reader, writer):
            answer = asyncio.create_task(reader.read())
            writer.write(b"GET /")
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.01)
            return await answer

    assert status(run(cache, drip, **(HASTY | {"head_s": 0.2}))) == 408


def test_a_client_that_takes_no_answer_is_let_go(cache):
    """... and its connection counts no more."""
    cache.group("large", lambda key: bytes(1 << 20), capacity="4 MiB")

    async def ask(port):
        async with connected(port) as (_, writer):
            writer.transport.pause_reading()
            writer.write(GET.replace(b"users", b"large") * 20)
            while status(answer := await sent(port, LAST)) == 503:
                pass
            return answer

    assert status(run(cache, ask, connections=1, body_s=0.1)) == 404


def test_what_is_no_request_has_a_status_and_ends_the_connection(cache, users):
    cases = {
        "a long header": (b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 500_000, 431),
        "a long line": (b"GET /" + b"a" * 500_000, 431),
        "many headers": (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000, 431),
        "trailers": (PUT + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 100_000, 431),
        "a large body": (PUT + b"content-length: 99999999\r\n\r\n", 413),
        "a head of more than its bound in one piece": (b"GET / HTTP/1.1\r\nx: " + b"y" * 99_000 + b"\r\n\r\n", 431),
        "a tunnel": (b"CONNECT /v1/groups HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        "a tunnel to somewhere": (b"CONNECT a:80 HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        "no target": (b"GET\r\n\r\n", 400),
        "no method": (b"BREW /v1/groups HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        "no ASCII": (b"GET /v1/\xff HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        "a negative body": (PUT + b"content-length: -1\r\n\r\n", 400),
        "two bodies": (PUT + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    }
    requests = {name: data for name, (data, _) in cases.items()}

    assert statuses(cache, requests) == {name: answer for name, (_, answer) in cases.items()}


def test_no_path_leads_out_of_the_group(cache, users, getter):
    paths = ["../../../etc/passwd", "./a", "//", "%2e%2e%2f", "a%00"]
    requests = {path: GET.replace(b"keys/a", f"keys/{path}".encode()) for path in paths}

    assert statuses(cache, requests, **HASTY) == dict.fromkeys(paths, 200)
    assert sorted(getter.calls) == sorted(["../../../etc/passwd", "./a", "//", "../", "a\0"])


def test_more_connections_than_there_may_be_are_refused(cache, users):
    async def ask(port):
        async with connected(port) as (reader, writer), connected(port):
            writer.write(GET)
            await reader.readuntil(b"value of 'a'")
            refused = await sent(port, GET)
        while status(answer := await sent(port, LAST)) == 503:
            pass
        return refused, answer

    refused, later = run(cache, ask, connections=2)

    assert (status(refused), b"retry-after: 1" in refused) == (503, True)
    assert status(later) == 200


def test_a_connection_serves_many_requests(cache, users):
    async def ask(port):
        async with connected(port) as (reader, writer):
            for _ in range(3):
                writer.write(GET)
                await reader.readuntil(b"value of 'a'")
            writer.write(GET + GET)  # pipelined
            for _ in range(2):
                await reader.readuntil(b"value of 'a'")

    run(cache, ask)

    assert users.stats().gets == 5


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
@pytest.mark.parametrize(
    "framing", [b"content-length: 3\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
def test_an_offer_of_another_protocol_takes_nothing_from_a_request(cache, users, offer, framing):
    """... as clients of HTTP/2 make it: neither its body, nor what comes behind it."""
    head = b"connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk\r\nupgrade: " + offer + b"\r\n"

    async def ask(port):
        return await sent(port, PUT + head + framing + LAST.replace(b"/a ", b"/b "))

    answer = run(cache, ask)

    assert (status(answer), answer.endswith(b"value of 'b'")) == (204, True)
    assert users.get("a") == b"abc"


def test_requests_do_not_queue_up_without_end_in_a_connection(cache, users, getter, gate):
    getter.gates["a"] = gate()

    async def ask(port):
        answer = await sent(port, GET * 9)
        getter.gates["a"].open()
        return answer

    assert run(cache, ask, concurrency=5) == b""


def test_the_head_of_an_answer_is_sent_with_its_body(cache, users, monkeypatch):
    """... in one call of the kernel, and what has no body by itself; but before a large one."""
    cache.group("large", lambda key: bytes(JOINED_BYTES + 1))
    told = []

    class Noting:
        def __init__(self, transport):
            self._transport = transport

        def __getattr__(self, name):
            return getattr(self._transport, name)

        def write(self, data):
            told.append(bytes(data))
            self._transport.write(data)

    made = Connection.connection_made
    monkeypatch.setattr(Connection, "connection_made", lambda self, transport: made(self, Noting(transport)))

    async def ask(port):
        async with connected(port) as (reader, writer):
            writer.write(GET + GET.replace(b"GET", b"HEAD"))
            await reader.readuntil(b"value of 'a'")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PUT + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"put")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(GET.replace(b"users", b"large"))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(JOINED_BYTES + 1)

    run(cache, ask)
    first_and_last = [(data.partition(b"\r\n")[0], data.rpartition(b"\r\n")[2]) for data in told if data]

    assert first_and_last == [
        (b"HTTP/1.1 200 OK", b"value of 'a'"),
        (b"HTTP/1.1 200 OK", b""),
        (b"HTTP/1.1 100 Continue", b""),
        (b"HTTP/1.1 204 No Content", b""),
        (b"HTTP/1.1 200 OK", b""),
        (bytes(JOINED_BYTES + 1), bytes(JOINED_BYTES + 1)),
    ]


def test_an_answer_that_breaks_off_is_sent_as_far_as_it_came(cache):
    class Broken(Application):
        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            raise RuntimeError("half an answer")

    async def ask():
        server = Server(Limits(), Address("127.0.0.1", 0))
        await server.start(Broken(Served(cache), Limits()))
        try:
            return await sent(server.addresses["http"].port, GET)
        finally:
            await server.stop()

    assert status(uvloop.run(ask())) == 200


# -------------------------------------------------------------------------------------------------------- the end


def test_what_goes_on_is_answered_and_nothing_new(cache, users, getter, gate):
    getter.gates["a"] = gate()

    async def stop():
        async with serving(cache) as port:
            asking = asyncio.create_task(sent(port, GET))
            await asyncio.to_thread(getter.gates["a"].await_arrival)
            opening = asyncio.create_task(open_when_refused(port))
        await opening
        return await asking

    async def open_when_refused(port):
        with contextlib.suppress(ConnectionError):  # refused, or reset in the backlog
            while True:
                async with connected(port):
                    await asyncio.sleep(0.01)
        getter.gates["a"].open()

    answer = uvloop.run(stop())

    assert (status(answer), answer.endswith(b"value of 'a'")) == (200, True)
    assert b"connection: close" in answer


def test_what_does_not_end_is_told_so(cache, users, getter, gate):
    getter.gates["a"] = gate()

    async def stop():
        async with serving(cache, stop_s=0.2) as port:
            asking = asyncio.create_task(sent(port, GET))
            await asyncio.to_thread(getter.gates["a"].await_arrival)
        return await asking

    answer = uvloop.run(stop())
    getter.gates["a"].open()

    assert (status(answer), b"retry-after" in answer) == (503, True)


# ------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture
def tls(tmp_path):
    """A certificate of one's own for loopback."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return Tls(certificate, key)


def test_both_protocols_are_served_over_tls(cache, users, tls):
    async def ask():
        server = Server(Limits(), Address("127.0.0.1", 0), Address("127.0.0.1", 0), tls)
        await server.start(application(cache))
        try:
            async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=tls.certificate)) as client:
                http = await client.get(f"https://{server.addresses['http']}/v1/groups/users/keys/a")
            trusted = grpc.ssl_channel_credentials(tls.certificate.read_bytes())
            async with grpc.aio.secure_channel(str(server.addresses["grpc"]), trusted) as channel:
                get = channel.unary_unary("/pb.GroupCache/Get")
                rpc = await get(messages.Request(group="users", key="a").SerializeToString(), timeout=10)
            return http.text, messages.ResponseForGet.FromString(rpc).value
        finally:
            await server.stop()

    assert uvloop.run(ask()) == ("value of 'a'", b"value of 'a'")


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02"])
def test_a_client_that_does_not_finish_its_handshake_is_not_waited_for(cache, tls, hello):
    async def ask():
        server = Server(Limits(head_s=0.1), Address("127.0.0.1", 0), None, tls)
        await server.start(application(cache))
        try:
            return await sent(server.addresses["http"].port, hello)
        finally:
            await server.stop()

    assert uvloop.run(ask()) == b""


# ------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80), True),
        ("8080", ("127.0.0.1", 8080), True),
        ("localhost:0", ("localhost", 0), True),
        ("[::1]:80", ("::1", 80), True),
        (":80", ("", 80), False),
        ("0.0.0.0:80", ("0.0.0.0", 80), False),
        ("[::]:80", ("::", 80), False),
    ],
)
def test_an_address_is_read(text, address, loopback):
    read = Address.parse(text, "--http")

    assert (tuple(read), read.loopback) == (address, loopback)


@pytest.mark.parametrize("text", ["", "localhost", "a:b", "127.0.0.1:99999", "::1:80", "[::1]", "127.0.0.1:-1", ":٣"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidOption, match="--http="):
        Address.parse(text, "--http")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_address_for_others_needs_a_token(protocol):
    with pytest.raises(InvalidOption, match=r"can be reached from other machines.*RAYCACHE_TOKEN"):
        Server(Limits(), **{protocol: Address("", 0)})


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_address_that_is_taken_is_refused(cache, protocol):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(Limits(), **{protocol: Address(*taken.getsockname())})
        with pytest.raises(InvalidOption, match="nothing can listen"):
            uvloop.run(server.start(application(cache)))
