"""Cells of a notebook that are run again: the same code hits, other code misses, and old code hits again."""

from __future__ import annotations

import asyncio

import pytest
from tally import Held, looks

import raycache

CELL = """
@memo(name="f", where=where)
def f(x):
    tally(x)
    return clean(x) * FACTOR
"""
HELPER = """
def inner(x):
    return x + 1

def clean(x):
    return inner(x)
"""


@pytest.fixture(params=["source", "no source"])
def notebook(request, cells, where):
    cells.has_source = request.param == "source"
    cells.names["where"] = where
    cells.run("FACTOR = 10")
    cells.run(HELPER)
    cells.run(CELL)
    assert cells["f"](1) == 20
    return cells


def test_a_cell_that_is_run_again_unchanged_hits(notebook, tally):
    for source in (HELPER, CELL, "FACTOR = 10"):
        notebook.run(source)

    assert (notebook["f"](1), tally.seen) == (20, [1])


COSMETIC = {
    "comment": lambda cell: cell.replace("return", "# why\n    return"),
    "docstring": lambda cell: cell.replace("(x):\n", '(x):\n    """What it does."""\n', 1),
    "annotation": lambda cell: cell.replace("(x):\n", "(x: int) -> int:\n", 1),
    "layout": lambda cell: cell.replace("x + 1", "(x +\n\n            1)").replace("(x) * FACTOR", "( x )  *  FACTOR"),
    "lines above": lambda cell: "\n\n\n" + cell,
}


@pytest.mark.parametrize("edit", COSMETIC.values(), ids=COSMETIC)
@pytest.mark.parametrize("cell", [CELL, HELPER], ids=["the function", "its helper"])
def test_an_edit_that_changes_nothing_hits(notebook, tally, edit, cell):
    assert edit(cell) != cell
    notebook.run(edit(cell))

    assert (notebook["f"](1), tally.seen) == (20, [1])


CHANGES = {
    "constant": ([CELL.replace("* FACTOR", "* FACTOR + 5")], 25),
    "helper": ([HELPER.replace("return inner(x)", "return inner(x) + 2")], 40),
    "helper two calls down": ([HELPER.replace("x + 1", "x + 2")], 30),
    "global": (["FACTOR = 7"], 14),
    "global of another type": (["FACTOR = 10.0"], 20.0),
    "default": ([CELL.replace("f(x)", "f(x, y=3)")], 20),
}


@pytest.mark.parametrize(("sources", "result"), CHANGES.values(), ids=CHANGES)
def test_an_edit_that_changes_something_misses_and_the_old_code_hits_again(notebook, tally, sources, result):
    for source in sources:
        notebook.run(source)
    changed = notebook["f"](1)

    assert (changed, type(changed), tally.seen) == (result, type(result), [1, 1])
    for source in ("FACTOR = 10", HELPER, CELL):
        notebook.run(source)
    assert (notebook["f"](1), tally.seen) == (20, [1, 1])


def test_results_of_old_code_stay_beside_those_of_the_new(notebook):
    for factor in (10, 7, 8, 10, 7):
        notebook.run(f"FACTOR = {factor}")
        assert notebook["f"](1) == 2 * factor

    assert (looks(notebook["f"]), notebook["f"].cache_info().currsize) == ((3, 3), 3)


def test_a_quick_hit_sees_that_a_global_has_changed(notebook, tally):
    for _ in range(3):
        notebook["f"](1)
    notebook.names["FACTOR"] = 100

    assert [notebook["f"](1), notebook["f"](1)] == [200, 200]
    del notebook.names["FACTOR"]
    with pytest.raises(NameError):
        notebook["f"](1)
    notebook.names["FACTOR"] = 10
    assert (notebook["f"](1), tally.seen) == (20, [1, 1, 1])


def test_a_global_that_is_changed_in_place_is_seen(cells, where):
    cells.names["where"] = where
    cells.run("""
    OPTIONS = {"factor": 2}

    @memo(name="f", where=where)
    def f(x):
        return x * OPTIONS["factor"]
    """)
    results = []
    for factor in (2, 2, 3, 2):
        cells["OPTIONS"]["factor"] = factor
        results.append(cells["f"](5))

    assert results == [10, 10, 15, 10]
    assert looks(cells["f"]) == (2, 2)


def test_a_captured_value_counts(memo, where):
    def made(factor):
        return memo(lambda x: x * factor, name="f", where=where)

    assert [made(2)(5), made(3)(5), made(2)(5)] == [10, 15, 10]


def test_a_memoized_helper_counts_by_its_code(cells):
    helper = "@memo(name='helper')\ndef helper(x):\n    return x + 1"
    cells.run(helper)
    cells.run("@memo(name='f')\ndef f(x):\n    return helper(x) * 2")
    first = cells["f"](1)
    cells.run(helper.replace("+ 1", "+ 2"))

    assert (first, cells["f"](1)) == (4, 6)


def test_a_memoized_function_as_an_argument_counts_by_its_code(memo):
    apply = memo(lambda function, x: function(x), name="apply")
    one, other = memo(lambda x: x + 1, name="g"), memo(lambda x: x + 2, name="g")

    assert [apply(one, 1), apply(other, 1), apply(one, 1)] == [2, 3, 2]
    assert looks(apply) == (1, 2)


def test_what_the_caller_computes_while_its_code_changes_is_not_kept_under_the_old_code(cells, tally, gate, pool):
    door = gate()
    cells.names["hold"] = Held(door)
    cells.run("""
    FACTOR = 10

    @memo(name="f", where="caller")
    def f(x):
        tally(x)
        hold()
        return x * FACTOR
    """)
    first = pool.submit(cells["f"], 1)
    door.await_arrival()
    cells.names["FACTOR"] = 7
    door.open()
    first.result(30)
    cells.names["FACTOR"] = 10

    assert (cells["f"](1), tally.seen) == (10, [1, 1])


def test_code_that_changes_before_a_task_knows_it_is_looked_at_again(cells, monkeypatch, cache):
    """What is packed for a task may be newer than the key."""
    cells.run("FACTOR = 10\n\n@memo(name='f')\ndef f(x):\n    return x * FACTOR")
    packed, factors = cache.network.packed, [7]

    def changing(*arguments):
        if factors:
            cells.names["FACTOR"] = factors.pop()
        return packed(*arguments)

    monkeypatch.setattr(cache.network, "packed", changing)
    during = cells["f"](1)
    cells.names["FACTOR"] = 10

    assert (during, cells["f"](1)) == (7, 10)


@pytest.mark.parametrize("where", ["task", "caller"])
def test_many_versions_of_one_function_are_told_apart(cells, where):
    """More of them than a shard has at hand."""
    cells.names["where"] = where
    for factor in [*range(100), *range(100)]:
        cells.run(f"@memo(name='f', where=where)\ndef f(x):\n    return x * {factor}")
        assert cells["f"](2) == 2 * factor

    assert looks(cells["f"]) == (100, 100)


FACES = {
    "call": lambda f: f(1),
    "awaited": lambda f: asyncio.run(f._memo.acall((1,), {})),
    "map": lambda f: f.map([1]),
}


@pytest.mark.parametrize("call", FACES.values(), ids=FACES)
def test_code_that_never_stays_the_same_is_an_error_that_says_what_changes(cells, cache, monkeypatch, call):
    cells.run("FACTOR = 0\n\n@memo(name='f')\ndef f(x):\n    return x * FACTOR")
    packed = cache.network.packed

    def changing(*arguments):
        cells.names["FACTOR"] += 1
        return packed(*arguments)

    monkeypatch.setattr(cache.network, "packed", changing)

    with pytest.raises(raycache.RaycacheError, match=r"FACTOR.* keeps changing.*version=.*depends="):
        call(cells["f"])
