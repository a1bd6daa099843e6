"""A shard whose callers compute by themselves: tokens, results, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hand_loader import absent, loaded, raised
from shard_bench import ALONE, full, value_of

from raycache.core.codec import Blob
from raycache.core.fills import TOKEN_S
from raycache.core.messages import (
    Absent,
    Ack,
    Call,
    Define,
    Delete,
    Explain,
    Filled,
    Filling,
    Get,
    InFlight,
    Large,
    Loaded,
    NoSuchGroup,
    Orphaned,
    Raised,
    Renew,
    Token,
)
from raycache.core.shard_group import MOST_DEFINITIONS

CODE = b"a definition"


@pytest.fixture
def shard(bench):
    """A shard that knows one definition of a memoized function."""
    spec = bench.define()
    bench.shard.handle(Define(replace(spec, definition=CODE)))
    return bench.shard


def ask(shard, name="a", **options):
    (item,) = shard.handle(Get(1, (full(name),), 1, definition=CODE, fill=True, **options)).items
    return item


def fill(shard, token, result=None, name="a", **options):
    return shard.handle(Filled(1, CODE, full(name), token.number, result or loaded("value"), **options))


def test_a_cold_key_is_the_first_askers_to_compute(shard, bench):
    assert isinstance(ask(shard), Token)
    assert [ask(shard), ask(shard)] == [Filling(), Filling()]
    assert bench.loader.loads == []


def test_what_was_computed_is_a_hit_from_then_on(shard, bench):
    assert fill(shard, ask(shard)) == Ack(1, 1)
    assert value_of(ask(shard)) == "value"
    assert (bench.stats().loads, bench.stats().entries) == (1, 1)


def test_a_large_value_is_held_beside_the_pages(bench):
    bench.define(capacity_bytes=400_000)
    bench.shard.handle(Define(replace(bench.define(capacity_bytes=400_000), definition=CODE)))
    blob = Blob(0, (bytes(200_000),))
    fill(bench.shard, ask(bench.shard), Loaded(0, 0, None, 1.0, 200_000), blob=blob)
    item = ask(bench.shard)

    assert isinstance(item, Large)
    assert item.value == (blob,)
    bench.clear()


def test_a_definition_that_is_not_known_is_asked_for(shard):
    token = ask(shard)
    stranger = Filled(1, b"another", full("a"), token.number, loaded("value"))

    assert shard.handle(Get(1, (full("a"),), 1, definition=b"another", fill=True)) == NoSuchGroup(1)
    assert shard.handle(stranger) == NoSuchGroup(1)
    assert shard.handle(replace(stranger, token=token.number + 1)) == Ack(1, 0)
    assert shard.handle(Filled(9, CODE, full("a", 9), 7, loaded("value"))) == NoSuchGroup(9)


def test_so_many_definitions_are_known_and_the_latest_used_stay(shard, bench):
    spec = bench.define()
    for number in range(MOST_DEFINITIONS + 5):
        bench.shard.handle(Define(replace(spec, definition=b"%d" % number)))
        ask(shard)

    assert isinstance(ask(shard), (Token, Filling))
    assert shard.handle(Get(1, (full("a"),), 1, definition=b"0", fill=True)) == NoSuchGroup(1)


def test_so_many_bytes_of_definitions_are_known_and_the_latest_always(shard, bench, monkeypatch):
    monkeypatch.setattr("raycache.core.shard_group.MOST_DEFINITION_BYTES", 1000)
    spec = bench.define()
    for number, size in enumerate((400, 400, 400, 5000)):
        bench.shard.handle(Define(replace(spec, definition=b"%d" % number, getter=bytes(size))))
        known = [knows(shard, b"%d" % each) for each in range(number + 1)]

        assert known == [[True], [True, True], [False, True, True], [False, False, False, True]][number]


def knows(shard, definition):
    return shard.handle(Get(1, (full("a"),), 1, definition=definition, fill=True)) != NoSuchGroup(1)


def test_a_group_that_is_cleared_has_no_definitions(shard, bench):
    bench.clear()

    assert not knows(shard, CODE)


def test_a_renewed_token_is_nobody_elses(shard, clock):
    token = ask(shard)
    clock.advance(TOKEN_S - 0.1)

    assert shard.handle(Renew(((full("a"), token.number), (full("b"), 7)))) == Ack(1, 1)
    clock.advance(TOKEN_S - 0.1)
    shard.tick()
    assert ask(shard) == Filling()


def test_a_result_under_an_overdue_token_that_was_taken_is_refused(shard, clock, bench):
    old = ask(shard)
    clock.advance(TOKEN_S)
    new = ask(shard)

    assert fill(shard, old, loaded("old")) == Ack(1, 0)
    assert fill(shard, new, loaded("new")) == Ack(1, 1)
    assert (value_of(ask(shard)), bench.stats().loads) == ("new", 2)


INVALIDATIONS = {
    "remove": lambda bench: bench.remove("a"),
    "clear": lambda bench: bench.clear(),
    "set": lambda bench: bench.set("a", "set"),
    "removed from it as a copy": lambda bench: bench.shard.handle(Delete(1, (full("a"),), ALONE, removal=False)),
}


@pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)
def test_a_result_whose_key_was_invalidated_meanwhile_is_refused(shard, bench, invalidate):
    token = ask(shard)
    invalidate(bench)

    assert fill(shard, token, loaded("stale")) == Ack(1, 0)
    shard.handle(Define(replace(bench.define(), definition=CODE)))
    assert [value_of(item) for item in [ask(shard)] if not isinstance(item, Token)] in ([], ["set"])


@pytest.mark.parametrize("end", [raised(ValueError("no")), absent("no a")], ids=["exception", "not found"])
def test_an_end_without_a_value_reaches_those_who_wait_and_starts_anew_for_others(shard, bench, end):
    token = ask(shard)
    ask(shard)
    fill(shard, token, end)

    assert ask(shard, again=True) == end
    assert isinstance(end, (Absent, Raised))
    assert isinstance(ask(shard), Token)
    assert (bench.stats().entries, bench.stats().loads_failed + bench.stats().not_found) == (0, 1)


def test_a_token_that_is_given_back_goes_to_who_waits(shard, bench):
    token = ask(shard)
    ask(shard)

    fill(shard, token, Orphaned())
    assert isinstance(ask(shard, again=True), Token)
    assert bench.stats().loads == 0


def test_who_wants_it_anew_computes_though_there_is_a_value(shard):
    fill(shard, ask(shard), loaded("old"))
    token = ask(shard, fresh=True)

    assert isinstance(token, Token)
    assert value_of(ask(shard)) == "old"
    fill(shard, token, loaded("new"))
    assert value_of(ask(shard)) == "new"


def test_a_key_that_a_task_loads_is_waited_for_and_not_computed_by_a_caller_too(shard, bench):
    shard.handle(Get(1, (full("a"),), 1, definition=CODE, calls=(Call(None),)))

    assert isinstance(ask(shard), InFlight)
    bench.bring(bench.loader.loads[0], "by a task")
    assert value_of(ask(shard)) == "by a task"


def test_a_peek_claims_nothing(shard, bench):
    bench.peek("a")

    assert isinstance(ask(shard), Token)


def test_what_is_being_computed_is_explained_as_such(shard):
    before = shard.handle(Explain(full("a"), b"", b""))
    token = ask(shard)
    during = shard.handle(Explain(full("a"), b"", b""))
    fill(shard, token)
    after = shard.handle(Explain(full("a"), b"", b""))

    assert [each.computing for each in (before, during, after)] == [False, True, False]
    assert [each.entry is not None for each in (before, during, after)] == [False, False, True]


def test_a_value_lives_as_long_as_it_says(shard, clock):
    fill(shard, ask(shard), loaded("value", ttl_s=5.0))
    clock.advance(4.9)

    assert value_of(ask(shard)) == "value"
    clock.advance(0.1)
    assert isinstance(ask(shard), Token)


def test_a_result_larger_than_the_capacity_is_not_kept(bench):
    bench.shard.handle(Define(replace(bench.define(capacity_bytes=500), definition=CODE)))
    fill(bench.shard, ask(bench.shard), loaded("x" * 600))

    assert isinstance(ask(bench.shard), Token)
    assert (bench.stats().too_large, bench.stats().entries) == (1, 0)
    assert bench.shard.handle(Explain(full("a"), b"", b"")).entry.fate == "too large"
