"""The checker of histories: it accepts what a right cache does, and finds each thing that a broken one does."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chaos.history import EXPECTED, Operation, Pause, around, check

KEYS = ("alice", "bob")


def get(version: int, began: float, ended: float, key: str = "alice", **more: object) -> Operation:
    return Operation(client="reader", kind="get", versions={key: version}, began=began, ended=ended, **more)  # type: ignore[arg-type]


def write(kind: str, version: int, began: float, ended: float = inf, **more: object) -> Operation:
    more = {"client": f"writer {version}", "called": began} | more
    return Operation(kind=kind, versions={"alice": version}, began=began, ended=ended, **more)  # type: ignore[arg-type]


def kinds(*operations: Operation, **options: object) -> list[str]:
    return [violation.kind for violation in check(operations, **options).violations]  # type: ignore[arg-type]


STALE = {
    "of a key that was removed": [write("remove", 1, 1, 2), get(0, 3, 4)],
    "of a key that was set": [write("set", 1, 1, 2), get(0, 3, 4)],
    "of a cleared group": [write("clear", 1, 1, 2), get(0, 3, 4)],
    "of a version before the last one": [write("remove", 1, 1, 2), write("remove", 2, 3, 4), get(1, 5, 6)],
    "set before a removal": [write("set", 1, 1, 2), write("remove", 2, 3, 4), get(1, 5, 6)],
    "set before another set": [write("set", 1, 1, 2), write("set", 2, 3, 4), get(1, 5, 6)],
    "loaded from under a set": [write("remove", 1, 1, 6), write("set", 2, 2, 3), get(1, 4, 5)],
    "loaded, and a later removal was quicker": [write("remove", 1, 1, 9), write("remove", 2, 2, 3), get(1, 4, 5)],
    "removed by one whose client was killed": [write("remove", 1, 1), write("remove", 2, 3, 4), get(1, 5, 6)],
    "long after": [write("remove", 1, 1, 2), get(1, 3, 4), get(0, 99, 100)],
    "set, by two sets that overlapped, before a third": [
        write("set", 1, 1, 4), write("set", 2, 2, 3), write("set", 3, 5, 6), get(1, 7, 8),
    ],
}  # fmt: skip

RIGHT = {
    "nothing was written": [get(0, 1, 2)],
    "the newest": [write("remove", 1, 1, 2), get(1, 3, 4)],
    "an older one while a removal is under way": [write("remove", 1, 1, 4), get(0, 3, 5)],
    "a newer one before its writer has returned": [write("set", 1, 1, 9), get(1, 2, 3), get(1, 4, 5)],
    "an older one that a get had begun before": [write("remove", 1, 2, 3), get(0, 1, 9)],
    "a set that overlapped a later one": [write("set", 1, 1, 4), write("set", 2, 2, 3), get(1, 5, 6)],
    "a set that overlapped a later removal": [write("set", 1, 1, 4), write("remove", 2, 2, 3), get(1, 5, 6)],
    "a set that reached the source before another that reached the cache before it": [
        write("set", 1, 1, 3), write("set", 2, 2, 5, called=2.5), get(1, 6, 7),
    ],
    "an older one after a removal that failed": [
        write("remove", 1, 1, 2, error="CacheUnavailable: no answer"), get(0, 3, 4),
    ],
    "an older one after a removal whose client was killed": [write("remove", 1, 1), get(0, 3, 4)],
    "a set that failed, and came late": [
        write("set", 1, 1, 2, error="CacheUnavailable: no answer"), write("remove", 2, 3, 4), get(1, 5, 6),
    ],
    "a set whose client was killed, and came late": [write("set", 1, 1), write("remove", 2, 3, 4), get(1, 5, 6)],
}  # fmt: skip


@pytest.mark.parametrize("history", STALE.values(), ids=STALE)
def test_a_stale_get_is_found(history):
    """It is the last one of each history."""
    (violation,) = check(history).violations

    assert (violation.kind, violation.operation) == ("stale", history[-1])


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_what_a_right_cache_may_do_is_accepted(history):
    assert kinds(*history) == []


def test_the_order_in_which_a_history_is_told_does_not_matter():
    for history in (*STALE.values(), *RIGHT.values()):
        shuffled = Random(1).sample(history, len(history))

        assert kinds(*shuffled) == kinds(*history)


@pytest.mark.parametrize(
    "wrong",
    [
        get(7, 1, 2),
        replace(get(0, 1, 2), versions={}, wrong={"alice": "'bob 3'"}),
    ],
    ids=["a version that nobody wrote", "a value of another key"],
)
def test_a_wrong_value_is_found(wrong):
    assert kinds(write("set", 1, 3, 4), wrong) == ["wrong"]


def test_a_version_that_is_read_before_it_is_written_is_wrong():
    assert kinds(get(1, 1, 2), write("set", 1, 3, 4)) == ["wrong"]


def test_keys_are_judged_one_by_one():
    """What was written to one says nothing about another."""
    assert kinds(write("remove", 1, 1, 2), get(0, 3, 4, "bob")) == []


def test_each_key_of_a_get_of_many_is_judged():
    many = Operation(client="reader", kind="get", versions={"alice": 0, "bob": 0}, began=3, ended=4)

    assert [(each.kind, each.key) for each in check([write("remove", 1, 1, 2), many]).violations] == [
        ("stale", "alice")
    ]


@pytest.mark.parametrize(("most_s", "found"), [(2.0, ["stall"]), (3.0, [])])
def test_a_get_that_takes_too_long_is_found(most_s, found):
    assert kinds(get(0, 1.0, 3.5), most_s=most_s) == found


@pytest.mark.parametrize(
    ("pauses", "took"),
    [
        ([], 5.0),
        ([Pause("reader", 2, 4)], 3.0),
        ([Pause("other", 2, 4)], 5.0),
        ([Pause("", 0, 2)], 4.0),
        ([Pause("reader", 1, 3), Pause("", 2, 4)], 2.0),
        ([Pause("", 0, 9)], 0.0),
        ([Pause("", 7, 9)], 5.0),
    ],
)
def test_pauses_that_a_get_could_do_nothing_about_are_taken_off(pauses, took):
    """Its own and those of the getters, together and only where it lasted."""
    assert check([get(0, 1, 6)], pauses=pauses).longest_s == took


def test_a_get_that_never_ends_is_a_stall_unless_its_client_was_killed():
    forever = get(-1, 1, inf)

    assert kinds(forever, most_s=5, until=10) == ["stall"]
    assert kinds(forever, most_s=5, until=10, killed=["reader"]) == []


@pytest.mark.parametrize("error", EXPECTED)
def test_what_getters_and_loaders_cause_may_be_raised_by_gets(error):
    assert kinds(get(-1, 1, 2, error=f"{error}: no alice now")) == []


@pytest.mark.parametrize(
    "operation",
    [get(-1, 1, 2, error="CacheUnavailable: no shard"), write("set", 1, 1, 2, error="KeyError: 'alice'")],
    ids=["get", "set"],
)
def test_any_other_error_is_a_violation(operation):
    assert kinds(operation) == ["raised"]


def test_the_history_around_a_violation_has_the_writes_of_what_was_seen_and_of_what_should_have_been():
    history = [*STALE["set before a removal"], get(0, 3, 4, "bob"), write("set", 9, 90, 91)]
    (violation,) = check(history).violations

    assert around(violation, history) == history[:3]


# ------------------------------------------------------------------------------------------ a simulated cache


class Cache:
    """A cache of one key as it should be, in which every operation takes its effect at one moment.

    A load reads the source and stores at two moments; a write between them makes it store nothing.
    """

    def __init__(self, random: Random) -> None:
        self.random, self.now = random, 0.0
        self.given_out = self.source = 0
        self.stored: int | None = None
        self.generation = 0
        self.history: list[Operation] = []

    def change(self, stored: int | None) -> None:
        self.stored, self.generation = stored, self.generation + 1

    def tick(self) -> float:
        self.now += 1
        return self.now


def reader(cache: Cache, name: str):
    """One get; pauses at each `yield`."""
    began = cache.tick()
    yield
    version = cache.stored
    if version is None:
        generation, version = cache.generation, cache.source
        yield
        if generation != cache.generation:  # taken out by a write: delivered to who asked before it, not stored
            cache.history.append(
                Operation(client=name, kind="get", versions={"alice": version}, began=began, ended=cache.tick())
            )
            return
        cache.stored = version
        yield
    cache.history.append(
        Operation(client=name, kind="get", versions={"alice": version}, began=began, ended=cache.tick())
    )


def writer(cache: Cache, name: str):
    """One write. It may be cut off anywhere, or fail before or after it has taken effect."""
    kind = cache.random.choice(("set", "remove", "clear"))
    cache.given_out += 1
    version, began, fate = cache.given_out, cache.tick(), cache.random.random()
    told = Operation(client=name, kind=kind, versions={"alice": version}, began=began)
    place = len(cache.history)
    cache.history.append(told)
    cache.source = version
    yield
    told = replace(told, called=cache.tick())
    yield
    if fate < 0.9:
        cache.change(version if kind == "set" else None)
    yield
    if fate < 0.8:
        cache.history[place] = replace(told, ended=cache.tick())
    elif fate < 0.95:
        cache.history[place] = replace(told, ended=cache.tick(), error="CacheUnavailable: no answer")


def simulated(seed: int, kind: type[Cache] = Cache) -> list[Operation]:
    """A history of four clients that do one thing after the other, in steps that are mixed at random."""
    random, operations = Random(seed), 40
    cache = kind(random)
    running = {}
    while operations or running:
        name = f"client {random.randrange(4)}"
        if name not in running and operations:
            operations -= 1
            running[name] = (writer if random.random() < 0.4 else reader)(cache, name)
        if name in running and next(running[name], "over") == "over":
            del running[name]
    return cache.history


seeds = st.integers(0, 1 << 32)


@given(seeds)
def test_histories_of_a_right_cache_are_right(seed):
    assert check(simulated(seed)).violations == ()


def too_old(history: list[Operation], seen: Operation) -> int | None:
    """A version that a get should not have returned: of a removal that the write of a newer one has followed."""
    returned = [each.versions["alice"] for each in history if each.is_write and each.returned < seen.began]
    older = [
        each.versions["alice"]
        for each in history
        if each.kind in ("remove", "clear") and each.versions["alice"] < max(returned, default=0)
    ]
    return max(older, default=0 if returned else None)


@given(seeds, st.randoms(use_true_random=False))
def test_one_stale_get_in_a_right_history_is_found(seed, random):
    history = simulated(seed)
    places = [place for place, each in enumerate(history) if each.kind == "get" and too_old(history, each) is not None]
    assume(places)
    place = random.choice(places)
    history[place] = replace(history[place], versions={"alice": too_old(history, history[place])})

    assert [(each.kind, each.operation) for each in check(history).violations] == [("stale", history[place])]


@given(seeds, st.randoms(use_true_random=False))
def test_one_get_of_a_version_that_nobody_wrote_is_found(seed, random):
    history = simulated(seed)
    places = [place for place, each in enumerate(history) if each.kind == "get"]
    assume(places)
    place = random.choice(places)
    history[place] = replace(history[place], versions={"alice": 1000})

    assert [each.kind for each in check(history).violations] == ["wrong"]


class LeavesTheEntry(Cache):
    """A removal does not remove it."""

    def change(self, stored: int | None) -> None:
        super().change(self.stored if stored is None else stored)


class LeavesTheLoad(Cache):
    """What a load had read before a write is stored after it."""

    @property
    def generation(self) -> int:
        return 0

    @generation.setter
    def generation(self, number: int) -> None:
        pass


@pytest.mark.parametrize("broken", [LeavesTheEntry, LeavesTheLoad])
def test_a_cache_that_forgets_something_is_found_within_a_few_histories(broken):
    found = {each.kind for seed in range(20) for each in check(simulated(seed, broken)).violations}

    assert found == {"stale"}
