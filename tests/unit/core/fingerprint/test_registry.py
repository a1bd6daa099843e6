"""Handlers by type: the most specific one serves, and users add their own."""

from __future__ import annotations

import collections
import copy
import sys
import threading
import types
import weakref
from typing import Any

import numpy as np
import pytest

from raycache import InvalidOption, UnhashableArgument
from raycache.core.fingerprint import registry, standard
from raycache.core.fingerprint.refusal import Refused
from raycache.core.fingerprint.registry import Registry, register_fingerprint, register_handler
from raycache.core.fingerprint.remembered import RememberedDigests
from raycache.core.fingerprint.values import Encoder, fingerprint


@pytest.fixture(autouse=True)
def own_registrations():
    """What a test registers, and what of libraries turns up meanwhile, ends with it."""
    before = {name: copy.copy(state) for name, state in vars(registry.REGISTRY).items() if name != "_lock"}
    yield
    vars(registry.REGISTRY).update(before)


class Connection:
    """Has a lock, so that it has no fingerprint by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lock = threading.Lock()


class Pooled(Connection):
    pass


class Keyed:
    def __init__(self, key: Any) -> None:
        self.key = key
        self.lock = threading.Lock()

    def __raycache_key__(self) -> Any:
        return self.key


class KeyedBelow(Keyed):
    pass


class KeyedAgain(Keyed):
    def __raycache_key__(self) -> Any:
        return ("again", self.key)


def test_what_is_registered_stands_for_the_value():
    register_fingerprint(Connection, lambda connection: connection.url)

    assert fingerprint(Connection("a")) == fingerprint(Connection("a"))
    assert fingerprint(Connection("a")) != fingerprint(Connection("b"))
    assert fingerprint(Connection("a")) != fingerprint("a")


def test_what_is_registered_counts_at_once_and_in_the_place_of_what_was_before():
    with pytest.raises(UnhashableArgument):
        fingerprint(Connection("a"))
    register_fingerprint(Connection, lambda connection: connection.url)
    by_url = fingerprint(Connection("a"))
    register_fingerprint(Connection, lambda connection: len(connection.url))

    assert fingerprint(Connection("a")) == fingerprint(Connection("b")) != by_url


def test_what_is_registered_serves_subclasses_that_are_told_apart():
    register_fingerprint(Connection, lambda connection: connection.url)

    assert fingerprint(Pooled("a")) == fingerprint(Pooled("a"))
    assert fingerprint(Pooled("a")) != fingerprint(Connection("a"))


def test_the_most_specific_type_serves():
    register_fingerprint(Connection, lambda connection: 1)
    register_fingerprint(Pooled, lambda connection: connection.url)

    assert fingerprint(Pooled("a")) != fingerprint(Pooled("b"))


def test_an_object_is_told_by_its_own_key():
    assert fingerprint(Keyed(1)) == fingerprint(Keyed(1))
    assert len({fingerprint(each) for each in (Keyed(1), Keyed(2), Keyed("1"), KeyedBelow(1), KeyedAgain(1), 1)}) == 6


def test_a_registered_function_comes_before_the_key_of_a_base():
    register_fingerprint(KeyedBelow, lambda value: 0)

    assert fingerprint(KeyedBelow(1)) == fingerprint(KeyedBelow(2))
    assert fingerprint(Keyed(1)) != fingerprint(Keyed(2))


def test_a_key_may_hold_anything_that_has_a_fingerprint():
    assert fingerprint(Keyed([Keyed({"a": 1})])) == fingerprint(Keyed([Keyed({"a": 1})]))


def test_what_a_registered_function_makes_is_not_kept():
    """A list of many such objects takes no more memory than one of them."""
    alive: list[weakref.ref[Any]] = []

    def make(connection: Connection) -> Keyed:
        made = Keyed("x" * 100)
        alive.append(weakref.ref(made))
        return made

    register_fingerprint(Connection, make)
    left: list[int] = []
    register_fingerprint(Pooled, lambda _: left.append(living(alive)))
    fingerprint([*(Connection("a") for _ in range(5)), Pooled("b")])

    assert len(alive) == 5
    assert left == [0]


def living(references: list[weakref.ref[Any]]) -> int:
    return sum(each() is not None for each in references)


def test_a_key_without_a_fingerprint_is_named():
    with pytest.raises(UnhashableArgument, match=r"`value\[0\]\.__raycache_key__\(\)\[1\]` is of type _thread.lock"):
        fingerprint([Keyed((1, threading.Lock()))])


def test_a_function_that_fails_is_named_with_its_error():
    register_fingerprint(Connection, lambda connection: connection.port)

    with pytest.raises(UnhashableArgument, match=r"`value\['c'\]` .* raised AttributeError: .*port") as refused:
        fingerprint({"c": Connection("a")})

    assert isinstance(refused.value.__cause__, AttributeError)


def test_a_type_is_registered_by_name_before_it_is_there(monkeypatch):
    register_fingerprint("engines.parts.Engine", lambda engine: engine.power)
    parts = types.ModuleType("engines.parts")
    exec("import threading\nclass Engine:\n    lock = power = None", vars(parts))
    monkeypatch.setitem(sys.modules, "engines", types.ModuleType("engines"))
    monkeypatch.setitem(sys.modules, "engines.parts", parts)
    one, other = parts.Engine(), parts.Engine()
    one.power, one.lock, other.power, other.lock = 1, threading.Lock(), 1, threading.Lock()

    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("kind", [np.ndarray, "numpy.ndarray"])
def test_what_users_register_for_a_librarys_type_stays_when_the_library_turns_up(kind):
    found, handler = Registry(), registry.REGISTRY.find(Connection)
    found.add(kind, handler)
    found.find(np.float64)

    assert found.find(np.ndarray) is handler


def test_a_name_that_is_no_type_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "engines", types.ModuleType("engines"))
    register_fingerprint("engines.Missing", lambda value: 1)

    assert fingerprint(Keyed(3)) == fingerprint(Keyed(3))


@pytest.mark.parametrize(("kind", "fn"), [(3, len), ("Engine", len), (Connection(""), len), (Connection, "url")])
def test_what_is_no_type_or_no_function_is_refused(kind, fn):
    with pytest.raises(InvalidOption, match="pass a"):
        register_fingerprint(kind, fn)


@pytest.mark.parametrize("kind", [str, int, type(None), bytes, float])
def test_the_fingerprint_of_a_plain_type_is_fixed(kind):
    with pytest.raises(InvalidOption, match="is fixed"):
        register_fingerprint(kind, lambda value: 1)


def test_an_object_ref_counts_by_its_id(monkeypatch):
    """What it refers to never changes. Ray is found only if the program has imported it."""

    class ObjectRef(Connection):
        def hex(self) -> str:
            return self.url

    raylet = types.ModuleType("ray._raylet")
    raylet.ObjectRef = ObjectRef
    monkeypatch.setitem(sys.modules, "ray._raylet", raylet)
    standard.register(registry.REGISTRY)

    assert fingerprint(ObjectRef("a")) == fingerprint([ObjectRef("a")][0]) != fingerprint(ObjectRef("b"))


def test_a_handler_writes_what_it_likes():
    def handler(value: Connection, encoder: Encoder) -> None:
        encoder.tag(b"connection")
        encoder.data(value.url.encode())
        encoder.value([value.url], ".url")

    register_handler(Connection, handler)

    assert fingerprint(Connection("a")) == fingerprint(Pooled("a")) != fingerprint(Connection("b"))


def test_a_handler_of_content_has_subclasses_told_apart():
    register_handler(Connection, lambda value, encoder: encoder.value(value.url), content=True)
    pooled, other = Pooled("a"), Pooled("a")
    del pooled.lock, other.lock

    assert fingerprint(pooled) == fingerprint(other) != fingerprint(Connection("a"))

    other.size = 2

    assert fingerprint(pooled) != fingerprint(other)


def test_a_refusal_of_a_handler_gives_its_reason_and_remedy():
    def handler(value: Connection, encoder: Encoder) -> None:
        raise Refused(value, "is closed", "open it")

    register_handler(Connection, handler)

    with pytest.raises(UnhashableArgument, match=r"^`value\[0\]` is closed; open it$"):
        fingerprint([Connection("a")])


def test_classes_that_come_and_go_are_not_kept_for_ever(monkeypatch):
    """A notebook makes a class anew with every run of its cell."""
    monkeypatch.setattr(registry, "_REMEMBERED_TYPES", 3)
    for _ in range(10):
        registry.REGISTRY.find(type("Cell", (), {}))

    assert len(registry.REGISTRY._found) <= 3


def test_many_threads_find_one_handler():
    kinds = [type(f"Kind{number}", (Keyed,), {}) for number in range(50)]
    found: list[Any] = []
    start = threading.Barrier(8)

    def look() -> None:
        start.wait()
        found.append([registry.REGISTRY.find(kind) for kind in kinds])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert all(each == found[0] for each in found)


class Large:
    """Immutable, as far as the test goes."""


@pytest.fixture
def made() -> list[Any]:
    return []


def test_a_remembered_digest_is_made_once(made):
    remembered, value = RememberedDigests(), Large()
    digests = [remembered.digest(value, 1, lambda value: made.append(id(value)) or b"d") for _ in range(3)]

    assert digests == [b"d"] * 3
    assert len(made) == 1


def test_a_remembered_digest_counts_for_one_form(made):
    remembered, value = RememberedDigests(), Large()
    for form in (1, 1, 2, 2):
        remembered.digest(value, form, lambda value: made.append(form) or b"")  # noqa: B023

    assert made == [1, 2]


def test_remembered_digests_are_bounded_and_the_oldest_goes(made):
    remembered, values = RememberedDigests(limit=2), [Large() for _ in range(3)]
    for value in [*values, values[2], values[0]]:
        remembered.digest(value, None, lambda value: made.append(value) or b"")

    assert len(remembered) == 2
    assert made == [*values, values[0]]


def test_a_remembered_digest_is_gone_with_its_value():
    """And never serves another value that has got the same place in memory."""
    remembered = RememberedDigests()
    for number in range(100):
        value = Large()
        expected = str(number).encode()

        assert remembered.digest(value, None, lambda _: expected) == expected  # noqa: B023

        alive = weakref.ref(value)
        del value

        assert alive() is None
        assert len(remembered) == 0


def test_the_counts_of_a_container_subclass_are_its_own():
    class Bag(collections.Counter):
        pass

    assert fingerprint(Bag("aab")) == fingerprint(Bag("aba")) != fingerprint(collections.Counter("aab"))
