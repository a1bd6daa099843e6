"""Gets from page servers: what they have is taken without a call, and for all else a call is made as ever."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from scripted_network import SILENT, ScriptedNetwork, view
from shard_bench import full

from raycache.core import record
from raycache.core.client import Client
from raycache.core.codec import Codec, decode
from raycache.core.fetch import READ_S, Found
from raycache.core.messages import Answers, Failed, Get, GroupSpec, Missing, Served
from raycache.core.steps import Local, LocalPages
from raycache.errors import LoadTimeout
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "users", GroupOptions(capacity_bytes=1000), b"")
MEMBERS = ("a", "b", "c")
KEY, *_ = KEYS = [full(f"key {number}") for number in range(30)]
OWNER = view(1, *MEMBERS).ring.owner(KEY)
#: The clock of the page servers.
NOW = 500.0


def stored(expires=record.NEVER, value="read"):
    tag, data = Codec().encode(value).packed()
    return record.pack(record.Header(expires, 0.0, 0.0, tag), data)


STUB = record.stub(record.Header(record.NEVER, 0.0, 0.0, 1), 1000)


@pytest.fixture
def network(clock):
    """Shards that answer every get with one value, and page servers that have another one."""
    network = ScriptedNetwork(clock, view(1, *MEMBERS))
    for id in MEMBERS:
        network.shards[id] = lambda ask: Answers([stored(value="called")] * len(ask.keys), 0.0, 1)
        network.page_servers[id] = lambda keys: Served([stored()] * len(keys), NOW)
    return network


@pytest.fixture
def get(network, members):
    """The value that each key has, by `value`, and how it was counted."""

    def run(*keys, **options):
        tiers = {}
        results = network.drive(Client(members).get(SPEC, keys, tiers=tiers, **options))
        assert set(tiers.values()) == {"shard_hits"}
        assert tiers.keys() == results.keys() == set(keys)
        return {key: value(result) for key, result in results.items()}

    return run


def value(result):
    assert isinstance(result, Found)
    return decode(result.tag, result.parts)


def test_what_a_page_server_has_takes_no_call(get, network):
    assert get(*KEYS) == dict.fromkeys(KEYS, "read")
    assert network.to(*MEMBERS) == []
    assert {shard for _, shard, _ in network.reads} == set(MEMBERS)


@pytest.mark.parametrize("item", [None, STUB, stored(expires=NOW)], ids=["nothing", "a large value", "expired"])
def test_for_what_it_has_not_the_shard_is_asked(get, network, item):
    """Once, and for nothing else."""
    mine = [key for key in KEYS if network.view.ring.owner(key) == OWNER]
    network.page_servers[OWNER] = lambda keys: Served([item if key == KEY else stored() for key in keys], NOW)

    assert get(*KEYS) == dict.fromkeys(KEYS, "read") | {KEY: "called"}
    assert [ask.keys for ask in network.to(*MEMBERS, kind=Get)] == [(KEY,)]
    assert len(mine) > 1
    assert len(network.reads) == len(MEMBERS)


def test_an_expiry_is_read_by_the_servers_clock(network, members, clock):
    network.page_servers[OWNER] = lambda keys: Served([stored(expires=NOW + 5.0)], NOW)
    result = network.drive(Client(members).get(SPEC, [KEY]))[KEY]

    assert result.expires == clock() + 5.0


@pytest.mark.parametrize(
    ("answer", "seconds"), [(None, 0.0), (Failed("closed"), 0.0), (SILENT, READ_S)], ids=["none", "failed", "silent"]
)
def test_without_a_page_server_all_is_as_ever(get, network, answer, seconds):
    """A silent one costs what a read may take."""
    network.page_servers[OWNER] = lambda keys: answer

    assert get(KEY) == {KEY: "called"}
    assert network.elapsed_s == pytest.approx(seconds)


def test_all_servers_work_at_the_same_time(get, network):
    """The silence of one costs the others nothing."""
    network.page_servers[OWNER] = lambda keys: SILENT
    called = {key for key, value in get(*KEYS).items() if value == "called"}

    assert called == {key for key in KEYS if network.view.ring.owner(key) == OWNER}
    assert [seconds for seconds, _, _ in network.reads] == [0.0] * len(MEMBERS)


def test_what_did_not_go_into_a_reply_is_read_with_the_next_one(get, network):
    for id in MEMBERS:
        network.page_servers[id] = lambda keys: Served([stored()] * min(2, len(keys)), NOW)

    assert get(*KEYS) == dict.fromkeys(KEYS, "read")
    assert network.to(*MEMBERS) == []
    assert len(network.reads) > len(KEYS) / 2


@pytest.mark.parametrize("options", [{"fresh": True}, {"filling": True}], ids=str)
def test_a_page_server_is_not_asked_where_its_record_would_not_do(get, network, options):
    """What is to be loaded anew, or what the asker was told to wait for."""
    assert get(KEY, **options) == {KEY: "called"}
    assert network.reads == []


def test_a_page_server_is_not_asked_on_its_own_node(get, network, members):
    """Its pages were looked into before this."""
    members.local = Local(pages={OWNER: LocalPages(SimpleNamespace(get={}.get), (0.0,))})

    assert get(KEY) == {KEY: "called"}
    assert network.reads == []


def test_a_stand_in_is_not_read_from(get, network, members):
    members.suspect(OWNER)

    assert get(KEY) == {KEY: "called"}
    assert network.reads == []


def test_a_read_takes_no_longer_than_the_caller_waits(network, members):
    network.page_servers[OWNER] = lambda keys: SILENT
    with pytest.raises(LoadTimeout):
        network.drive(Client(members).get(SPEC, [KEY], timeout_s=0.1))

    assert network.elapsed_s == pytest.approx(0.1)


def test_a_peek_is_read_and_then_asked(get, network):
    network.page_servers[OWNER] = lambda keys: Served([None], NOW)
    network.shards[OWNER] = lambda ask: Answers([Missing()], 0.0, 1)
    tiers = {}
    members = network.members()
    network.drive(Client(members).get(SPEC, [KEY], load=False, tiers=tiers))

    assert tiers == {KEY: "misses"}
