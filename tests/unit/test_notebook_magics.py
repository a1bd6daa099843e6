"""`%%raycache` and `%raycache` in a shell of this process."""

from __future__ import annotations

import asyncio
import re
import sys
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import raycache
from raycache.edge import notebook

RUN = "%%raycache total --cache cache\nprint('ran')\ntotal = scale * 10"


@pytest.fixture
def cache(inline):
    return inline(capacity="16 MiB")


@pytest.fixture
def shell(cache, monkeypatch):
    """A shell that has loaded the extension; `cache` is a variable of it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell puts its own in the place
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}), colors="nocolor")
    shell.run_line_magic("load_ext", "raycache")
    shell.push({"cache": cache, "scale": 2})
    yield shell
    shell.restore_sys_module_state()


@pytest.fixture
def run(shell, capsys):
    """Runs cells, which must end well unless said otherwise; what they print."""

    def run(*cells, fails=False):
        capsys.readouterr()
        results = [shell.run_cell(cell) for cell in cells]

        assert [result.success for result in results] == [not fails] * len(cells)
        printed = capsys.readouterr()
        return SimpleNamespace(out=printed.out, err=printed.err, result=results[-1], ran="ran\n" in printed.out)

    return run


# ------------------------------------------------------------------------------------------------- kept and loaded


def test_a_cell_runs_once_and_its_variables_come_from_the_cache_then(run, shell):
    first = run(RUN)
    again = run("del total", RUN)

    assert first.ran
    assert re.search(r"^raycache: kept total \(computed in [\d.]+ [mµ]?s, \d+ B\)$", first.out, re.M)
    assert not again.ran
    assert re.fullmatch(r"raycache: loaded total \(computed (just now|\d+ m?s ago) in [\d.]+ [mµ]?s\)\n", again.out)
    assert shell.user_ns["total"] == 20


@pytest.mark.parametrize(
    "changed",
    [
        RUN.replace("total = ", "# the sum\ntotal = "),
        RUN.replace("scale * 10", "(scale  *  10)"),
        RUN.replace("total --cache", "--ttl 1h total --cache"),
    ],
    ids=["comment", "layout", "options"],
)
def test_what_does_not_change_the_cell_hits(run, changed):
    run(RUN)

    assert not run(changed).ran


@pytest.mark.parametrize(
    ("before", "changed"),
    [("", RUN.replace("10", "11")), ("scale = 3", RUN), ("scale = 2.0", RUN), ("", RUN + "\nmore = total")],
    ids=["constant", "value", "type", "line"],
)
def test_what_changes_the_cell_or_what_it_reads_misses(run, before, changed):
    run(RUN)

    assert run(before, changed).ran


def test_variables_that_the_cell_does_not_read_do_not_count(run):
    run(RUN)

    assert not run("other = 5", RUN).ran


def test_going_back_to_the_old_cell_hits_again(run, shell):
    run(RUN, "scale = 3", RUN)

    assert not run("scale = 2", RUN).ran
    assert shell.user_ns["total"] == 20


def test_a_function_that_the_cell_calls_counts_by_what_it_does(run):
    cell = "%%raycache total --cache cache\nprint('ran')\ntotal = double(1)"
    run("def double(number):\n    return 2 * number", cell)

    assert not run("def double(number):\n    return 2 * number  # twice", cell).ran
    assert run("def double(number):\n    return 3 * number", cell).ran


def test_the_names_count_and_their_order_does_not(run):
    cell = "%%raycache a b --cache cache\nprint('ran')\na = b = 1"
    run(cell)

    assert not run(cell.replace("a b", "b a")).ran
    assert run(cell.replace("a b", "a")).ran


def test_force_runs_the_cell_and_keeps_what_it_sets_then(run, shell):
    shell.push({"now": iter(range(5)).__next__}, interactive=False)
    cell = "%%raycache number --cache cache\nnumber = get_ipython().user_ns['now']()"
    run(cell, cell.replace("number --", "number --force --"), "del number", cell)

    assert shell.user_ns["number"] == 1


def test_what_is_kept_ends_with_its_ttl(run, clock):
    cell = RUN.replace("total --", "total --ttl 1h --")
    run(cell)
    clock.advance(3599)

    assert not run(cell).ran
    clock.advance(2)
    assert run(cell).ran


def test_variables_from_the_cache_are_the_notebooks_own(run, shell):
    """They may be changed, also arrays, and the cache does not see it."""
    cell = "%%raycache a b --cache cache\nimport numpy\na = numpy.arange(3)\nb = [a]"
    run("import numpy", cell)
    loaded = run("del a, b", cell)
    first = shell.user_ns["a"]
    run("a[0] = 7", cell)

    assert loaded.out.startswith("raycache: loaded a, b")
    assert first.tolist() == [7, 1, 2]
    assert shell.user_ns["a"].tolist() == [0, 1, 2]
    assert shell.user_ns["b"][0] is shell.user_ns["a"]


def test_large_values_come_back(run, shell):
    run("%%raycache data --cache cache\ndata = bytes(1 << 20)", "del data")
    again = run("%%raycache data --cache cache\ndata = bytes(1 << 20)")

    assert again.out.startswith("raycache: loaded data")
    assert shell.user_ns["data"] == bytes(1 << 20)


def test_a_variable_that_the_cell_changes_in_place_is_kept_as_it_is_after_it(run, shell):
    cell = "%%raycache items --cache cache\nprint('ran')\nitems.append(3)"
    run("items = [1, 2]", cell)

    assert not run("items = [1, 2]", cell).ran
    assert shell.user_ns["items"] == [1, 2, 3]


def test_a_cell_is_shown_as_always(run, shell):
    """What it prints, and the value of its last line."""
    shown = run("%%raycache a --cache cache\na = [1]\nprint('printed')\na")

    assert "printed\n" in shown.out
    assert re.search(r"Out\[\d+\]: \[1\]", shown.out)


def test_a_cell_may_await_and_use_magic_commands(run, shell):
    run("%%raycache a b --cache cache\nimport asyncio\nawait asyncio.sleep(0)\na = 1\nb = %pwd")

    assert (shell.user_ns["a"], bool(shell.user_ns["b"])) == (1, True)


def test_inside_a_running_event_loop_a_cell_that_awaits_is_refused(run, shell):
    """As in a Jupyter kernel."""

    async def kernel():
        return run("%%raycache a --cache cache\nimport asyncio\nawait asyncio.sleep(0)\na = 1", fails=True)

    told = asyncio.run(kernel())

    assert "UsageError: a cell under %%raycache cannot await here" in told.err
    assert "a" not in shell.user_ns


# ---------------------------------------------------------------------------------------------------- not kept


def kept(cache) -> int:
    return len(cache.group(notebook.GROUP))


def test_a_cell_that_fails_fails_as_always_and_nothing_is_kept(run, cache):
    cell = "%%raycache total --cache cache\ntotal = 1\ntotal / 0"
    failed = run(cell, fails=True)

    assert isinstance(failed.result.error_in_exec, ZeroDivisionError)
    assert failed.out.count("ZeroDivisionError: division by zero") == 1
    assert "raycache: nothing is kept, as the cell failed" in failed.err
    assert kept(cache) == 0


@pytest.mark.parametrize("line", ["total = ", "return 1", "total = ((1)"])
def test_a_cell_that_is_no_python_is_a_syntax_error(run, cache, line):
    failed = run(f"%%raycache total --cache cache\n{line}", fails=True)

    assert isinstance(failed.result.error_in_exec, SyntaxError)
    assert (failed.out + failed.err).count("SyntaxError:") == 1
    assert kept(cache) == 0


def test_an_interrupted_cell_is_interrupted_as_always(run, cache):
    failed = run("%%raycache total --cache cache\ntotal = 1\nraise KeyboardInterrupt", fails=True)

    assert isinstance(failed.result.error_in_exec, KeyboardInterrupt)
    assert kept(cache) == 0


def test_a_variable_that_the_cell_does_not_set_is_named(run, cache):
    told = run("other = 1", "%%raycache total missing other --cache cache\ntotal = 1")

    assert told.err == "raycache: nothing is kept, as the cell does not set 'missing', 'other'\n"
    assert kept(cache) == 0


def test_a_value_that_cannot_be_cached_is_named(run, cache):
    told = run("%%raycache a lock --cache cache\nimport threading\na = 1\nlock = threading.Lock()")

    assert told.err.startswith("raycache: nothing is kept: 'lock' cannot be cached: ")
    assert kept(cache) == 0


def test_a_value_that_is_too_large_is_told_with_its_size_and_a_remedy(run, cache):
    told = run("%%raycache a --cache cache\na = bytes(5 << 20)")

    assert told.err == (
        "raycache: nothing is kept: a take 5.0 MiB, and the group 'notebook' has 4.0 MiB per shard; give it more with "
        "cache.group('notebook', None, capacity=..., replace=True)\n"
    )
    assert kept(cache) == 0


def test_a_cell_that_reads_what_has_no_fingerprint_runs_and_says_so(run, shell, cache):
    told = run("import threading\nlock = threading.Lock()", "%%raycache a --cache cache\nwith lock:\n    a = 1")

    assert told.err.startswith("raycache: the cell is not cached: ")
    assert "`lock`" in told.err
    assert shell.user_ns["a"] == 1
    assert kept(cache) == 0


def test_without_a_cache_the_cell_runs_and_says_so(run, shell, cache):
    cache.close()
    told = run(RUN)

    assert told.ran
    assert re.match(r"raycache: the cell is not cached: the cache 'default' is closed", told.err)
    assert shell.user_ns["total"] == 20


def test_what_cannot_be_read_any_more_is_computed_anew(run, cache):
    run(RUN)
    group = cache.group(notebook.GROUP)
    (key,) = group.keys()
    group.set(key, group.get(key)._replace(data=b"no pickle"))
    told = run(RUN)

    assert told.ran
    assert "raycache: what was kept cannot be read any more, and the cell is run (" in told.err
    assert not run(RUN).ran


def test_a_group_of_that_name_with_a_getter_is_left_alone(run, cache):
    calls = []
    cache.group(notebook.GROUP, calls.append)
    told = run(RUN)

    assert told.ran
    assert "the group 'notebook' has a getter, and cells need one without" in told.err
    assert calls == []


def test_a_group_that_was_registered_before_is_used_as_it_is(run, cache):
    group = cache.group(notebook.GROUP, None, capacity="1 MiB")
    run(RUN)

    assert len(group) == 1


# ------------------------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("%%raycache --cache cache\na = 1", r"name the variables that the cell sets: %%raycache NAME \[NAME \.\.\.\]"),
        ("%%raycache a, b\na = 1", r"'a,': not the name of a variable; write %%raycache a b, with blanks"),
        ("%%raycache a.b\na = 1", r"'a\.b': not the name of a variable"),
        ("%%raycache class\na = 1", r"'class': not the name of a variable"),
        ("%%raycache a --ttl soon\na = 1", r"--ttl='soon' is not a time; write seconds"),
        ("%%raycache a --cache a/b\na = 1", r"name='a/b': a cache's name has 1 to 64 letters"),
        ("%%raycache a --often\na = 1", r"unrecognized arguments: --often"),
        ("%raycache a", r"%raycache shows the report and takes --cache alone; .* begin the cell with %%raycache a"),
        ("%raycache --force", r".* begin the cell with %%raycache NAME"),
    ],
)
def test_a_command_that_cannot_be_understood_is_refused_and_nothing_runs(run, shell, command, message):
    told = run(command, fails=True)

    assert re.search(f"UsageError: {message}", told.err)
    assert "a" not in shell.user_ns


def test_the_line_command_is_the_report(run):
    run(RUN, RUN)
    report = run("%raycache --cache cache").result.result

    assert isinstance(report, raycache.Report)
    assert [(row.name, row.stats.hits, row.stats.misses) for row in report] == [("notebook", 1, 1)]


def test_caches_are_found_by_variable_by_name_or_by_default(run, cache, monkeypatch):
    asked = []
    monkeypatch.setattr(notebook, "connect", lambda *name: asked.append(name) or cache)
    run("%raycache", "%raycache --cache cache", "%raycache --cache other")

    assert asked == [(), ("other",)]


def test_what_the_user_does_with_errors_stays_so(run, shell):
    seen = []
    shell.set_custom_exc((ZeroDivisionError,), lambda shell, kind, *_, **__: seen.append(kind))
    run("%%raycache total --cache cache\ntotal = 1 / 0", fails=True)

    assert seen == [ZeroDivisionError]


def test_the_commands_have_help(shell):
    text = shell.find_line_magic("raycache").__doc__

    assert "%%raycache NAME [NAME ...] [--ttl TTL] [--force] [--cache CACHE]" in text


def test_unloading_takes_the_commands_away(run, shell):
    run("%unload_ext raycache")

    assert shell.find_line_magic("raycache") is None
    assert shell.find_cell_magic("raycache") is None
