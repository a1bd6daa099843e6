"""The page server and its clients on loopback: batches, threads and event loops; strangers, failures, and the end."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest
from served_pages import SHARD, ServedPages, clients, full, get, read, until

from raycache.cluster import page_client, page_server
from raycache.cluster.page_client import Connection, PageClient
from raycache.cluster.page_server import PageServer
from raycache.core import frames, record
from raycache.core.frames import MOST_KEYS, REPLY_BYTES
from raycache.core.handshake import ANSWER_BYTES, GREETING_BYTES, PROOF_BYTES, Handshake
from raycache.core.messages import Endpoint, Failed, Loading, Served
from raycache.errors import VersionMismatch

#: Long for a read, also on a machine that does much else.
READ_S = 20.0


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(page_client, "READ_S", READ_S)


@pytest.fixture(params=["asyncio", "uvloop"])
def served(request, tmp_path, monkeypatch):
    """On both loops."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)  # an import raises
    served = ServedPages(tmp_path)
    assert type(served.server._loop).__module__.startswith(request.param)
    yield served
    served.close()


@pytest.fixture
def impatient(tmp_path):
    """One that gives nobody much time."""
    (tmp_path / "impatient").mkdir()
    served = ServedPages(tmp_path / "impatient", proof_s=0.05, idle_s=0.2)
    yield served
    served.close()


@pytest.fixture
def client(served):
    with clients(served) as client:
        yield client


@pytest.fixture
def stranger(served):
    """Connects to the server, without its secret."""
    made = []

    def connect(to=served):
        made.append(socket.create_connection(("127.0.0.1", to.server.endpoint.port), READ_S))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def all_of(connected):
    """What comes until the other end closes."""
    came = b""
    try:
        while data := connected.recv(1 << 16):
            came += data
    except ConnectionResetError:
        pass
    return came


def proved(connected, endpoint):
    """The connection, after both proofs."""
    handshake = Handshake(endpoint.secret, SHARD)
    connected.sendall(handshake.answer(connected.recv(GREETING_BYTES, socket.MSG_WAITALL)))
    assert handshake.confirmed(connected.recv(PROOF_BYTES, socket.MSG_WAITALL))
    return connected


# ----------------------------------------------------------------------------------------------------- reads


def test_records_are_read_over_the_connection(served, client):
    one, other = served.put("one", "other")
    answer = read(client, "one", "nothing", "other").result(READ_S)

    assert answer == Served([one, None, other], 100.0)


def test_a_large_batch_comes_in_parts(served, client):
    """At most so many keys in a request, and about so many bytes in a reply."""
    names = [f"{number}" for number in range(MOST_KEYS + 1)]
    served.put(*names, data=b"x" * 1000)
    answer = read(client, *names).result(READ_S)

    assert len(answer.records) * 1000 > REPLY_BYTES
    assert len(answer.records) < MOST_KEYS
    assert None not in answer.records


def came_late(client, reading):
    """The answer has come by now, and it is long ago that it was asked for."""
    reading._connection._readable.poll(1000 * READ_S)
    reading.sent -= 2 * READ_S
    reading._connection._heard -= 2 * READ_S
    return reading


def test_an_answer_that_has_come_counts_however_late_it_is_looked_for(served, client):
    """As after another server, which took all the time that there was."""
    (one,) = served.put("one")
    read(client, "one").result(READ_S)
    reading = came_late(client, client.read(SHARD, [full("one")]))

    assert reading.result(0.0).records == [one]
    assert len(served.server.connections) == 1


def test_an_answer_that_nobody_waits_for_any_more_does_not_end_the_connection(served, client):
    """Its caller's time was over before it came."""
    (one,) = served.put("one")
    read(client, "one").result(READ_S)
    abandoned = client.read(SHARD, [full("one")])
    connection = abandoned._connection
    came_late(client, abandoned)

    assert client.read(SHARD, [full("one")]).result(READ_S).records == [one]
    assert not connection.failure


def test_a_get_that_nobody_waits_for_any_more_lets_others_use_its_connection(served, client):
    served.put("one")
    first = get(client, "one")
    first.result(READ_S)
    abandoned = client.get(SHARD, full("one"), 1, 5)
    if abandoned.result(0.0) is None:  # it has not come as soon as that
        abandoned._connection._readable.poll(1000 * READ_S)

    assert client.get(SHARD, full("one"), 1, 6) is not None


def test_a_shard_that_cannot_be_asked_for_its_endpoint_is_tried_again(monkeypatch):
    """It may be one of another version, which is to be replaced."""
    monkeypatch.setattr(page_client, "LEAST_PAUSE_S", 0.0)
    asked = []

    def endpoint(shard):
        asked.append(shard)
        raise VersionMismatch("it has 0.0.1")

    client = PageClient(endpoint)
    until(lambda: client.read(SHARD, [full("one")]) or len(asked) > 1)
    client.close()


def test_where_no_thread_can_start_there_is_no_connection_and_no_error(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(page_client.futures, "in_thread", refuse)
    client = PageClient(lambda _: None)

    assert client.read(SHARD, [full("one")]) is None
    client.close()


def test_threads_share_a_connection(served, client, pool):
    """Each gets its own answers."""
    names = [f"name-{number}" for number in range(40)]
    records = served.put(*names)
    read(client, "name-0").result(READ_S)
    answers = list(pool.map(lambda name: read(client, name).result(READ_S).records[0], 10 * names))

    assert answers == 10 * records
    assert len(served.server.connections) == 1


def test_an_event_loop_waits_without_being_blocked(served, client):
    """For as many answers as it likes, while threads wait for theirs."""
    names = [f"name-{number}" for number in range(40)]
    records = served.put(*names)
    read(client, "name-0").result(READ_S)

    async def get_all():
        futures = [asyncio.wrap_future(read(client, name).future()) for name in names]
        assert not any(future.done() for future in futures)
        return [answer.records[0] for answer in await asyncio.gather(*futures)]

    assert asyncio.run(get_all()) == records


@pytest.fixture
def narrow():
    """A connection to somebody who takes nothing yet, with room for little; and its other end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(READ_S)
    connection = Connection(ours)
    yield connection, theirs
    connection.close("the test is over")
    theirs.close()


def let_send(connection, microseconds):
    """How long sending may wait for room."""
    parts = divmod(microseconds, 10**6)
    connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *parts))


def test_sending_waits_for_nothing_and_everything_arrives_in_order(narrow):
    """Requests that do not fit at once would hold up an event loop."""
    connection, theirs = narrow
    let_send(connection, 5_000_000)
    requests = [*(bytes([number]) * (1 << 21) for number in range(3)), b"end"]
    readings, came = [connection.send(request) for request in requests], b""
    assert None not in readings
    while not came.endswith(b"end"):
        came += theirs.recv(1 << 20)

    assert came == b"".join(requests)


def test_who_takes_no_requests_is_not_sent_to_for_longer_than_that_may_take(narrow):
    """Whoever waits for an answer learns that there will be none."""
    connection, _ = narrow
    let_send(connection, 10_000)
    readings = [connection.send(bytes(1 << 21)) for _ in range(2)]
    until(lambda: all(reading.came for reading in readings))

    assert all(isinstance(reading.came, Failed) for reading in readings)
    assert connection.failure.startswith("sending failed")
    assert connection.send(b"more") is None


def test_an_answer_that_nobody_waits_for_is_in_nobodys_way(served, client):
    one, other = served.put("one", "other")
    first = read(client, "one")
    second = read(client, "other")

    assert second.result(READ_S).records == [other]
    assert first.result(0.0).records == [one]


# ----------------------------------------------------------------------------------------------------- gets


def test_a_get_waits_for_its_load_and_is_in_no_reads_way(served, client):
    """Only one waits for each process: another one that comes meanwhile is to be a call."""
    (one,) = served.put("one")
    waiting = get(client, "new").result(READ_S)
    second = client.get(SHARD, full("other"), 1, 8)
    meanwhile = read(client, "one").result(READ_S)
    served.server.landed([full("new")], served.load)
    end = waiting.end.result(READ_S)
    third = get(client, "one").result(READ_S)

    assert isinstance(waiting, Loading)
    assert waiting.started
    assert (second, meanwhile.records, third.records) == (None, [one], [one])
    assert bytes(record.body(end.records[0])) == b"new"
    assert [(ask.keys, ask.epoch, ask.number) for ask in served.asked] == [((full("new"),), 1, 7)]


def test_a_load_that_takes_long_is_not_waited_for(served, client, monkeypatch):
    monkeypatch.setattr(page_server, "HELD_S", 0.05)
    waiting = get(client, "new").result(READ_S)

    assert waiting.end.result(READ_S) == Served([None], 100.0)
    assert not served.gets.wants([full("new")])


def test_who_waits_for_a_load_learns_at_once_that_the_server_ends(served, client):
    waiting = get(client, "new").result(READ_S)
    served.server.stop()

    assert isinstance(waiting.end.result(READ_S), Failed)
    served.server.landed([full("new")], served.load)


def test_a_client_that_has_gone_is_waited_for_no_longer(served, client):
    get(client, "new").result(READ_S)
    client.keep(())

    until(lambda: not served.gets.wants([full("new")]))


def test_a_caller_whose_time_is_over_leaves_an_end_that_the_next_one_is_not_given(served, client, monkeypatch):
    """Its connection is not used until the end has come, or is overdue."""
    (one,) = served.put("one")
    waiting = get(client, "new").result(READ_S)
    late = waiting.end.result(0.01)
    meanwhile = client.get(SHARD, full("one"), 1, 8)
    monkeypatch.setattr(waiting.end, "takes_s", 0.0)
    overdue = client.get(SHARD, full("one"), 1, 8)
    monkeypatch.setattr(client._loaders[SHARD], "until", 0.0)

    assert [late, meanwhile, overdue] == [None, None, None]
    assert get(client, "one").result(READ_S).records == [one]


FORKS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from served_pages import SHARD, ServedPages, clients, full, read

served = ServedPages(Path(sys.argv[2]))
records = served.put("one")
with clients(served) as client:
    read(client, "one").result(20.0)
    child = os.fork()
    if not child:
        os._exit(client.read(SHARD, [full("one")]) is not None)
    print(os.waitpid(child, 0)[1])
    print(client.read(SHARD, [full("one")]).result(20.0).records == records)
served.close()
"""


def test_a_forked_child_has_no_connection_and_its_parent_keeps_its_own(python, tmp_path):
    assert python(FORKS, Path(__file__).parent, tmp_path).split() == ["0", "True"]


# -------------------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n" + bytes(80), os.urandom(1 << 16), bytes(ANSWER_BYTES)], ids=len
)
def test_garbage_closes_its_connection_and_no_other(served, client, stranger, garbage):
    """Nothing came back but the greeting."""
    (one,) = served.put("one")
    read(client, "one").result(READ_S)
    connected = stranger()
    greeting = connected.recv(GREETING_BYTES, socket.MSG_WAITALL)
    connected.sendall(garbage)

    assert len(greeting) == GREETING_BYTES
    assert all_of(connected) == b""
    assert client.read(SHARD, [full("one")]).result(READ_S).records == [one]


def test_garbage_after_the_proof_closes_the_connection_too(served, stranger):
    connected = proved(stranger(), served.server.endpoint)
    connected.sendall(b"\xff" * 100)

    assert all_of(connected) == b""


def test_who_does_not_prove_itself_in_time_is_cut_off(impatient, stranger):
    """Also one that sends a byte now and then."""
    connected = stranger(impatient)
    connected.sendall(b"r")

    assert len(all_of(connected)) == GREETING_BYTES
    until(lambda: not impatient.server.connections)


def test_who_sends_half_a_request_is_cut_off_when_its_time_is_over(impatient, stranger):
    connected = proved(stranger(impatient), impatient.server.endpoint)
    request, _ = frames.request([full("one")])
    connected.sendall(request[:-1])

    assert all_of(connected) == b""


def test_who_has_stopped_sending_is_cut_off(served, stranger):
    """A connection that is closed on one side is closed."""
    connected = proved(stranger(), served.server.endpoint)
    connected.shutdown(socket.SHUT_WR)

    assert all_of(connected) == b""
    until(lambda: not served.server.connections)


def test_strangers_are_bounded_and_do_not_keep_out_who_is_connected(served, client, stranger, monkeypatch):
    monkeypatch.setattr(page_server, "MOST_UNPROVED", 3)
    (one,) = served.put("one")
    read(client, "one").result(READ_S)
    waiting = [stranger() for _ in range(3)]
    greeted = [len(each.recv(GREETING_BYTES, socket.MSG_WAITALL)) for each in waiting]
    one_more = stranger()

    assert greeted == [GREETING_BYTES] * 3
    assert all_of(one_more) == b""
    assert client.read(SHARD, [full("one")]).result(READ_S).records == [one]


def test_so_many_connections_and_no_more(served, client, stranger, monkeypatch):
    """Also of those who have the secret."""
    monkeypatch.setattr(page_server, "MOST_CONNECTIONS", 1)
    read(client, "one").result(READ_S)

    assert all_of(stranger()) == b""


def test_who_takes_no_answers_costs_a_bounded_number_of_bytes(served, client, stranger):
    """Nothing more is read for it than what it did not take; others are served meanwhile."""
    served.put("large", data=b"x" * 100_000)
    connected = proved(stranger(), served.server.endpoint)
    connected.settimeout(0.05)
    request, _ = frames.request([full("large")])
    with pytest.raises(TimeoutError):
        connected.sendall(2_000_000 * request)
    (mine,) = (each for each in served.server.connections if each._paused)

    assert mine._transport.get_write_buffer_size() < 1 << 20
    assert len(mine._connection._received) < 1 << 20
    assert len(read(client, "large").result(READ_S).records[0]) > 100_000


# --------------------------------------------------------------------------------------------------- failures


def test_a_server_that_ends_is_not_asked_again_at_once(served, client, monkeypatch):
    """Who waits for an answer learns it at once; when there is another server and the pause is over it is read from."""
    monkeypatch.setattr(page_client, "LEAST_PAUSE_S", 0.3)
    (one,) = served.put("one")
    read(client, "one").result(READ_S)
    served.server.stop()
    ended = client.read(SHARD, [full("one")]) or Failed("")
    came = ended if isinstance(ended, Failed) else ended.result(READ_S)
    served.server = PageServer("127.0.0.1", SHARD, served.reads.read)

    assert isinstance(came, Failed)
    assert client.read(SHARD, [full("one")]) is None
    assert not served.server.connections
    assert read(client, "one").result(READ_S).records == [one]


def test_a_connection_that_was_not_used_for_long_is_made_anew_at_once(served, client, monkeypatch):
    """The server may be about to close it."""
    (one,) = served.put("one")
    first = read(client, "one")
    first.result(READ_S)
    monkeypatch.setattr(page_client, "IDLE_S", 0.0)
    unused = client.read(SHARD, [full("one")])
    monkeypatch.setattr(page_client, "IDLE_S", READ_S)

    assert unused is None
    assert until(lambda: client.read(SHARD, [full("one")])).result(READ_S).records == [one]
    assert client._servers[SHARD].connection is not first._connection


def test_without_a_lease_nothing_is_served(served, client):
    served.put("one")
    read(client, "one").result(READ_S)
    served.life.leased = False

    assert isinstance(client.read(SHARD, [full("one")]).result(READ_S), Failed)
    assert client.read(SHARD, [full("one")]) is None


def test_a_server_that_hangs_is_waited_for_no_longer_than_a_read_may_take(served, client, monkeypatch):
    """By nobody more than once, until the pause is over."""
    read(client, "one").result(READ_S)
    monkeypatch.setattr(page_client, "READ_S", 0.05)
    hangs, goes_on = threading.Event(), threading.Event()
    served.server._loop.call_soon_threadsafe(lambda: hangs.set() or goes_on.wait(READ_S))
    hangs.wait(READ_S)
    first = client.read(SHARD, [full("one")])
    soon = first.result(0.01)
    late = first.result(0.05)
    goes_on.set()

    assert soon is None
    assert isinstance(late, Failed)
    assert client.read(SHARD, [full("one")]) is None


@pytest.mark.parametrize(
    "answer", [bytes(GREETING_BYTES), b"", Handshake(b"other", SHARD).greeting() + bytes(32)], ids=len
)
def test_a_client_uses_no_server_that_lacks_the_secret(answer):
    """Another process may have got the port of a shard that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as impostor:

        def serve():
            connected, _ = impostor.accept()
            with connected:
                connected.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match=r"listens there|closed|reset"):
            page_client.connect(Endpoint("127.0.0.1", impostor.getsockname()[1], b"secret"), SHARD)
        thread.join()


@pytest.mark.parametrize("endpoint", [None, Endpoint()], ids=["does not answer", "has none"])
def test_a_shard_without_a_page_server_is_not_asked_for_it_again_at_once(endpoint):
    asked = []
    client = PageClient(lambda shard: asked.append(shard) or endpoint)
    first = client.read(SHARD, [full("one")])
    until(lambda: not client._connecting)

    assert [first, client.read(SHARD, [full("one")])] == [None, None]
    assert asked == [SHARD]
    client.close()


def test_connections_to_shards_that_have_left_are_closed(served, client):
    read(client, "one").result(READ_S)
    client.keep({"another"})

    until(lambda: not served.server.connections)


def test_where_it_cannot_listen_there_is_none(served, caplog):
    """That is said in the log."""
    assert page_server.serve("192.0.2.1", SHARD, served.reads.read) is None
    assert "192.0.2.1" in caplog.text


def test_where_ray_encrypts_its_traffic_nothing_is_served_without(served, monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")

    assert page_server.serve("127.0.0.1", SHARD, served.reads.read) is None


def test_the_secret_is_in_no_repr(served):
    endpoint = served.server.endpoint

    assert repr(endpoint) == f"Endpoint(address='127.0.0.1', port={endpoint.port})"
    assert len(endpoint.secret) == 32
