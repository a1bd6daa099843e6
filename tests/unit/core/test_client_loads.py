"""A get of one key that the page server of its owner loads: without a call where it ends well, else by a call."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripted_network import SILENT, ScriptedNetwork, view
from shard_bench import full
from test_client_reads import NOW, STUB, stored, value

from raycache.core.client import Client
from raycache.core.fetch import READ_S
from raycache.core.getters import loading
from raycache.core.messages import Answers, Failed, Get, GroupSpec, Loading, Served
from raycache.core.page_gets import HELD_S
from raycache.core.steps import Local, LocalPages
from raycache.errors import LoadTimeout
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "users", GroupOptions(capacity_bytes=1000), b"")
KEY = full("alice")
OWNER = "a"
LOADED, NOTHING = Served([stored(value="loaded")], NOW), Served([None], NOW)


@pytest.fixture
def network(clock):
    """One shard, which answers every get by a call with one value, and whose page server says what the test tells."""
    network = ScriptedNetwork(clock, view(1, OWNER))
    network.shards[OWNER] = lambda ask: Answers([stored(value="called")] * len(ask.keys), 0.0, 1)
    network.page_servers[OWNER] = lambda keys: Served([stored(value="read")] * len(keys), NOW)
    return network


@pytest.fixture
def get(network):
    """The value, how it was counted, and the calls that it took."""

    def run(*keys, spec=SPEC, **options):
        tiers = {}
        results = network.drive(Client(network.members()).get(spec, keys or [KEY], tiers=tiers, **options))
        return value(results[KEY]), tiers[KEY], network.to(OWNER, kind=Get)

    return run


@pytest.mark.parametrize(
    ("answer", "tier"),
    [(LOADED, "shard_hits"), (Loading(True, LOADED), "loads_started"), (Loading(False, LOADED), "loads_joined")],
    ids=["was there", "started", "joined"],
)
def test_what_the_page_server_has_or_loads_takes_no_call(get, network, answer, tier):
    network.loading[OWNER] = lambda key: answer

    assert get() == ("loaded", tier, [])
    assert [(shard, key, epoch) for shard, key, epoch, _ in network.gets] == [(OWNER, KEY, 1)]
    assert network.reads == []


@pytest.mark.parametrize(
    "end", [NOTHING, Failed("closed"), SILENT, Served([STUB], NOW)], ids=["nothing", "failed", "silent", "a stub"]
)
def test_what_a_load_does_not_bring_is_asked_for_by_a_call_as_by_one_who_has_waited(get, network, end):
    """It is counted as what it was before."""
    network.loading[OWNER] = lambda key: Loading(True, end)
    got, tier, (ask,) = get()

    assert (got, tier) == ("called", "loads_started")
    assert (ask.again, ask.number) == (True, 0)
    assert network.elapsed_s == pytest.approx(HELD_S + READ_S if end is SILENT else 0.0)


def test_a_get_that_waits_for_anothers_load_and_then_starts_one_is_counted_as_a_load(get, network):
    """What it waited for brought nothing; so there are as many starts as loads."""
    network.loading[OWNER] = lambda key: Loading(False, NOTHING)
    network.shards[OWNER] = lambda ask: Answers([stored(value="loaded")], 0.0, 1, started=True)

    assert get()[:2] == ("loaded", "loads_started")


@pytest.mark.parametrize("answer", [Failed("closed"), SILENT], ids=["failed", "silent"])
def test_without_an_answer_the_call_has_the_number_of_the_get(get, network, answer):
    """The load that it may have started is then its own."""
    network.loading[OWNER] = lambda key: answer
    got, tier, (ask,) = get()

    assert (got, tier) == ("called", "shard_hits")
    assert (ask.again, ask.number) == (True, network.gets[0][3])
    assert ask.number > 0
    assert network.elapsed_s == pytest.approx(READ_S if answer is SILENT else 0.0)


def test_a_value_that_the_get_itself_had_loaded_is_counted_as_a_load(get, network):
    """So says the shard, to whoever says the number of that get."""
    network.loading[OWNER] = lambda key: SILENT
    network.shards[OWNER] = lambda ask: Answers([stored(value="loaded")], 0.0, 1, started=True)

    got, tier, asked = get()

    assert (got, tier, len(asked)) == ("loaded", "loads_started", 1)


def test_what_the_page_server_cannot_load_is_asked_for_by_a_call(get, network):
    network.loading[OWNER] = lambda key: NOTHING
    got, tier, (ask,) = get()

    assert (got, tier) == ("called", "shard_hits")
    assert (ask.again, ask.number) == (False, 0)
    assert network.reads == []


def test_where_no_connection_is_free_the_pages_are_read_as_ever(get, network):
    assert get() == ("read", "shard_hits", [])
    assert len(network.gets) == 1


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ((KEY, full("bob")), {}),
        ((KEY,), {"load": False}),
        ((KEY,), {"fresh": True}),
        ((KEY,), {"filling": True}),
        ((KEY,), {"spec": replace(SPEC, getter=None)}),
    ],
    ids=["several keys", "a peek", "a refresh", "others compute it", "no getter"],
)
def test_it_loads_nothing_else(get, network, keys, options):
    get(*keys, **options)

    assert network.gets == []


@pytest.mark.parametrize(
    ("lies_here", "by_page_server"),
    [(STUB, False), (None, True), (stored(expires=1.0), True)],
    ids=["a stub", "nothing", "a value that is over"],
)
def test_a_large_value_on_this_node_is_asked_for_by_a_call_at_once(network, lies_here, by_page_server):
    """Its page server has the same stub, and the reference travels by a call alone."""
    network.loading[OWNER] = lambda key: LOADED
    members = network.members()
    members.local = Local(pages={OWNER: LocalPages(SimpleNamespace(get={KEY: lies_here}.get), (0.0,))})
    result = network.drive(Client(members).get(SPEC, [KEY]))[KEY]

    assert value(result) == ("loaded" if by_page_server else "called")
    assert len(network.gets) == by_page_server


def test_a_getter_at_work_asks_by_calls(get, network):
    """It must not wait for its own end."""
    token = loading.set(True)
    try:
        get()
    finally:
        loading.reset(token)

    assert network.gets == []


def test_a_stand_in_loads_by_calls(network):
    members = network.members()
    members.suspect(OWNER)
    network.getter = lambda keys: SILENT
    with pytest.raises(LoadTimeout):
        network.drive(Client(members).get(SPEC, [KEY], timeout_s=0.1))

    assert network.gets == []


@pytest.mark.parametrize("answer", [SILENT, Loading(True, SILENT)], ids=["at first", "while it loads"])
def test_it_takes_no_longer_than_the_caller_waits(network, answer):
    network.loading[OWNER] = lambda key: answer
    with pytest.raises(LoadTimeout):
        network.drive(Client(network.members()).get(SPEC, [KEY], timeout_s=0.1))

    assert network.elapsed_s == pytest.approx(0.1)
