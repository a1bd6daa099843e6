"""geek-cache's gRPC protocol, over a loopback socket, with plain clients that have messages of their own."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import raycache
from raycache.edge.gateway import geekcache, health
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.served import Hit, Served
from raycache.edge.metrics import Requests

TOM = b"\x0a\x06scores\x12\x03Tom"
GET, DELETE = "/pb.GroupCache/Get", "/pb.GroupCache/Delete"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextlib.asynccontextmanager
async def listening(served, limits=Limits(), requests=None):  # noqa: B008
    """The address of a server of the protocol."""
    server, health = geekcache.server(served, limits, requests)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        health.stop()
        await server.stop(None)


@contextlib.asynccontextmanager
async def serving(served, limits=Limits(), requests=None):  # noqa: B008
    """A channel to a server of the protocol."""
    async with listening(served, limits, requests) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


async def call(channel, method, data=TOM, **options):
    """The bytes of the answer to bytes."""
    return await channel.unary_unary(method)(data, **options)


def answer(served, method=GET, data=TOM, limits=Limits(), **options):  # noqa: B008
    """The bytes of an answer, or its status and text."""

    async def talk():
        async with serving(served, limits) as channel:
            try:
                return await call(channel, method, data, **options)
            except grpc.aio.AioRpcError as error:
                return error.code().name, error.details()

    return asyncio.run(talk())


class Shown:
    """Serves what it is given, an exception by raising it."""

    def __init__(self, given=b""):
        self.given = given
        self.timeouts = []

    async def known(self, name, timeout_s):
        """All groups are served; to find that out takes half of the time."""
        return timeout_s / 2

    async def get(self, group, key, *, timeout_s=None):
        self.timeouts.append(timeout_s)
        if isinstance(self.given, BaseException):
            raise self.given
        return Hit(self.given, "near", None)

    async def remove(self, group, keys):
        if isinstance(self.given, BaseException):
            raise self.given
        return int(self.given)


VALUES = {
    "bytes": (b"630", b"\x0a\x03630"),
    "text": ("Tüm", b"\x0a\x04T\xc3\xbcm"),
    "nothing": (b"", b""),
    "what has JSON": ([630], b"\x0a\x05[630]"),
}


@pytest.mark.parametrize(("given", "data"), VALUES.values(), ids=VALUES)
def test_a_value_is_a_response(given, data):
    assert answer(Shown(given)) == data


@pytest.mark.parametrize(("removed", "data"), [(1, b"\x08\x01"), (0, b"")])
def test_delete_says_whether_the_key_was_there(removed, data):
    assert answer(Shown(removed), DELETE) == data


class Mute(Exception):
    """One that cannot be shown."""

    def __str__(self):
        raise RuntimeError


ERRORS = {
    "no such group": (raycache.UnknownGroup("no such group: scores"), "UNKNOWN", "group not found"),
    "no such key": (raycache.NotFound("no Tom here"), "UNKNOWN", "data not found"),
    "the getter's own": (ValueError("the database is away: ü"), "UNKNOWN", "the database is away: ü"),
    "the getter's own without a text": (ZeroDivisionError(), "UNKNOWN", "ZeroDivisionError"),
    "the getter's own, which no text can hold": (ValueError("\udcff"), "UNKNOWN", "\\udcff"),
    "the getter's own that cannot be shown": (Mute(), "UNKNOWN", "Mute"),
    "a load that takes too long": (raycache.LoadTimeout("5 s"), "DEADLINE_EXCEEDED", "5 s"),
    "a cache that cannot be reached": (raycache.CacheUnavailable("no shard"), "UNAVAILABLE", "no shard"),
    "a key that is none": (raycache.InvalidKey("too long"), "INVALID_ARGUMENT", "too long"),
}


@pytest.mark.parametrize(("error", "code", "text"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", [GET, DELETE])
def test_an_error_is_a_status(method, error, code, text):
    assert answer(Shown(error), method) == (code, text)


@pytest.mark.parametrize("character", ["x", "ü", "🦆"])
def test_an_error_with_a_long_text_keeps_its_status(character):
    """Clients take no more than 8 KiB of metadata, in which most characters are three times their bytes."""
    code, text = answer(Shown(ValueError(f"the database: {character * 10_000}")))

    assert code == "UNKNOWN"
    assert text.startswith(f"the database: {character * 100}")
    assert text.endswith(f"{character}...")


def test_a_value_that_has_no_json_is_a_failed_precondition():
    code, text = answer(Shown(object()))

    assert code == "FAILED_PRECONDITION"
    assert text.startswith("the value, of type object, is neither bytes nor text, and has no JSON")


REQUESTS = {
    "nothing": (b"", "UNKNOWN", "key required"),
    "no key": (b"\x0a\x06scores", "UNKNOWN", "key required"),
    "a message that is cut off": (b"\x0a\x06score", "INTERNAL", "7 bytes are no pb.Request: "),
    "text that is no UTF-8": (b"\x0a\x06scores\x12\x01\xff", "INTERNAL", "11 bytes are no pb.Request: "),
    "a length of more than ten bytes": (b"\x0a" + b"\x80" * 10 + b"\x01", "INTERNAL", "12 bytes are no pb.Request: "),
    "a key that is too long": (
        b"\x0a\x01g\x12\x0bkkkkkkkkkkk",
        "INVALID_ARGUMENT",
        "a key of 11 bytes; at most 10 are served: use a digest of it",
    ),
    "a message that is too large": (TOM + b"\x1a\x50" + b"x" * 80, "RESOURCE_EXHAUSTED", ""),  # grpc's own text
}


@pytest.mark.parametrize(("data", "code", "text"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("method", [GET, DELETE])
def test_a_request_that_is_wrong_is_a_status(method, data, code, text):
    got, said = answer(Shown(), method, data, Limits(key_bytes=10, body_bytes=80))

    assert got == code
    assert said
    assert said.startswith(text)


def test_a_method_that_is_not_there_is_unimplemented():
    assert answer(Shown(), "/pb.GroupCache/Set")[0] == "UNIMPLEMENTED"


def test_a_call_is_counted_for_the_group_that_it_asks(inline, getter):
    """And none for a group that is not served, or without a key."""
    cache = inline()
    cache.group("scores", getter)
    requests = Requests()

    async def talk():
        async with serving(Served(cache), requests=requests) as channel:
            for method, data in [(GET, TOM), (DELETE, TOM), (GET, b"\x0a\x06scores"), (GET, b"\x12\x03Tom")]:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await call(channel, method, data)

    asyncio.run(talk())
    assert requests.of_peers == {"scores": 2}


def test_a_group_may_be_empty_and_is_not_found(inline):
    assert answer(Served(inline()), data=b"\x12\x03Tom") == ("UNKNOWN", "group not found")


# ---------------------------------------------------------------------------------------------------- deadlines


def test_the_deadline_of_the_client_goes_with_its_get():
    served = Shown()
    answer(served, timeout=5.0)
    (timeout_s,) = served.timeouts

    assert timeout_s == pytest.approx(2.5, abs=1.0)


def test_a_call_without_a_deadline_has_that_of_the_limits():
    served = Shown()
    answer(served, limits=Limits(timeout_s=7.0))

    assert served.timeouts == [3.5]


def test_a_client_whose_deadline_is_over_leaves_the_load_to_others(inline, getter, gate):
    getter.gates["Tom"] = gate()
    cache = inline()
    cache.group("scores", getter)
    getter.values["Tom"] = b"630"

    async def talk():
        async with serving(Served(cache)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as hurried:
                await call(channel, GET, timeout=0.05)
            patient = asyncio.ensure_future(call(channel, GET))
            await asyncio.to_thread(getter.gates["Tom"].await_arrival)
            getter.gates["Tom"].open()
            return hurried.value.code(), await patient

    assert asyncio.run(talk()) == (grpc.StatusCode.DEADLINE_EXCEEDED, b"\x0a\x03630")
    assert getter.calls == ["Tom"]


# ------------------------------------------------------------------------------------------------------- limits


def test_calls_beyond_the_limit_are_refused_and_others_are_answered(inline, getter, gate):
    getter.gates["Tom"] = gate()
    cache = inline()
    cache.group("scores", getter)
    requests = Requests()

    async def talk():
        async with serving(Served(cache), Limits(concurrency=1), requests) as channel:
            first = asyncio.ensure_future(call(channel, GET))
            await asyncio.to_thread(getter.gates["Tom"].await_arrival)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(channel, GET)
            getter.gates["Tom"].open()
            await first
            await call(channel, GET)
            return refused.value.code(), refused.value.details()

    what = "1 calls are being answered, which is the most; try again"
    assert asyncio.run(talk()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, what)
    assert dict(requests.counts()) == {("grpc", "OK"): 2, ("grpc", "RESOURCE_EXHAUSTED"): 1}


def test_a_gateway_that_is_busy_answers_for_its_health(inline, getter, gate):
    """Who is refused would have it restarted in the middle of its work."""
    getter.gates["Tom"] = gate()
    cache = inline()
    cache.group("scores", getter)

    async def talk():
        async with serving(Served(cache), Limits(concurrency=1)) as channel:
            busy = asyncio.ensure_future(call(channel, GET))
            await asyncio.to_thread(getter.gates["Tom"].await_arrival)
            status = (await ask_health(channel)).status
            getter.gates["Tom"].open()
            await busy
            return status

    assert asyncio.run(talk()) == SERVING


def watch(channel):
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())


def check_without_message(channel):
    return channel.stream_unary("/grpc.health.v1.Health/Check")()


@pytest.mark.parametrize("hold", [watch, check_without_message])
def test_questions_about_health_keep_no_other_call_from_being_answered(inline, monkeypatch, hold):
    """They need no token: whoever can reach the port could end the service for all."""
    monkeypatch.setattr(health, "MOST", 1)

    async def talk():
        async with serving(Served(inline()), Limits(concurrency=1)) as channel:
            asking = [hold(channel), hold(channel)]
            ends = [asyncio.ensure_future(each.code()) for each in asking]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            ((refused, held),) = ([one, other] for one, other in (asking, reversed(asking)) if one.done())
            with pytest.raises(grpc.aio.AioRpcError) as answered:
                await call(channel, GET)
            held.cancel()
            await asyncio.gather(*ends)
            return await refused.code(), await refused.details(), answered.value.details()

    what = "1 calls are being answered, which is the most; try again"
    assert asyncio.run(talk()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, what, "group not found")


def test_connections_beyond_the_limit_are_refused_until_one_ends():
    """Each channel with connections of its own, that tries again soon."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    options += [(f"grpc.{which}_reconnect_backoff_ms", 50) for which in ("initial", "min", "max")]

    async def talk():
        async with listening(Shown(b"v"), Limits(connections=1)) as address:
            one, another = (grpc.aio.insecure_channel(address, options) for _ in range(2))
            async with another:
                async with one:
                    first = await call(one, GET)
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await call(another, GET)
                return first, refused.value.code(), await call(another, GET, timeout=30, wait_for_ready=True)

    assert asyncio.run(talk()) == (b"\x0a\x01v", grpc.StatusCode.UNAVAILABLE, b"\x0a\x01v")


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HELD = {
    "nothing": b"",
    "half of a beginning": PREFACE[:10],
    "a beginning": PREFACE,
    "a beginning, and no call": PREFACE + b"\0\0\0\4\0\0\0\0\0",
    "HTTP/1.1": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("sent", HELD.values(), ids=HELD)
def test_a_connection_that_comes_to_no_call_is_ended(sent):
    async def talk():
        async with listening(Shown(), Limits(head_s=0.1, idle_s=0.1)) as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(sent)
            await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return reader.at_eof()

    assert asyncio.run(talk())


CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


def frame(kind, flags, data, stream=0):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def test_a_client_that_is_gone_without_a_word_holds_no_call(inline):
    """It answers no ping; its call would go on, and so its connection would never be idle."""
    headers = b"\x83\x86\x04%c%s\x01\x01x" % (len(WATCH), WATCH.encode())
    headers += b"\x0f\x10\x10application/grpc\x00\x02te\x08trailers"
    watching = PREFACE + frame(4, 0, b"") + frame(1, 4, headers, 1) + frame(0, 1, b"\0\0\0\0\0", 1)

    async def talk():
        async with listening(Served(inline()), Limits(idle_s=0.1, body_s=0.1)) as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(watching)
            came = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return came

    assert b"\0\0\0\0\x02\x08\x01" in asyncio.run(talk())  # it was told SERVING


@pytest.mark.parametrize("method", [GET, DELETE, CHECK, WATCH])
def test_a_call_whose_message_does_not_come_is_ended(method):
    async def talk():
        async with serving(Shown(), Limits(body_s=0.05, head_s=0.05)) as channel:
            held = channel.stream_unary(method)()
            return await held.code(), await held.details()

    assert asyncio.run(talk()) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "the message of the call did not come within 0.05 s",
    )


@pytest.mark.parametrize("method", [GET, DELETE, CHECK, WATCH])
def test_a_call_that_ends_without_a_message_is_refused(method):
    async def talk():
        async with serving(Shown()) as channel:
            empty = channel.stream_unary(method)(iter(()))
            return await empty.code(), await empty.details()

    assert asyncio.run(talk()) == (grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")


TOKENS = {
    "none": (None, "UNAUTHENTICATED"),
    "a wrong one": ("Bearer wrong", "UNAUTHENTICATED"),
    "another scheme": ("Basic secret", "UNAUTHENTICATED"),
    "the right one": ("Bearer secret", None),
}


@pytest.mark.parametrize(("given", "code"), TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("method", [GET, DELETE, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"])
def test_every_service_but_health_needs_the_token(method, given, code):
    metadata = [] if given is None else [("authorization", given)]

    async def talk():
        async with serving(Shown(1), Limits(token="secret")) as channel:
            assert (await ask_health(channel)).status
            if code is not None:  # at once, whether a message comes or not
                refused = channel.stream_unary(method)(metadata=metadata)
                assert (await refused.code()).name == code
                assert await refused.details() == (
                    "this needs the gateway's token, as metadata authorization: Bearer TOKEN"
                )
            try:
                await call(channel, method, b"\x0a\x01g\x12\x01k", metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return None

    assert asyncio.run(talk()) == code


# ------------------------------------------------------------------------------------------------------- health


async def ask_health(channel, service=""):
    return await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))


@pytest.mark.parametrize("service", ["", "pb.GroupCache"])
def test_health_is_that_of_the_cache(inline, service):
    cache = inline()

    async def talk():
        async with serving(Served(cache)) as channel:
            before = await ask_health(channel, service)
            cache.destroy()
            return before.status, (await ask_health(channel, service)).status

    assert asyncio.run(talk()) == (SERVING, NOT_SERVING)


def test_the_health_of_another_service_is_not_found(inline):
    other = health_pb2.HealthCheckRequest(service="pb.Other").SerializeToString()

    assert answer(Served(inline()), CHECK, other) == ("NOT_FOUND", "no service 'pb.Other' is served here")


@pytest.mark.parametrize("method", [CHECK, WATCH])
def test_a_question_about_health_that_is_no_message_is_refused(method):
    async def talk():
        async with serving(Shown()) as channel:
            asked = channel.stream_unary(method)(iter([b"\x0a\x04pb"]))
            return await asked.code(), await asked.details()

    code, text = asyncio.run(talk())
    assert code == grpc.StatusCode.INTERNAL
    assert text.startswith("4 bytes are no grpc.health.v1.HealthCheckRequest: ")


def test_who_watches_the_health_is_told_when_it_changes(inline, monkeypatch):
    monkeypatch.setattr(health, "LOOK_S", 0.01)
    cache = inline()

    async def talk():
        async with serving(Served(cache)) as channel:
            watching = watch(channel)
            before = await watching.read()
            cache.destroy()
            return before.status, (await watching.read()).status

    assert asyncio.run(talk()) == (SERVING, NOT_SERVING)


def test_who_watches_the_health_is_told_of_the_stop_and_does_not_delay_it(inline):
    async def talk():
        server, health = geekcache.server(Served(inline()), Limits())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            watching = watch(channel)
            before = await watching.read()
            health.stop()
            await asyncio.wait_for(server.stop(60), 30)
            return before.status, (await watching.read()).status, await watching.read() is grpc.aio.EOF

    assert asyncio.run(talk()) == (SERVING, NOT_SERVING, True)


# --------------------------------------------------------------------------------------------------- reflection


async def reflect(channel, **question):
    """One question of grpcurl's, and the answer."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    stream = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]))
    return await stream.read()


def test_services_are_listed(inline):
    async def talk():
        async with serving(Served(inline())) as channel:
            return await reflect(channel, list_services="")

    services = asyncio.run(talk()).list_services_response.service
    assert [service.name for service in services] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "pb.GroupCache",
    ]


def test_a_client_that_knows_nothing_can_call_by_reflection(inline, getter):
    """As grpcurl does: the service by its name, its messages by what the server says of them."""
    cache = inline()
    cache.group("scores", getter)
    getter.values["Tom"] = b"630"

    async def talk():
        async with serving(Served(cache)) as channel:
            said = await reflect(channel, file_containing_symbol="pb.GroupCache")
            pool = descriptor_pool.DescriptorPool()
            for file in said.file_descriptor_response.file_descriptor_proto:
                pool.AddSerializedFile(file)
            method = pool.FindServiceByName("pb.GroupCache").FindMethodByName("Get")
            ask, answer = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
            data = await call(channel, GET, ask(group="scores", key="Tom").SerializeToString())
            return answer.FromString(data).value

    assert asyncio.run(talk()) == b"630"


@pytest.mark.parametrize("service", ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"])
def test_every_service_that_is_listed_is_described(inline, service):
    async def talk():
        async with serving(Served(inline())) as channel:
            return await reflect(channel, file_containing_symbol=service)

    (file,) = asyncio.run(talk()).file_descriptor_response.file_descriptor_proto
    assert service.rpartition(".")[2] in {
        each.name for each in descriptor_pb2.FileDescriptorProto.FromString(file).service
    }


# ------------------------------------------------------------------------------- defects 20 to 22 of the family


def own_client(channel):
    """A plain client with descriptors of its own, as from the older pb.proto, whose response is `Response`."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="geek/pb/pb.proto", package="pb", syntax="proto3")
    for name, fields in {"Request": {"group": 9, "key": 9}, "Response": {"value": 12}}.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            message.field.add(name=field, number=number, type=kind, label=1)
    pool.AddSerializedFile(file.SerializeToString())
    request, response = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in ("pb.Request", "pb.Response")
    )
    get = channel.unary_unary(GET, request.SerializeToString, response.FromString)
    return lambda group, key: get(request(group=group, key=key))


def test_a_client_with_messages_of_its_own_gets_values_and_errors(inline, getter):
    """Defects 20 to 22: unknown groups and missing keys differ, odd keys survive, a missing key is looked up once."""
    keys = ["Tom", "a b+c%2F", "/a//b/", ".", "..", "🦆", "a\nb"]
    cache = inline()
    cache.group("scores/of all", getter)
    getter.values = {key: f"value of {key}" for key in keys} | {"nobody": raycache.NotFound("nobody")}
    errors = []

    async def talk():
        async with serving(Served(cache)) as channel:
            get = own_client(channel)
            got = {key: (await get("scores/of all", key)).value.decode() for key in keys}
            for group, key in [("scores/of all", "nobody"), ("scores", "Tom"), ("scores/of all", "")]:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await get(group, key)
                errors.append((error.value.code().name, error.value.details()))
            return got

    assert asyncio.run(talk()) == {key: f"value of {key}" for key in keys}
    assert errors == [("UNKNOWN", text) for text in ("data not found", "group not found", "key required")]
    assert getter.calls == [*keys, "nobody"]
