"""What has no fingerprint: the error names its path, its type and what to do."""

from __future__ import annotations

import collections
import contextvars
import io
import itertools
import re
import socket
import threading
import weakref
from typing import Any

import pytest

from raycache import UnhashableArgument
from raycache.core.fingerprint.values import fingerprint


class Node:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Fussy:
    """Whoever shows it fails."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        raise AssertionError("the error shows a value of the user's")

    __str__ = __repr__


def refusal(value: Any, name: str = "value") -> str:
    with pytest.raises(UnhashableArgument) as refused:
        fingerprint(value, name)
    return str(refused.value)


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    "make",
    [
        object,
        threading.Lock,
        threading.Event,
        threading.local,
        lambda: (each for each in ()),
        lambda: iter([1]),
        lambda: zip([1], [2], strict=True),
        itertools.count,
        io.BytesIO,
        lambda: weakref.ref(Node),
        lambda: contextvars.ContextVar("x"),
        lambda: Exception("x"),
    ],
)
def test_what_is_more_than_its_parts_is_refused(make):
    assert "has no fingerprint" in refusal(make())


def test_open_files_sockets_and_coroutines_are_refused(tmp_path):
    waiting = coroutine()
    with open(tmp_path / "file", "w") as file, socket.socket() as connection:
        for value, kind in ((file, "_io.TextIOWrapper"), (connection, "socket"), (waiting, "coroutine")):
            assert kind in refusal(value)
    waiting.close()


WEIGHT = object()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (WEIGHT, "model"),
        (Node(layers=[0, 1, 2, Node(weight=WEIGHT)]), "model.layers[3].weight"),
        ({"a": WEIGHT}, "model['a']"),
        ({"a": {1: (0, WEIGHT)}}, "model['a'][1][1]"),
        ({("x", 1): WEIGHT}, "model[tuple of 2]"),
        ({WEIGHT: 1}, "model.keys()"),
        ([{WEIGHT}], "model[0].pop()"),
        (collections.deque([1, WEIGHT]), "model[1]"),
        (slice(WEIGHT), "model.stop"),
        (collections.defaultdict(WEIGHT.__class__, {"a": [WEIGHT]}), "model['a'][0]"),
        ([[*range(50_000), WEIGHT]], "model[0][50000]"),
        ({str(i): i for i in range(1000)} | {"z": WEIGHT}, "model['z']"),
    ],
)
def test_the_path_leads_to_what_is_refused(value, path):
    assert refusal(value, "model").startswith(f"`{path}` is of type object, which has no fingerprint; ")


def test_the_error_says_all_that_can_be_done():
    text = refusal(Node(lock=threading.Lock()), "model")

    assert "`model.lock` is of type _thread.lock" in text
    for remedy in (
        "something simpler",
        "ignore=['model']",
        "key=",
        "__raycache_key__",
        "register_fingerprint(lock, fn)",
    ):
        assert remedy in text


def test_a_value_is_never_shown_by_its_own_repr():
    assert "`value.inner[0]` is of type object" in refusal(Fussy([WEIGHT]))
    assert "Fussy" in refusal({Fussy(1): WEIGHT}) or "object" in refusal({"a": Fussy([WEIGHT])})


def cycle(make: Any) -> Any:
    """What `make` returns holds the list it is given, which holds it."""
    inner: list[Any] = []
    outer = make(inner)
    inner.append(outer)
    return outer


@pytest.mark.parametrize(
    ("value", "inner"),
    [
        (cycle(lambda inner: inner), "value[0]"),
        (cycle(lambda inner: {"a": inner}), "value['a'][0]"),
        (cycle(lambda inner: (1, inner)), "value[1][0]"),
        (cycle(lambda inner: Node(children=[1, Node(parents=inner)])), "value.children[1].parents[0]"),
        (cycle(lambda inner: collections.deque([inner])), "value[0][0]"),
    ],
)
def test_what_contains_itself_is_refused_with_the_way_round(value, inner):
    assert refusal(value).startswith(f"`{inner}` is `value` itself: what contains itself has no fingerprint")


def test_a_cycle_further_down_is_named_where_it_is():
    loop = cycle(lambda inner: inner)

    assert refusal({"a": [1, loop]}).startswith("`value['a'][1][0]` is `value['a'][1]` itself")


def test_shared_objects_are_no_cycle():
    shared = [1]

    assert fingerprint([shared, [shared, shared]]) == fingerprint([[1], [[1], [1]]])


def test_objects_that_are_shared_again_and_again_are_hashed_once():
    """2 ** 140 places, one object each."""
    value: list[Any] = ["x" * 500]
    for _ in range(140):
        value = [value, value]

    assert len(fingerprint(value)) == 16


@pytest.mark.parametrize(
    "share",
    [lambda value: {"a": value, "b": value}, lambda value: Node(a=value, b=value), lambda value: (value, {1: value})],
)
def test_small_objects_that_are_shared_again_and_again_are_hashed_once(share):
    """However short their encoding is."""
    value: Any = 1
    for _ in range(70):
        value = share(value)

    assert len(fingerprint(value)) == 16


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_nested_too_deep_is_refused():
    assert fingerprint(nested(149)) != fingerprint(nested(150))
    assert re.match(r"`value\[0\].*` lies more than 150 levels deep", refusal(nested(300)))
    assert "lies more than 150 levels deep" in refusal(nested(100_000))


def test_a_stack_that_is_full_is_no_fault_of_the_value():
    """It is a RecursionError of Python then, as of a function that calls itself without end."""

    def call(depth: int) -> str:
        if depth:
            return call(depth - 1)
        try:
            return fingerprint(nested(149)).hex()
        except RecursionError:
            return "a full stack"

    assert {call(depth) for depth in range(0, 900, 25)} == {fingerprint(nested(149)).hex(), "a full stack"}


def test_an_encoder_is_not_left_half_way():
    """What was refused once has no influence on the next."""
    value = [1, WEIGHT]
    refusal(value)
    value.pop()

    assert fingerprint(value) == fingerprint([1])
