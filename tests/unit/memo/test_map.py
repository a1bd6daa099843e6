"""`map` and `imap`: many items at once, in order, in bounded memory, and no work lost."""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import threading

import pytest
from gates import together
from tally import Held, looks, maps_end

import raycache
from raycache.memo import mapping

#: What may be read ahead of the results before the sizes of blocks have adapted.
AHEAD = 20_000


@pytest.fixture
def double(memo, where, tally):
    @memo(where=where)
    def double(x, shift=0):
        tally(x)
        return 2 * x + shift

    return double


def test_results_come_in_the_order_of_the_items(double):
    assert double.map(range(500)) == [2 * x for x in range(500)]
    assert double.map(range(499, -1, -1)) == [2 * x for x in range(499, -1, -1)]


def test_items_are_computed_once(double, tally):
    double(3)
    double.map(range(10))
    double.map(range(20))

    assert sorted(tally.seen) == list(range(20))
    assert looks(double) == (11, 20)


def test_what_map_has_computed_a_call_finds(double, tally):
    double.map([1, 2])

    assert (double(1), double(x=2), sorted(tally.seen)) == (2, 4, [1, 2])


def test_an_item_that_comes_twice_is_computed_once(double, tally):
    assert double.map([1, 2, 1, 1, 2] * 40) == [2, 4, 2, 2, 4] * 40
    assert sorted(tally.seen) == [1, 2]


def test_items_of_other_types_are_others(memo, where):
    kinds = memo(lambda x: type(x).__name__, where=where)

    assert kinds.map([1, 1.0, True, "1", None]) == ["int", "float", "bool", "str", "NoneType"]


@pytest.fixture
def by_value(cache, monkeypatch):
    """Arguments travel as on a cluster: as they are when they are packed, and not at all if they have a lock."""
    packed = cache.network.packed_arguments

    def copied(value, function):
        try:
            return packed(copy.deepcopy(value), function)
        except TypeError as error:
            raise raycache.UncacheableValue(f"cannot travel: {error}") from error

    monkeypatch.setattr(cache.network, "packed_arguments", copied)


def test_an_iterator_may_use_one_object_again_and_again(memo, by_value, where):
    def items():
        item = {}
        for item["n"] in range(100):
            yield item

    f = memo(lambda item: item["n"], where=where)

    assert f.map(items()) == [f.peek({"n": number}) for number in range(100)] == list(range(100))


def test_of_a_vectorised_function_a_caller_computes_what_it_has_keys_for(memo):
    def items():
        item = {}
        for item["n"] in range(100):
            yield item

    f = memo(lambda items: [item["n"] for item in items], where="caller", batch="items", batch_size=10)
    f.map(items())

    assert all(f.peek([{"n": number}]) in ([number], [None]) for number in range(100))


def test_what_the_caller_computes_is_computed_before_the_next_item_is_read(memo, tally):
    def items():
        for number in range(20):
            yield [number]
            read.append(list(tally.seen))

    read = []
    memo(lambda item: tally(item[0]), where="caller").map(items())

    assert read == [list(range(number + 1)) for number in range(20)]


class Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def __raycache_key__(self):
        return "locked"


def test_an_item_that_cannot_travel_is_an_error_of_its_own(memo, by_value):
    f = memo(lambda x: type(x).__name__, where="task")
    results = f.map([1, Locked(), 2, Locked()], return_exceptions=True)

    assert [each if isinstance(each, str) else type(each) for each in results] == [
        "int",
        raycache.UncacheableValue,
        "int",
        raycache.UncacheableValue,
    ]
    with pytest.raises(raycache.UncacheableValue) as raised:
        f.map([1, Locked()])
    assert "for item 1: " in raised.value.__notes__[-1]


ALIKE = {
    "map": lambda f, batch: f.map([1, 1, 1]),
    "call of a batch": lambda f, batch: batch([1, 1, 1]),
}


@pytest.mark.parametrize("call", ALIKE.values(), ids=ALIKE)
def test_an_item_that_comes_twice_has_a_result_of_its_own_at_each_place(memo, where, call):
    f = memo(lambda x: [x], where=where, name="f")
    batch = memo(lambda xs: [[x] for x in xs], where=where, batch="xs", name="batch")
    for _ in range(2):
        results = call(f, batch)
        results[0].append("changed")
        results[1].append("changed too")

        assert results == [[1, "changed"], [1, "changed too"], [1]]


def test_first_results_come_before_the_rest_is_computed(memo, gate):
    door = gate()
    hold = Held(door)

    @memo(where="task")
    def f(x):
        if x >= mapping.FIRST_BLOCK:
            hold()
        return x

    results = f.imap(range(200))
    first = [next(results) for _ in range(mapping.FIRST_BLOCK)]
    door.open()

    assert [*first, *results] == list(range(200))


def test_what_comes_after_a_slow_item_is_computed_meanwhile(memo, gate, tally, pool):
    door = gate()
    hold = Held(door)

    @memo(where="task")
    def f(x):
        if x == 0:
            hold()
        tally(x)
        return x

    results = pool.submit(f.map, range(2000))
    with tally.came:
        assert tally.came.wait_for(lambda: 1999 in tally.seen, 30)
    door.open()

    assert results.result(30) == list(range(2000))


LEFT = """
import threading, raycache

@raycache.memoize(cache=raycache.connect(address="inline"), version=1)
def f(x):
    if x > 7:
        threading.Event().wait()
    return x

print(next(f.imap(range(100))))
"""


def test_a_map_that_was_left_does_not_keep_the_program_from_ending(python):
    assert python(LEFT) == "0"


def test_an_async_function_is_mapped_where_a_loop_is_at_work(memo, where):
    @memo(where=where)
    async def f(x):
        await asyncio.sleep(0)
        return x + 1

    async def within():
        return f.map([1, 2])

    assert asyncio.run(within()) == [2, 3]


def test_out_of_order_all_results_come(double):
    assert sorted(double.map(range(300), ordered=False)) == [2 * x for x in range(300)]


def test_out_of_order_who_is_ready_comes_first(memo, tally, gate, monkeypatch):
    monkeypatch.setattr(mapping, "FIRST_BLOCK", 1)
    monkeypatch.setattr(mapping, "MOST_BLOCK", 1)
    door = gate()
    hold = Held(door)

    @memo
    def f(x):
        if x == 0:
            hold()
        return x

    results = f.imap(range(5), ordered=False)
    first = [next(results) for _ in range(4)]
    door.open()

    assert (sorted(first), list(results)) == ([1, 2, 3, 4], [0])


def test_of_no_items_there_are_no_results(double, tally):
    assert (double.map([]), double.map(iter(())), list(double.imap([])), tally.seen) == ([], [], [], [])


def test_further_arguments_are_the_same_for_all_items(double):
    assert double.map([1, 2], fixed={"shift": 5}) == [7, 9]
    assert double(1, shift=5) == 7
    assert looks(double) == (1, 2)


def test_an_async_function_is_mapped_too(memo, where, tally):
    @memo(where=where)
    async def f(x):
        tally(x)
        await asyncio.sleep(0)
        return x + 1

    assert f.map(range(30)) == list(range(1, 31))
    assert sorted(tally.seen) == list(range(30))


def test_a_vectorised_function_is_mapped_over_its_items(memo, where, tally):
    @memo(batch="items", batch_size=10, where=where)
    def f(items, shift=0):
        tally(list(items))
        return [item + shift for item in items]

    f([3, 4])

    assert f.map(range(100), fixed={"shift": 0}) == list(range(100))
    assert sorted(item for some in tally.seen for item in some) == list(range(100))
    assert max(map(len, tally.seen)) <= 10
    assert f.map([1, 2], fixed={"shift": 5}) == [6, 7]


class Broken(Exception):
    pass


@pytest.fixture
def picky(memo, where, tally):
    @memo(where=where)
    def picky(x):
        tally(x)
        if x == 7:
            raise Broken("seven")
        return x

    return picky


def test_an_error_names_its_item_and_what_was_computed_is_kept(picky, tally):
    with pytest.raises(Broken, match="seven") as raised:
        picky.map(range(20))

    maps_end()

    assert f"raised by {picky._memo.identity.name} for item 7: 7; what was" in raised.value.__notes__[-1]
    assert len([x for x in range(20) if picky.peek(x) is not None]) == picky.cache_info().currsize >= 7


def test_results_before_an_error_are_given(picky):
    results = picky.imap(range(20))

    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(Broken):
        next(results)


def test_exceptions_can_stand_in_the_place_of_results(picky):
    results = picky.map([5, 7, 8, 7], return_exceptions=True)

    assert (results[0], results[2]) == (5, 8)
    assert [type(each) for each in results] == [int, Broken, int, Broken]


def test_a_result_that_is_an_exception_is_a_result(memo, where):
    f = memo(lambda x: ValueError(x), where=where)

    assert [str(each) for each in f.map([1, 2])] == ["1", "2"]


def test_an_item_without_a_fingerprint_is_an_error_of_its_own(picky):
    results = picky.map([1, iter([]), 2], return_exceptions=True)

    assert [type(each) for each in results] == [int, raycache.UnhashableArgument, int]
    with pytest.raises(raycache.UnhashableArgument) as raised:
        picky.map([1, iter([]), 2])
    assert "for item 1: object of type list_iterator" in raised.value.__notes__[-1]


def test_what_a_key_function_raises_is_an_error_of_its_item(memo, where):
    f = memo(lambda x: x, where=where, key=lambda x: 1 / x)

    assert [type(each) for each in f.map([1, 0, 2], return_exceptions=True)] == [int, ZeroDivisionError, int]


def test_items_that_are_refused_are_no_hits(picky, capsys):
    picky.map([1, iter([]), 2], return_exceptions=True, progress=True)
    shown = capsys.readouterr().err

    assert ("hits=0" in shown, "computed=2" in shown, "3/3" in shown) == (True, True, True)


def test_items_that_were_called_before_are_found_as_calls_find_them(memo, where):
    f = memo(lambda x=0: f"{type(x).__name__} {x!r}", where=where, name="f")
    items = [1, True, 1.0, 0.0, -0.0, "1", None, False, 0, [1]]
    expected = [f.__wrapped__(item) for item in items]

    for _ in range(3):
        assert f.map(items) == [f(item) for item in items] == expected
        assert f.map(reversed(items)) == expected[::-1]
    assert f.cache_info().misses == len(items)


def test_not_found_is_an_error_of_its_item(memo, where):
    @memo(where=where, negative_ttl=60)
    def f(x):
        if x == 2:
            raise raycache.NotFound("no 2")
        return x

    for _ in range(2):
        assert [type(each) for each in f.map([1, 2, 3], return_exceptions=True)] == [int, raycache.NotFound, int]


def test_an_endless_iterator_is_read_only_so_far_ahead(double):
    read = itertools.count()
    results = double.imap(read)
    first = [next(results) for _ in range(1000)]
    results.close()

    assert first == [2 * x for x in range(1000)]
    assert next(read) <= 1000 + AHEAD


def test_of_cold_items_only_a_few_blocks_are_read_ahead(memo, where, gate):
    door = gate()
    hold = Held(door)

    @memo(where=where)
    def f(x):
        hold()
        return x

    read = itertools.count()
    results = f.imap(read)
    reader = threading.Thread(target=next, args=(results,))
    reader.start()
    door.await_arrival()
    ahead = next(read)
    door.open()
    reader.join()
    results.close()

    assert ahead <= mapping.WINDOW * mapping.FIRST_BLOCK


def test_behind_a_slow_item_no_more_is_read_than_may_lie_in_memory(memo, gate, monkeypatch):
    for name, value in {"FIRST_BLOCK": 1, "MOST_BLOCK": 1, "MOST_READ": 20}.items():
        monkeypatch.setattr(mapping, name, value)
    door = gate()
    hold = Held(door)
    read = threading.Semaphore(0)

    @memo
    def f(x):
        if x == 0:
            hold()
        return x

    def items():
        for number in itertools.count():
            read.release()
            yield number

    results = f.imap(items())
    first = []
    reader = threading.Thread(target=lambda: first.append(next(results)))
    reader.start()
    behind = all(read.acquire(timeout=30) for _ in range(20))
    another = read.acquire(timeout=0.2)
    door.open()
    reader.join()
    results.close()

    assert (first, behind, another) == ([0], True, False)


def test_nothing_is_read_before_somebody_asks(double):
    read = itertools.count()
    results = double.imap(read)

    assert next(read) == 0
    results.close()


def test_an_iterator_that_is_abandoned_leaves_no_thread(double):
    before = set(threading.enumerate())
    results = double.imap(range(10_000))
    next(results)
    del results
    gc.collect()
    ours = ("raycache-map", "raycache-load")  # what is under way may start more of its block
    while left := {each for each in threading.enumerate() if each.name.startswith(ours)} - before:
        for thread in left:
            if thread.is_alive():  # else it has ended meanwhile, or is about to start: the next look tells
                thread.join(30)

                assert not thread.is_alive()


def test_an_iterable_that_fails_ends_the_map_with_its_error(double):
    def broken():
        yield 1
        raise Broken("the source is gone")

    with pytest.raises(Broken, match="the source is gone"):
        double.map(broken())


@pytest.mark.parametrize("progress", [True, False, None])
def test_progress_shows_hits_and_what_was_computed(double, capsys, progress):
    double.map(range(5), progress=False)
    capsys.readouterr()
    double.map(range(20), progress=progress)
    shown = capsys.readouterr().err

    assert ("double" in shown, "hits=5" in shown, "computed=15" in shown, "20/20" in shown) == (progress is True,) * 4


def test_a_bar_ends_with_an_error(picky, capsys):
    with pytest.raises(Broken):
        picky.map(range(20), progress=True)

    assert "picky" in capsys.readouterr().err


WRONG = {
    "no iterable": (lambda f: f.imap(5), TypeError, "takes an iterable of items, not 5"),
    "progress": (lambda f: f.imap([1], progress="yes"), raycache.InvalidOption, "progress='yes'"),
}


@pytest.mark.parametrize(("call", "kind", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused_at_once(double, call, kind, message):
    with pytest.raises(kind, match=message):
        call(double)


def test_a_fixed_argument_that_the_function_does_not_take_is_an_error(double, tally):
    with pytest.raises(TypeError, match="double"):
        double.map([1], fixed={"nothing": 1})

    assert tally.seen == []


def test_code_that_changes_between_the_items_is_seen(cells, where):
    cells.names["where"] = where
    cells.run("FACTOR = 2\n\n@memo(name='f', where=where)\ndef f(x):\n    return x * FACTOR")

    def items():
        for number in range(10_000):
            if number == 5_000:
                cells.names["FACTOR"] = 3
            yield number

    results = cells["f"].map(items())

    assert all(result in (2 * number, 3 * number) for number, result in enumerate(results))
    assert results[-1] == 3 * 9_999
    assert cells["f"](9_999) == 3 * 9_999


def test_code_that_changes_before_its_tasks_know_it_is_looked_at_again(cells, cache, monkeypatch):
    cells.run("FACTOR = 2\n\n@memo(name='f')\ndef f(x):\n    return x * FACTOR")
    packed, factors = cache.network.packed, [3]

    def changing(*arguments):
        if factors:
            cells.names["FACTOR"] = factors.pop()
        return packed(*arguments)

    monkeypatch.setattr(cache.network, "packed", changing)

    assert cells["f"].map([1, 2, 1]) == [3, 6, 3]
    cells.names["FACTOR"] = 2
    assert cells["f"].map([1, 2]) == [2, 4]
    assert looks(cells["f"]) == (0, 4)


def test_items_whose_function_calls_itself_with_the_same_come_to_pythons_end(memo, where):
    @memo(where=where, load_timeout="20s")
    def f(x):
        return f(x)

    results = f.map(range(3), return_exceptions=True)

    assert [type(each) for each in results] == [RecursionError] * 3


def test_a_map_within_a_memoized_function_comes_to_an_end(inline, where):
    cache = inline(max_loads=1)
    inner = raycache.memoize(lambda x: x + 1, cache=cache, where=where, name="inner", load_timeout="20s")

    @raycache.memoize(cache=cache, where=where, load_timeout="20s")
    def outer(n):
        return sum(inner.map(range(n), progress=False))

    assert outer.map([3, 4]) == [6, 10]


def test_maps_of_several_threads_share_what_they_compute(double, tally):
    results = together(*[lambda: double.map(range(200))] * 4)

    assert results == [[2 * x for x in range(200)]] * 4
    assert sorted(tally.seen) == list(range(200))
