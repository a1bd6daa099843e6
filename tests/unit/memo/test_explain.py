"""`explain`: where the result of a call lies, or every reason why it does not."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy
import pytest
from tally import Held

import raycache


@pytest.fixture
def f(memo, where, tally):
    @memo(where=where, name="f")
    def f(x, model="small"):
        tally(x)
        return [x]

    return f


def leave_the_process(memoized):
    """What this process has for itself goes: it is explained as in another one."""
    memoized._memo.binding().reader.near.clear()


def reasons(memoized, *args, **kwargs):
    explanation = memoized.explain(*args, **kwargs)
    assert not explanation
    assert (explanation.hit, explanation.tier) == (False, "")
    return " | ".join(explanation.reasons)


def test_it_never_computes_and_is_not_counted(f, tally):
    f(1)
    for x in (1, 2):
        f.explain(x)

    assert (tally.seen, f.cache_info()[:2]) == ([1], (0, 1))


def test_of_a_hit_it_tells_age_expiry_size_and_cost(memo, where, clock):
    @memo(where=where, ttl="60s")
    def f(x):
        return "x" * 1000

    f(1)
    clock.advance(20)
    told = f.explain(1)

    assert (bool(told), told.hit, told.reasons, told.computing) == (True, True, (), False)
    assert (told.age_s, told.expires_in_s) == (20.0, 40.0)
    assert 1000 <= told.size <= 1050
    assert 0 <= told.cost_s < 10
    assert (told.call, told.key) == ("f(x=1)", f.key(1))


def test_what_never_expires_says_so(f):
    f(1)

    assert f.explain(1).expires_in_s is None
    assert "never" in repr(f.explain(1))


def test_a_hit_in_this_process_is_near(f):
    f(1)
    f(1)

    assert f.explain(1).tier == "near"


def test_a_hit_in_shared_memory_of_the_node_is_in_pages(f):
    f(1)
    leave_the_process(f)

    assert f.explain(1).tier == "pages"


def test_a_large_result_is_in_the_shard(memo, where):
    f = memo(lambda: bytes(5_000_000), where=where, capacity="6 MiB")
    f()

    assert f.explain().tier == "shard"
    assert f.explain().size >= 5_000_000


def test_of_a_cold_function_nothing_was_ever_computed(f):
    assert reasons(f, 1) == "f was never computed, with any arguments, as far as the cache remembers"


def test_an_expired_result_says_so(memo, where, clock):
    f = memo(lambda x: x, where=where, ttl=5)
    f(1)
    clock.advance(7)

    assert reasons(f, 1) == "it was computed, and has expired"
    assert f.explain(1).age_s == 7.0


def test_an_evicted_result_says_so(memo, where):
    f = memo(lambda x: "x" * 1000, where=where, capacity=5000)
    for x in range(10):
        f(x)
    leave_the_process(f)

    assert reasons(f, 0) == "it was computed, and evicted to make room; a larger capacity= keeps more"
    assert f.explain(9)


REMOVALS = {"forget": lambda f: f.forget(1), "cache_clear": lambda f: f.cache_clear()}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_a_removed_result_says_so(f, remove):
    f(1)
    remove(f)

    assert reasons(f, 1) == "it was computed, and removed since (forget, cache_clear)"
    f(1)
    assert f.explain(1)


def test_a_result_that_is_too_large_says_so(memo, where):
    f = memo(lambda x: "x" * 1000, where=where, capacity=500)
    f(1)
    leave_the_process(f)

    assert reasons(f, 1).startswith("it was computed, and is too large for the function's capacity")


def test_other_arguments_are_named_with_what_they_were(f):
    f(1, "small")

    assert reasons(f, 1, "large") == (
        "never computed; the call that is most like it differs in | argument `model`: 'small' -> 'large'"
    )


def test_the_call_that_is_most_like_it_is_compared(f):
    f(1, "small")
    f(2, "large")
    f(3, "medium")

    assert "argument `model`: 'large' -> 'huge'" in reasons(f, 2, model="huge")
    assert "argument `x`: 3 -> 4" in reasons(f, 4, "medium")


def test_arguments_that_look_the_same_say_that_their_contents_differ(f):
    f([1, 2])

    assert "argument `x`: list of 2, with other contents" in reasons(f, [1, 3])


def test_arrays_are_named_by_their_shape(f):
    f(numpy.zeros(3))

    assert "argument `x`: array float64, shape (3,) -> array float64, shape (4,)" in reasons(f, numpy.zeros(4))


def test_what_is_ignored_is_not_named(memo, where):
    f = memo(lambda x, log: x, where=where, ignore=["log"], name="f")
    f(1, "here")

    assert f.explain(1, "there")
    assert "log" not in reasons(f, 2, "there")


def test_of_a_key_function_its_result_is_named(memo, where):
    f = memo(lambda x: x, where=where, key=lambda x: x // 10, name="f")
    f(11)

    assert f.explain(19)
    assert "argument `key(...)`: 1 -> 2" in reasons(f, 20)


@pytest.fixture
def notebook(cells, where):
    cells.names["where"] = where
    cells.run("THRESHOLD = 0.5")
    cells.run("def clean(x):\n    return x + 1")
    cells.run("@memo(name='f', where=where)\ndef f(x):\n    return clean(x) > THRESHOLD")
    cells["f"](1)
    return cells


CHANGES = {
    "helper": ("def clean(x):\n    return x + 2", "helper `clean` changed"),
    "global": ("THRESHOLD = 0.6", "global `THRESHOLD` 0.5 -> 0.6"),
    "its own code": ("@memo(name='f', where=where)\ndef f(x):\n    return clean(x) >= THRESHOLD", "code changed"),
    "something new": (
        "LIMIT = 3\n@memo(name='f', where=where)\ndef f(x):\n    return LIMIT > clean(x) > THRESHOLD",
        "global `LIMIT` is new",
    ),
    "something less": ("@memo(name='f', where=where)\ndef f(x):\n    return clean(x)", "`THRESHOLD` is not read any"),
}


@pytest.mark.parametrize(("cell", "reason"), CHANGES.values(), ids=CHANGES)
def test_what_changed_in_the_code_is_named(notebook, cell, reason):
    notebook.run(cell)
    told = reasons(notebook["f"], 1)

    assert told.startswith("changed since it was computed:")
    assert reason in told
    assert "argument" not in told


def test_code_and_arguments_that_differ_are_both_named(notebook):
    notebook.run("THRESHOLD = 0.6")
    told = reasons(notebook["f"], 2)

    assert "global `THRESHOLD` 0.5 -> 0.6" in told
    assert "argument `x`: 1 -> 2" in told


def test_while_it_is_computed_it_says_so(memo, where, gate, pool):
    door = gate()
    hold = Held(door)

    @memo(where=where, name="f")
    def f(x):
        hold()

    first = pool.submit(f, 1)
    door.await_arrival()
    during = f.explain(1)
    door.open()
    first.result(30)

    assert (during.computing, during.hit, f.explain(1).computing) == (True, False, False)
    assert "being computed" in repr(during)


def test_a_remembered_not_found_is_a_hit(memo, where):
    @memo(where=where, negative_ttl=60)
    def f(x):
        raise raycache.NotFound("no")

    with pytest.raises(raycache.NotFound):
        f(1)

    assert f.explain(1)


def test_another_functions_calls_are_not_compared(memo, where):
    one, other = (memo(lambda x: x, where=where, name=name) for name in ("one", "other"))
    one(1)

    assert "never computed, with any arguments" in reasons(other, 1)


@pytest.mark.parametrize("text", ["plain", "<b>&\"'", "\x1b[31m", "\u202e", "\udc80"], ids=ascii)
def test_its_html_is_well_formed_and_says_what_its_repr_says(f, text):
    f("other")
    f(text)
    for explanation in (f.explain(text), f.explain(text, "large")):
        tree = ElementTree.fromstring(explanation._repr_html_())
        shown = "".join(tree.itertext())

        assert explanation.call.split("x=")[0] in shown
        assert repr(explanation).startswith(("hit: ", "miss: "))
        assert repr(explanation).splitlines()[0][:10] in shown
        assert all(character.isprintable() or character == "\n" for character in repr(explanation))
        assert not any(f"<{tag}" in explanation._repr_html_() for tag in ("script", "link", "img"))


def test_a_call_that_cannot_be_made_is_refused(f):
    with pytest.raises(TypeError, match="f"):
        f.explain()
    with pytest.raises(raycache.UnhashableArgument):
        f.explain(iter([]))


def test_every_reason_is_found_with_several_shards(inline):
    cache = inline(shards=3)
    f = raycache.memoize(lambda x, y=0: x, cache=cache, name="f")
    for x in range(10):
        f(x)
    f.forget(3)

    assert all(f.explain(x) for x in range(10) if x != 3)
    assert "removed since" in reasons(f, 3)
    assert "argument `y`: 0 -> 1" in reasons(f, 5, 1)


def test_what_has_raised_was_computed(memo, where):
    @memo(where=where)
    def f(x):
        raise ValueError(f"no {x}")

    with pytest.raises(ValueError, match="no 1"):
        f(1)
    told = f.explain(1)

    assert told.reasons == ("it was computed, and raised ValueError: no 1; exceptions are not cached",)
    assert (told.hit, told.size) == (False, None)
