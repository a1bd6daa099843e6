"""What bad use gets: an error that names the value and the remedy, and nothing lost."""

from __future__ import annotations

import errno
import os
import pickle
import threading

import pytest

import raycache
from raycache import (
    CacheUnavailable,
    CapacityError,
    GroupConflict,
    InvalidOption,
    UncacheableValue,
    UnknownGroup,
    ValueTooLarge,
)


def other(key):
    return key


def test_an_unknown_group_is_named_with_those_there_are(cache, getter):
    with pytest.raises(UnknownGroup, match=r"no group 'users' .*\(groups: none\).*getter="):
        cache.group("users")
    cache.group("b", getter)
    cache.group("a", getter)

    with pytest.raises(UnknownGroup, match=r"groups: 'a', 'b'"):
        cache.group("users")


def test_a_group_that_is_registered_again_alike_is_the_same(cache, getter):
    group = cache.group("users", getter, ttl="5m")

    assert cache.group("users", getter, ttl=300) is group
    assert cache.group("users") is group


def test_a_group_with_another_getter_is_refused_and_the_first_goes_on(cache, getter):
    group = cache.group("users", getter)
    with pytest.raises(GroupConflict, match=r"'users' is registered already.*other here, .*Getter there.*replace=True"):
        cache.group("users", other)

    assert group.get("a") == "value of 'a'"


OPTIONS = {"ttl": 5, "capacity": 1000, "negative_ttl": "1m", "near": 0, "batch_size": 7, "ttl_jitter": 0.5}


@pytest.mark.parametrize(("name", "value"), OPTIONS.items())
def test_a_group_with_another_option_is_refused_and_the_option_named(cache, getter, name, value):
    cache.group("users", getter)
    with pytest.raises(GroupConflict, match=name):
        cache.group("users", getter, **{name: value})


def test_a_group_can_be_replaced_and_the_old_handle_says_so(call, cache, getter):
    old = cache.group("users", getter)
    old.get("a")
    new = cache.group("users", other, replace=True)

    assert call(new, "get", "a") == "a"
    for method, arguments in {"get": ["b"], "set": ["b", 1], "refresh": ["a"]}.items():
        with pytest.raises(GroupConflict, match=r"registered anew .*cache.group\('users'\)"):
            call(old, method, *arguments)
    assert call(new, "keys") == ["a"]


def test_a_capacity_that_does_not_fit_is_refused_with_the_numbers(inline, getter):
    cache = inline(capacity="4 MiB")
    cache.group("users", getter, capacity="3 MiB")
    with pytest.raises(CapacityError, match=r"2,097,152 bytes .*4,194,304.*1,048,576 are left.*users 3,145,728"):
        cache.group("more", getter, capacity="2 MiB")

    assert cache.groups() == ["users"]


def test_setting_a_value_that_is_too_large_is_refused_and_the_old_one_stays(call, cache):
    group = cache.group("g", None, capacity=1000)
    call(group, "set", "a", "old")
    with pytest.raises(ValueTooLarge, match=r"'a' takes 2,\d\d\d bytes.*'g' has 1,000 per shard.*capacity="):
        call(group, "set", "a", bytes(2000))

    assert call(group, "get", "a") == "old"


def test_setting_what_cannot_be_pickled_is_refused_and_the_old_one_stays(call, cache):
    group = cache.group("g", None)
    call(group, "set", "a", "old")
    with pytest.raises(UncacheableValue, match="lock cannot be pickled"):
        call(group, "set", "a", threading.Lock())

    assert call(group, "get", "a") == "old"


def test_a_getter_that_returns_what_cannot_be_pickled_is_told_so(call, cache):
    group = cache.group("g", lambda key: threading.Lock())
    with pytest.raises(UncacheableValue, match="lock cannot be pickled"):
        call(group, "get", "a")

    assert len(group) == 0


def test_a_ttl_that_is_no_time_is_refused(call, group):
    with pytest.raises(InvalidOption, match="ttl='soon'"):
        call(group, "set", "a", 1, ttl="soon")
    with pytest.raises(InvalidOption, match="timeout='soon'"):
        call(group, "get", "a", timeout="soon")

    assert len(group) == 0


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_name_that_is_no_text_is_refused(cache, name):
    with pytest.raises(InvalidOption, match="name="):
        cache.group(name, other)
    with pytest.raises(InvalidOption, match="name="):
        raycache.connect(name, address="inline")


def test_a_getter_that_cannot_be_called_is_refused(cache):
    with pytest.raises(InvalidOption, match="getter=7 is not callable"):
        cache.group("g", 7)
    with pytest.raises(InvalidOption, match="a getter or a batch_getter, not both"):
        cache.group("g", other, batch_getter=other)

    assert cache.groups() == []


def test_a_clock_is_for_inline_caches_alone(clock):
    with pytest.raises(InvalidOption, match="clock="):
        raycache.connect(clock=clock)


def test_a_group_of_an_inline_cache_cannot_travel(group):
    with pytest.raises(TypeError, match="inline cache, which other processes cannot reach"):
        pickle.dumps(group)


def test_a_closed_cache_says_so(cache, getter):
    cache.group("users", getter)
    cache.close()

    for ask in (cache.groups, cache.shards, lambda: cache.group("users"), lambda: cache.group("new", getter)):
        with pytest.raises(CacheUnavailable, match="'default' is closed in this process; connect again"):
            ask()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("change", ["set", "remove", "clear"])
def test_changing_a_group_of_a_closed_cache_is_refused_at_once(call, cache, getter, change):
    group = cache.group("users", getter)
    cache.close()
    arguments = {"set": ("a", 1), "remove": ("a",), "clear": ()}[change]
    with pytest.raises(CacheUnavailable):
        call(group, change, *arguments)


def test_shared_memory_that_is_full_makes_values_uncached_and_nothing_fails(call, inline, getter, monkeypatch):
    cache = inline()
    group = cache.group("g", getter, near=0)
    group.set("kept", 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    getter.values["a"] = bytes(90_000)
    values = [call(group, "get_many", [f"key-{number}" for number in range(40)]) for _ in range(2)]
    large = [call(group, "get", "a") for _ in range(30)]

    assert values[0] == values[1] == {f"key-{number}": f"value of 'key-{number}'" for number in range(40)}
    assert large == [bytes(90_000)] * 30
    call(group, "remove", "a")
    assert call(group, "peek", "a") is None


def test_a_forked_child_cannot_use_an_inline_cache_and_the_parent_goes_on(python):
    program = """
import os, raycache
cache = raycache.connect(address="inline", capacity="1 MiB")
group = cache.group("g", str.upper)
group.set("a", "set")
child = os.fork()
if child == 0:
    try:
        group.get("b")
    except raycache.CacheUnavailable as error:
        os._exit(0 if "connect again after a fork" in str(error) else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), group.get("a"), group.get("b"))
cache.destroy()
"""

    assert python(program) == "0 set B"
