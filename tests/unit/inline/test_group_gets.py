"""Reading a group, in both faces."""

from __future__ import annotations

from collections import Counter

import pytest

from raycache import InvalidKey, NotFound

KEYS = ["a", b"a", 1, 1.0, True, ("a", 1), ("a", ("b", 2.5)), -7, "\U0001f600"]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_get_returns_what_the_getter_returns_for_this_very_key(call, group, getter, key):
    assert call(group, "get", key) == f"value of {key!r}"
    assert call(group, "get", key) == f"value of {key!r}"
    assert getter.calls == [key]


def test_keys_that_are_equal_to_python_have_values_of_their_own(call, group, getter):
    alike = [1, 1.0, True, "1", b"1", (1,), (1.0,), (True,)]
    for _ in range(2):
        assert [call(group, "get", key) for key in alike] == [f"value of {key!r}" for key in alike]

    assert len(getter.calls) == len(alike)


def test_get_many_returns_values_in_the_order_asked(call, group, getter):
    call(group, "get", "c")
    names = ["d", "a", "c", "b", "a"]

    assert list(call(group, "get_many", names).items()) == [(name, f"value of {name!r}") for name in "dacb"]
    assert sorted(getter.calls) == ["a", "b", "c", "d"]


def test_get_many_takes_any_iterable_and_an_empty_one(call, group, getter):
    assert call(group, "get_many", (name for name in "ab")) == {"a": "value of 'a'", "b": "value of 'b'"}
    assert (call(group, "get_many", []), len(getter.calls)) == ({}, 2)


def test_a_key_that_does_not_exist_raises_with_the_getters_message(call, group, getter):
    getter.values["a"] = NotFound("no user 'a' in the database")

    for method, asked in (("get", "a"), ("get_many", ["b", "a"])):
        with pytest.raises(NotFound, match=r"^no user 'a' in the database$"):
            call(group, method, asked)


def test_a_key_that_does_not_exist_gives_the_default_where_there_is_one(call, group, getter):
    getter.values["a"] = NotFound("no")

    assert call(group, "get", "a", None) is None
    assert call(group, "get", "a", default="nobody") == "nobody"
    assert call(group, "get_many", ["a", "b"], default=0) == {"a": 0, "b": "value of 'b'"}


def test_a_getters_exception_is_not_hidden_by_a_default(call, group, getter):
    getter.values["a"] = ValueError("source is down")

    with pytest.raises(ValueError, match="source is down"):
        call(group, "get", "a", default=None)


def test_get_many_raises_the_first_error_in_order_when_the_others_are_loaded(call, group, getter):
    getter.values |= {"b": ValueError("b"), "c": ValueError("c")}

    with pytest.raises(ValueError, match=r"^c\n"):
        call(group, "get_many", ["a", "c", "b", "d"])
    assert group.peek("d") == "value of 'd'"


def test_a_peek_never_loads(call, group, getter):
    assert call(group, "peek", "a") is None
    assert call(group, "peek", "a", default="none") == "none"
    assert getter.calls == []


def test_a_peek_returns_what_is_there(call, group):
    group.get("a")
    group.set("b", None)

    assert call(group, "peek", "a", default="none") == "value of 'a'"
    assert call(group, "peek", "b", default="none") is None


def test_in_tells_what_is_there_and_loads_nothing(call, group, getter):
    group.set("a", None)

    assert call(group, "contains", "a") is True
    assert call(group, "contains", "b") is False
    assert getter.calls == []


def test_a_remembered_missing_key_is_no_value(call, cache, getter):
    group = cache.group("g", getter, negative_ttl=60)
    getter.values["a"] = NotFound("no")
    for _ in range(2):
        assert call(group, "get", "a", default=None) is None

    assert call(group, "contains", "a") is False
    assert call(group, "peek", "a", default="none") == "none"
    assert getter.calls == ["a"]


def test_keys_are_those_that_are_there(call, group):
    for key in (*KEYS, "b"):
        group.get(key)
    group.remove("b")

    assert sorted(map(repr, call(group, "keys"))) == sorted(map(repr, KEYS))
    assert call(group, "len") == len(KEYS)


PREFIXES = {
    "us": ["us", "user", "users"],
    "": ["a", "us", "user", "users"],
    b"u": [b"us"],
    ("a",): [("a", 1), ("a", 2)],
}


@pytest.mark.parametrize(("prefix", "found"), PREFIXES.items(), ids=repr)
def test_keys_can_be_asked_for_by_prefix(call, group, prefix, found):
    group.set_many(dict.fromkeys(["us", "user", "users", "a", b"us", ("a", 1), ("a", 2), ("ab", 1), 1], 0))

    assert sorted(call(group, "keys", prefix=prefix)) == found


def test_keys_of_one_group_are_not_of_another(call, cache):
    one, two = cache.group("one", None), cache.group("two", None)
    one.set("a", 1)
    two.set_many({"a": 2, "b": 2})

    assert (call(one, "keys"), sorted(call(two, "keys"))) == (["a"], ["a", "b"])
    assert (call(one, "get", "a"), call(two, "get", "a"), call(one, "len")) == (1, 2, 1)


def test_more_keys_than_one_message_holds_are_all_given(call, inline):
    group = inline(shards=2, capacity="64 MiB").group("g", None)
    group.set_many(dict.fromkeys(range(25_000), 0))

    assert sorted(call(group, "keys")) == list(range(25_000))
    assert call(group, "len") == 25_000


def test_the_owner_of_a_key_is_the_shard_that_has_it(cache, group):
    """A peer, as the family calls it; its record is among those of all shards."""
    for key in range(60):
        group.set(key, "value")

    assert Counter(map(group.owner, range(60))) == {shard.id: shard.entries for shard in cache.shards()}


def test_an_empty_group_is_true(group):
    assert group
    assert len(group) == 0


@pytest.mark.parametrize("key", [None, ["a"], "", b"", (), ("a", None), {"a": 1}], ids=repr)
@pytest.mark.parametrize("method", ["get", "peek", "contains", "remove", "refresh"])
def test_what_is_no_key_is_refused_everywhere(call, group, getter, method, key):
    with pytest.raises(InvalidKey) as refused:
        call(group, method, key)

    assert repr(key) in str(refused.value)
    assert getter.calls == []


def test_one_bad_key_among_many_is_refused_and_nothing_loaded(call, group, getter):
    with pytest.raises(InvalidKey, match="None"):
        call(group, "get_many", ["a", None])
    with pytest.raises(InvalidKey, match="None"):
        call(group, "set_many", {"a": 1, None: 2})
    with pytest.raises(InvalidKey, match="None"):
        call(group, "remove_many", ["a", None])

    assert (getter.calls, len(group)) == ([], 0)


def test_values_of_a_batch_getter_come_in_as_few_calls_as_it_allows(call, inline):
    calls = []

    def fetch_all(keys):
        calls.append(list(keys))
        return {key: key.upper() for key in keys if key != "x"}

    group = inline(max_loads=1).group("g", batch_getter=fetch_all, batch_size=3)

    assert call(group, "get_many", list("abcdx"), default=None) == {key: key.upper() for key in "abcd"} | {"x": None}
    assert sorted(len(each) for each in calls) == [2, 3]
    assert sorted(key for each in calls for key in each) == list("abcdx")


def test_an_async_getter_is_awaited(call, cache):
    async def fetch(key):
        return key.upper()

    group = cache.group("g", fetch)

    assert call(group, "get_many", ["a", "b"]) == {"a": "A", "b": "B"}
