"""Gets where shards hang, have no lease, have moved, or have not got the entry yet: whom they ask, and how long."""

from __future__ import annotations

import pytest
from scripted_network import SILENT, Later, ScriptedNetwork, script, view
from shard_bench import full

from raycache.core import fetch, record
from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.fetch import LOOK_S, NO_LEASE_S, Found, NotThere
from raycache.core.members import ANSWER_S
from raycache.core.messages import (
    Ack,
    Answers,
    Elsewhere,
    Failed,
    Get,
    GetView,
    GroupSpec,
    InFlight,
    Large,
    Loaded,
    Missing,
    Moved,
    NoLease,
    NoSuchGroup,
    Repeat,
    Suspect,
)
from raycache.errors import LoadTimeout
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "users", GroupOptions(capacity_bytes=1000), b"")
KEY = full("a")
OLD = view(1, "a", "b", "c")
FIRST, SECOND, THIRD = OLD.ring.owners(KEY)


def here(value="value"):
    """The answer of a shard that has the key."""
    tag, data = Codec().encode(value).packed()
    stored = record.sealed(KEY, record.pack(record.Header(record.NEVER, 0.0, 0.0, tag), data))
    return Answers([stored], 0.0, 1)


def says(item, epoch=1):
    return Answers([item], 0.0, epoch)


def loading(outcome=SILENT, started=True):
    return says(InFlight(outcome, SILENT, started, has_key=True, alone=True, left_s=60.0))


LOADED = {KEY: Loaded(*Codec().encode("loaded").packed(), None, 1.0, 6)}


@pytest.fixture
def network(clock):
    network = ScriptedNetwork(clock, OLD)
    network.getter = lambda keys: (dict.fromkeys(keys, LOADED[KEY]), None)
    return network


@pytest.fixture
def get(network, members):
    """What a get of the key brings, and in which tier it was counted."""

    def run(**options):
        tiers = {}
        network.sent.clear()
        results = network.drive(Client(members).get(SPEC, [KEY], tiers=tiers, **options))
        return type(results[KEY]), tiers[KEY]

    return run


def asked(network):
    gets = ((who, message) for _, who, message in network.sent if type(message) is Get)
    return [(who, ask.load, ask.standin, ask.asked) for who, ask in gets]


# ---------------------------------------------------------------------------------------------- elsewhere


def test_who_may_still_have_it_is_asked_before_anything_is_loaded(network, get):
    network.shards = {FIRST: script(says(Elsewhere((SECOND,)))), SECOND: script(here())}

    assert get() == (Found, "shard_hits")
    assert asked(network) == [(FIRST, True, False, False), (SECOND, False, True, False)]


def test_a_chain_of_former_owners_is_followed(network, get):
    network.shards = {
        FIRST: script(says(Elsewhere((SECOND,)))),
        SECOND: script(says(Elsewhere((THIRD, SECOND)))),
        THIRD: script(here()),
    }

    assert get() == (Found, "shard_hits")
    assert [who for who, *_ in asked(network)] == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize("answer", [says(Missing()), Failed("dead")], ids=type)
def test_where_nobody_has_it_the_owner_is_told_so_and_loads(network, get, answer):
    network.shards = {
        FIRST: script(says(Elsewhere((SECOND, THIRD))), loading(LOADED)),
        SECOND: script(answer),
        THIRD: script(says(Missing())),
    }

    assert get() == (Found, "loads_started")
    assert asked(network) == [
        (FIRST, True, False, False),
        (SECOND, False, True, False),
        (THIRD, False, True, False),
        (FIRST, True, False, True),
    ]


@pytest.mark.parametrize("not_yet", [NoSuchGroup(1), NoLease(SECOND)], ids=type)
def test_a_former_owner_that_has_only_just_joined_is_asked_again(network, get, not_yet):
    """It may know who had the key before it, when it knows the group and has a lease."""
    defined = [Ack(1)] if isinstance(not_yet, NoSuchGroup) else []
    network.shards = {
        FIRST: script(says(Elsewhere((SECOND,)))),
        SECOND: script(not_yet, *defined, says(Elsewhere((THIRD,)))),
        THIRD: script(here()),
    }

    assert get() == (Found, "shard_hits")


def test_a_former_owner_without_a_lease_is_not_asked_for_ever(network, get):
    network.shards = {FIRST: script(says(Elsewhere((SECOND,))), loading(LOADED)), SECOND: lambda _: NoLease(SECOND)}

    assert get() == (Found, "loads_started")
    assert network.elapsed_s <= NO_LEASE_S + 0.2


def test_it_may_have_arrived_at_the_owner_meanwhile(network, get):
    network.shards = {FIRST: script(says(Elsewhere((SECOND,))), here()), SECOND: script(says(Missing()))}

    assert get() == (Found, "shard_hits")


def test_a_former_owner_that_is_silent_is_asked_no_more(network, get, members):
    network.shards = {FIRST: script(says(Elsewhere((SECOND,))), loading(LOADED))}

    assert get() == (Found, "loads_started")
    assert members.suspected(SECOND)
    assert network.elapsed_s <= ANSWER_S + 0.1
    network.shards[FIRST] = script(says(Elsewhere((SECOND,))), loading(LOADED))
    assert get() == (Found, "loads_started")
    assert [who for who, *_ in asked(network)] == [FIRST, FIRST]


def test_a_large_value_of_a_former_owner_is_taken(network, get):
    stub = record.stub(record.Header(record.NEVER, 0.0, 0.0, 2), 500)
    network.shards = {
        FIRST: script(says(Elsewhere((SECOND,)))),
        SECOND: script(says(Large(stub, (Codec().encode(b"large"),)))),
    }

    assert get() == (Found, "shard_hits")


def test_a_peek_follows_too_and_loads_nothing(network, get):
    network.shards = {FIRST: script(says(Elsewhere((SECOND,))), says(Missing())), SECOND: script(says(Missing()))}

    assert get(load=False) == (NotThere, "misses")
    assert [load for _, load, _, _ in asked(network)] == [False] * 3


# ----------------------------------------------------------------------------------------- leases and rings


def test_a_shard_without_a_lease_is_asked_again_as_it_will_soon_have_one(network, get, members):
    network.shards = {FIRST: lambda _: NoLease(FIRST) if network.elapsed_s < NO_LEASE_S / 2 else here()}

    assert get() == (Found, "shard_hits")
    assert not members.suspected(FIRST)
    assert {who for who, *_ in asked(network)} == {FIRST}


def test_a_shard_that_gets_no_lease_is_suspect_and_another_stands_in(network, get, members):
    network.shards = {FIRST: script(NoLease(FIRST)), SECOND: script(here())}

    assert get() == (Found, "shard_hits")
    assert members.suspected(FIRST)
    assert asked(network)[-1] == (SECOND, True, True, False)
    assert network.to("directory", kind=Suspect) == [Suspect((FIRST,))]
    assert NO_LEASE_S <= network.elapsed_s <= NO_LEASE_S + 0.1


def test_a_key_that_has_moved_is_asked_for_in_the_newer_ring(network, get):
    network.shards = {FIRST: script(Moved(2)), "z": script(here())}
    network.directory = script(view(2, "z"))

    assert get() == (Found, "shard_hits")
    assert [who for _, who, _ in network.sent] == [FIRST, "directory", "z"]


def test_who_cannot_learn_the_newer_ring_takes_what_the_shard_has(network, get):
    """The directory is being restarted, say."""
    network.shards = {FIRST: lambda ask: here() if ask.standin else Moved(2)}

    assert get() == (Found, "shard_hits")


# ---------------------------------------------------------------------------- the end of a load is not heard of


def of_large(value):
    return Large(record.stub(record.Header(record.NEVER, 0.0, 0.0, 2), 5), value)


def repeats(later, value):
    """A shard of which every get waits for this future; what that brings comes when the shard repeats it."""

    def answer(ask):
        if type(ask) is Get:
            return says(of_large(later)) if type(value) is tuple else loading(later)
        later.value = value
        return ask

    return answer


def test_the_end_of_a_load_at_work_is_waited_for(network, get):
    network.shards = {FIRST: lambda ask: loading() if type(ask) is Get else Repeat(())}

    with pytest.raises(LoadTimeout):
        get(timeout_s=20.0)
    assert (len(network.to(FIRST, kind=Get)), len(network.to(FIRST, kind=Repeat))) == (1, 13)


@pytest.mark.parametrize("value", [LOADED, (Codec().encode(b"x" * 200_000),)], ids=["of a load", "a large value"])
def test_what_a_shard_repeats_is_looked_at_once_more(network, get, value):
    """Its word may have been lost on the way."""
    network.shards = {FIRST: repeats(Later(), value)}
    got, _ = get()

    assert (got, len(network.to(FIRST, kind=Get))) == (Found, 1)
    assert network.elapsed_s == pytest.approx(LOOK_S)


def test_a_load_that_is_over_in_the_last_moment_is_no_timeout(network, get):
    """Though nobody has heard of its end by then."""
    later = Later()
    flight = InFlight(later, SILENT, started=True, has_key=True, alone=True, left_s=1.0)
    answer = repeats(later, LOADED)
    network.shards = {FIRST: lambda ask: says(flight) if type(ask) is Get else answer(ask)}

    assert get() == (Found, "loads_started")
    assert network.elapsed_s == pytest.approx(1.0)


def test_a_load_that_is_at_work_when_its_time_is_over_is_one(network, get):
    flight = InFlight(SILENT, SILENT, started=True, has_key=True, alone=True, left_s=1.0)
    network.shards = {FIRST: lambda ask: says(flight) if type(ask) is Get else Repeat(())}

    assert get() == (LoadTimeout, "loads_started")
    assert network.elapsed_s == pytest.approx(1.0)


def test_a_large_value_that_never_comes_is_loaded_anew(network, get, monkeypatch):
    """Its owner may have been stopped: to others it seems to live."""
    monkeypatch.setattr(fetch, "MOST_WAY_S", 20.0)
    gets = [says(of_large(SILENT)), here()]
    network.shards = {FIRST: lambda ask: gets.pop(0) if type(ask) is Get else ask}

    assert get() == (Found, "shard_hits")
    assert [ask.fresh for ask in network.to(FIRST, kind=Get)] == [False, True]


def test_a_key_of_which_nothing_comes_though_its_load_is_over_is_asked_for_again(network, get):
    """As one that the asker was told to wait for: how the load ended will do."""
    gets = [loading(), here()]
    network.shards = {FIRST: lambda ask: gets.pop(0) if type(ask) is Get else ask}

    assert get() == (Found, "loads_started")
    assert [ask.again for ask in network.to(FIRST, kind=Get)] == [False, True]
    assert network.elapsed_s == pytest.approx(2 * LOOK_S)


def test_a_shard_that_does_not_say_is_not_waited_for(network, get, members):
    network.shards = {FIRST: lambda ask: loading() if type(ask) is Get else SILENT, SECOND: script(here())}

    assert get() == (Found, "loads_started")
    assert members.suspected(FIRST)


@pytest.mark.parametrize("dead", [True, False])
def test_a_shard_that_fails_is_asked_for_the_key_again(network, get, members, dead):
    """Only the futures may be wrong."""
    gets = [loading(), Failed("dead") if dead else here()]
    network.shards = {FIRST: lambda ask: gets.pop(0) if type(ask) is Get else Failed("no"), SECOND: script(here())}

    assert get() == (Found, "loads_started")
    assert members.suspected(FIRST) == dead


def test_a_large_value_may_be_long_on_its_way(network, get):
    """Nothing is loaded once more meanwhile."""
    network.shards = {FIRST: lambda ask: says(of_large(SILENT)) if type(ask) is Get else ask}

    with pytest.raises(LoadTimeout):
        get(timeout_s=20.0)
    assert len(network.to(FIRST, kind=Get)) == 1


# --------------------------------------------------------------------------------------------- nobody answers


def test_a_shard_that_hangs_is_waited_for_once_and_then_not_asked(network, get):
    network.shards = {SECOND: script(here())}

    assert (get(), network.elapsed_s >= ANSWER_S) == ((Found, "shard_hits"), True)
    assert (get(), network.elapsed_s) == ((Found, "shard_hits"), 0.0)


def test_where_no_shard_answers_the_getter_runs_here_and_later_gets_ask_nobody(network, get, members):
    network.directory = lambda _: SILENT

    assert get() == (Found, "unavailable")
    assert (members.outage, network.elapsed_s <= 4 * ANSWER_S) == (True, True)
    assert get() == (Found, "unavailable")
    assert (network.sent, network.elapsed_s) == ([], 0.0)


def test_before_that_the_directory_is_asked_for_other_shards(network, get, members):
    network.directory = lambda ask: view(2, "z") if ask == GetView() else SILENT
    network.shards = {"z": script(here())} | dict.fromkeys("abc", script(Failed("dead")))

    assert get() == (Found, "shard_hits")
    assert not members.outage


def test_a_peek_that_reaches_nobody_finds_nothing(network, get):
    network.directory = lambda _: SILENT

    assert get(load=False) == (NotThere, "unavailable")


HANGS = {
    "nobody answers": SILENT,
    "no lease": NoLease("a"),
    "moved": lambda ask: SILENT if ask.standin else Moved(2),
    "elsewhere, and silent there": says(Elsewhere((SECOND, THIRD))),
    "a load that does not end": loading(),
    "a large value that does not come": says(of_large(SILENT)),
    "group not known, then silent": lambda ask: NoSuchGroup(1) if type(ask) is Get else SILENT,
}


@pytest.mark.parametrize("hangs", HANGS.values(), ids=HANGS)
@pytest.mark.parametrize("timeout_s", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("directory", ["well", "silent"])
def test_a_get_never_waits_longer_than_its_caller(network, get, hangs, timeout_s, directory):
    network.shards = {FIRST: script(hangs)}
    network.getter = lambda _: SILENT
    if directory == "silent":
        network.directory = lambda _: SILENT
    with pytest.raises(LoadTimeout, match="no value within"):
        get(timeout_s=timeout_s)

    assert network.elapsed_s == pytest.approx(timeout_s)


def test_a_caller_in_a_hurry_makes_nobody_suspect(network, get, members):
    """Its patience was shorter than what a shard may take."""
    network.shards = {FIRST: lambda ask: loading() if ask.asked else says(Elsewhere((SECOND,)))}
    for _ in range(3):
        with pytest.raises(LoadTimeout):
            get(timeout_s=0.01)

    assert not any(map(members.suspected, "abc"))
    network.shards = {}
    with pytest.raises(LoadTimeout):
        get(timeout_s=0.01)
    assert not any(map(members.suspected, "abc"))
