"""Which getters are the same: the code and what it captured count, the line it stands on does not."""

from __future__ import annotations

import functools
import threading

import pytest

from raycache import UnpicklableGetter
from raycache.core.getters import dump, identify

PLAIN = "def getter(key, *more):\n    return {body}\n"


def code(body: str, lines: int = 0, header: str = "", **names: object):
    """A getter as a notebook would define it, so many lines further down."""
    namespace = {"__name__": "notebook", **names}
    source = header + PLAIN.format(body=body)
    exec(compile("\n" * lines + source, f"cell-{lines}", "exec"), namespace)
    return namespace["getter"]


def same(one, other) -> bool:
    return identify(one) == identify(other)


def test_the_same_code_on_another_line_is_the_same_getter():
    """Running a cell again, or adding a line above, must not make it another one."""
    assert same(code("key + 1"), code("key + 1", lines=7))


def test_a_changed_comment_is_the_same_getter():
    assert same(code("key + 1"), code("key + 1  # one more"))


@pytest.mark.parametrize("body", ["key + 2", "key - 1", "key + 1.0", "key + True", "abs(key) + 1", "more + 1"])
def test_changed_code_is_another_getter(body):
    assert not same(code("key + 1"), code(body))


def test_a_constant_in_an_inner_function_counts():
    assert not same(code("(lambda: key + 1)()"), code("(lambda: key + 2)()"))
    assert same(code("(lambda: key + 1)()"), code("(lambda: key + 1)()", lines=3))


def closing(value):
    return lambda key: (key, value)


@pytest.mark.parametrize(("one", "other"), [(1, 2), ("a", "b"), (1, "1"), (None, 0), (1, 1.0), (b"a", "a")])
def test_a_captured_value_counts(one, other):
    assert not same(closing(one), closing(other))
    assert same(closing(one), closing(one))


def defaulting(value):
    def getter(key, factor=value):
        return key * factor

    return getter


def keyword_defaulting(value):
    def getter(key, *, factor=value):
        return key * factor

    return getter


@pytest.mark.parametrize("make", [defaulting, keyword_defaulting])
def test_a_default_counts(make):
    assert not same(make(1), make(2))
    assert same(make(1), make(1))


def scale(factor, key, offset=0):
    return factor * key + offset


def test_the_arguments_of_a_partial_count():
    made = [
        functools.partial(scale, 2),
        functools.partial(scale, 3),
        functools.partial(scale, 2, offset=1),
        functools.partial(scale, 2, offset=2),
        functools.partial(functools.partial(scale, 3), offset=1),
        functools.partial(abs, 2),
    ]

    assert len({identify(each) for each in made}) == len(made)
    assert same(made[2], functools.partial(functools.partial(scale, 2), offset=1))
    assert identify(made[0])[0].endswith(".scale")


class Source:
    def fetch(self, key):
        return key

    def other(self, key):
        return key + 1

    def __call__(self, key):
        return key


class OtherSource:
    def __call__(self, key):
        return key + 1


def test_a_method_is_named_with_its_class():
    name, _ = identify(Source().fetch)

    assert name.endswith("Source.fetch")
    assert same(Source().fetch, Source().fetch)
    assert not same(Source().fetch, Source().other)


def test_an_object_is_named_by_its_class():
    name, _ = identify(Source())

    assert name.endswith(".Source")
    assert same(Source(), Source())
    assert not same(Source(), OtherSource())


def test_a_builtin_is_named():
    assert identify(len)[0] == "builtins.len"
    assert not same(len, abs)


def test_a_class_is_a_getter():
    assert not same(Source, OtherSource)


IDENTIFY = """
from raycache.core.getters import identify
def getter(key):
    return (key in {"a", "b", "c", "d", "e"}, {"x": 1, "y": 2}, frozenset("abc"), lambda: key not in {1, "one", None})
print(identify(getter)[1])
"""


def test_every_process_identifies_a_getter_alike(python):
    """Whatever seed its hashes have: the constants of `in {...}` are a frozenset, whose order is the hashes'."""
    assert len({python(IDENTIFY, PYTHONHASHSEED=str(seed)) for seed in range(4)}) == 1


def test_a_getter_that_cannot_be_pickled_is_named_with_what_stood_in_the_way():
    lock = threading.Lock()

    def fetch(key):
        return lock, key

    with pytest.raises(UnpicklableGetter) as refused:
        dump(fetch, identify(fetch)[0])

    assert "fetch cannot be pickled" in str(refused.value)
    assert "_thread.lock" in str(refused.value)
    assert "inside the getter" in str(refused.value)
