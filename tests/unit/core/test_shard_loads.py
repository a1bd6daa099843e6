"""A shard's loads: one per key, and every way in which one can end."""

from __future__ import annotations

from hand_loader import absent, loaded, loaded_large, raised
from shard_bench import CAPACITY, full

from raycache.core.codec import Blob
from raycache.core.getters import BUDGET_S
from raycache.core.messages import Failed, InFlight, Large, Missing, Repeat


def test_a_cold_key_is_answered_with_the_future_of_its_load(bench):
    bench.define()
    (answer,) = bench.get("a")

    assert isinstance(answer, InFlight)
    assert (answer.started, answer.alone, answer.outcome) == (True, True, bench.loader.loads[0].outcome)
    assert bench.loader.loads[0].keys == [full("a")]


def test_keys_are_loaded_in_the_order_asked(bench):
    """The same messages make the same loads, whatever seed the hashes of a process have."""
    names = [f"key-{number}" for number in range(40)]
    bench.define()
    bench.get(*names)

    assert [key for load in bench.loader.loads for key in load.keys] == list(map(full, names))


def test_everybody_who_asks_for_a_cold_key_waits_for_the_same_load(bench):
    bench.define()
    answers = [bench.get("a")[0] for _ in range(10)]

    assert len(bench.loader.loads) == 1
    assert {id(answer.outcome) for answer in answers} == {id(bench.loader.loads[0].outcome)}
    assert [answer.started for answer in answers] == [True] + 9 * [False]


def test_a_value_that_was_loaded_is_a_hit_from_then_on(bench):
    bench.define()
    bench.get("a")
    bench.bring(bench.loader.loads[0], {"name": "alice"})

    assert (bench.get("a"), len(bench.loader.loads)) == ([{"name": "alice"}], 1)
    assert (bench.stats().loads, bench.stats().entries) == (1, 1)


def test_a_load_that_has_ended_is_settled_by_the_next_get_of_its_key(bench):
    """Also where the news of its end never comes."""
    bench.define()
    bench.get("a")
    bench.loader.loads[0].bring("value")

    assert bench.get("a") == ["value"]


def test_a_shard_repeats_the_futures_of_loads_that_are_over(bench):
    """Also where the news of that has not come. Those of loads at work will bring something yet."""
    bench.define()
    over, at_work = bench.get("a")[0].outcome, bench.get("b")[0].outcome
    bench.loader.loads[0].bring("value")

    assert bench.shard.handle(Repeat((over, at_work, "of a large value"))) == Repeat((over, "of a large value"))


def test_a_large_value_is_held_beside_the_pages(bench):
    bench.define(capacity_bytes=400_000)
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): loaded_large(3, 200_000)})
    (answer,) = bench.get("a")

    assert isinstance(answer, Large)
    assert answer.value == ("large", 3)
    assert bench.stats().bytes > 200_000
    bench.remove("a")


def test_a_key_that_the_getter_does_not_know_is_asked_for_again(bench):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): absent()})

    assert isinstance(bench.get("a")[0], InFlight)
    assert (bench.stats().not_found, bench.stats().entries, len(bench.loader.loads)) == (1, 0, 2)


def test_that_a_key_does_not_exist_is_remembered_where_the_group_says_so(bench, clock):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): absent("no a", ttl_s=5.0)})

    assert repr(bench.get("a")) == "[KeyError('no a')]"
    clock.advance(5.0)
    assert isinstance(bench.get("a")[0], InFlight)


def test_an_exception_is_not_kept(bench):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): raised(ValueError("no"))})

    assert isinstance(bench.get("a")[0], InFlight)
    assert (bench.stats().loads_failed, bench.stats().not_found, bench.stats().entries) == (1, 0, 0)


def test_the_death_of_a_loader_frees_its_key(bench):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], Failed("killed"))

    assert isinstance(bench.get("a")[0], InFlight)
    assert (bench.stats().loader_deaths, bench.stats().load_timeouts, len(bench.loader.loads)) == (1, 0, 2)


def test_a_loader_that_hangs_is_ended_and_frees_its_key(bench, clock):
    bench.define(load_timeout_s=5.0)
    bench.get("a")
    clock.advance(5.0 + BUDGET_S)
    (answer,) = bench.get("a")

    assert bench.loader.loads[0].cancelled
    assert answer.outcome is bench.loader.loads[1].outcome
    assert (bench.stats().load_timeouts, bench.stats().loader_deaths) == (1, 0)


def test_a_hanging_loader_is_ended_though_nobody_asks(bench, clock):
    bench.define(load_timeout_s=5.0)
    bench.get("a")
    clock.advance(5.0 + BUDGET_S)
    bench.shard.tick()

    assert bench.loader.loads[0].cancelled
    assert bench.info().loads == 0


def test_keys_that_a_loader_did_not_reach_are_loaded_by_another(bench):
    bench.define()
    for name in "wxyz":
        bench.get(name)
    bench.get("a", "b")
    chunk_end = {full("w"): loaded("w", cost_s=0.001)}
    bench.end(bench.loader.loads[0], chunk_end)
    bench.end(bench.loader.loads[4], {full("a"): loaded("A")})

    assert sorted(bench.loader.loads[4].keys) == [full("a"), full("b")]
    assert bench.loader.loads[5].keys == [full("b")]
    assert bench.get("a") == ["A"]


def test_a_value_larger_than_the_capacity_is_delivered_and_not_kept(bench):
    bench.define(capacity_bytes=500)
    bench.get("a")
    bench.bring(bench.loader.loads[0], "x" * 600)

    assert isinstance(bench.get("a")[0], InFlight)
    assert (bench.stats().too_large, bench.stats().loads, bench.stats().entries) == (1, 1, 0)


def test_a_large_value_larger_than_the_capacity_is_not_kept(bench):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): loaded_large(0, CAPACITY + 1)})

    assert (bench.stats().too_large, bench.stats().entries) == (1, 0)


def test_a_large_value_that_fits_only_without_its_key_is_not_kept(bench):
    bench.define()
    bench.get("a")
    bench.end(bench.loader.loads[0], {full("a"): loaded_large(0, CAPACITY)})

    assert (bench.stats().too_large, bench.stats().entries) == (1, 0)


def test_a_value_lives_as_long_as_it_says(bench, clock):
    bench.define()
    bench.get("a")
    clock.advance(2.0)
    bench.bring(bench.loader.loads[0], "A", ttl_s=5.0)
    clock.advance(4.9)

    assert bench.get("a") == ["A"]
    clock.advance(0.1)
    assert isinstance(bench.get("a")[0], InFlight)
    assert bench.stats().expirations == 1


def test_without_a_getter_nothing_is_loaded(bench):
    bench.define(getter=None)

    assert (bench.get("a"), bench.loader.loads) == ([Missing()], [])


def test_a_peek_loads_nothing(bench):
    bench.define()

    assert (bench.peek("a"), bench.loader.loads) == ([Missing()], [])


def test_a_set_of_a_large_value_is_held_by_the_loader(bench):
    bench.define(capacity_bytes=400_000)
    bench.set("a", bytes(200_000))
    (answer,) = bench.get("a")

    assert isinstance(answer, Large)
    assert answer.value == (Blob(0, (bytes(200_000),)),)
    bench.clear()


def test_the_seconds_and_keys_of_getters_are_counted(bench):
    bench.define()
    bench.get("a")
    bench.get("b")
    bench.bring(bench.loader.loads[0], cost_s=1.5)
    bench.end(bench.loader.loads[1], {full("b"): absent()})

    assert (bench.stats().loads, bench.stats().load_seconds) == (2, 2.5)


def test_loads_that_have_ended_make_room_though_nobody_asks_for_their_keys(bench):
    """Else whoever asks is told to wait for a load that is over, and asks and asks."""
    bench.define()
    for number in range(4):
        bench.get(f"key-{number}")
    for load in bench.loader.loads:
        load.bring()
    (answer,) = bench.get("a")

    assert answer.outcome is bench.loader.loads[4].outcome
    assert bench.loader.loads[4].keys == [full("a")]


def test_no_more_loads_run_than_the_shard_may_have(bench):
    bench.define()
    for number in range(20):
        bench.get(f"key-{number}")

    assert (len(bench.loader.loads), bench.info().loads) == (4, 4)
