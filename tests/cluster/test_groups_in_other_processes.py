"""Groups travel into tasks and actors, are joined by name, and are the same everywhere or a conflict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import ray
from peers import Peers, attempt
from sources import Source

import raycache


def test_a_group_may_be_an_argument_of_a_task(users: raycache.Group, source: Source) -> None:
    """And be in the closure of one."""

    @ray.remote(num_cpus=0)
    def argument(group: raycache.Group) -> Any:
        return group.name, group.get("alice")

    @ray.remote(num_cpus=0)
    def closure() -> Any:
        return users.name, users.get("alice")

    answers = ray.get([argument.remote(users), closure.remote()], timeout=60)

    assert answers == [(users.name, Source.value("alice"))] * 2
    assert source.runs == {"'alice'": 1}


def test_a_group_may_be_kept_by_an_actor_and_come_back(users: raycache.Group, peers: Peers) -> None:
    """Here it is the very group that this process has."""
    (peer,) = peers(1)

    assert peer.do(lambda: users) is users


def test_a_process_that_connects_again_has_the_same_cache(cache: raycache.Cache, peers: Peers) -> None:
    """Here and in others."""
    name = cache.name

    assert raycache.connect(name) is cache
    assert peers(1)[0].do(lambda: raycache.connect(name) is raycache.connect(name))


def test_a_group_is_joined_by_its_name_alone(
    cache: raycache.Cache, users: raycache.Group, source: Source, peers: Peers
) -> None:
    """Also where its getter was never seen."""
    name, group = cache.name, users.name

    assert cache.group(group) is users
    assert peers(1)[0].do(lambda: raycache.connect(name).group(group).get("alice")) == Source.value("alice")
    assert group in cache.groups()


def test_an_unknown_group_is_refused_with_the_names_of_those_there_are(
    cache: raycache.Cache, users: raycache.Group
) -> None:
    """It is another error than a missing key's."""
    with pytest.raises(raycache.UnknownGroup, match=rf"no group 'friends' .*'{users.name}'") as caught:
        cache.group("friends")

    assert not isinstance(caught.value, raycache.NotFound)


def register_elsewhere(cache: str, group: str, getter: Any = None, **options: Any) -> str:
    return raycache.connect(cache).group(group, getter, **options).name


def one(key: str) -> str:
    return f"one {key}"


def other(key: str) -> str:
    return f"other {key}"


def test_another_getter_from_another_process_is_a_conflict(
    cache: raycache.Cache, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """Which names both; the same getter agrees."""
    group, (peer,) = register(one), peers(1)
    conflict = peer.do(attempt, register_elsewhere, cache.name, group.name, other, capacity="4 MiB")

    assert conflict.error is raycache.GroupConflict
    assert "other here" in conflict.message
    assert "one there" in conflict.message
    assert peer.do(register_elsewhere, cache.name, group.name, one, capacity="4 MiB") == group.name


def test_other_options_from_another_process_are_a_conflict(
    cache: raycache.Cache, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """Which names each difference with both values."""
    group = register(one, ttl=60)
    conflict = peers(1)[0].do(attempt, register_elsewhere, cache.name, group.name, one, capacity="4 MiB", ttl=5)

    assert conflict.error is raycache.GroupConflict
    assert "ttl_s: 5.0 here, 60.0 there" in conflict.message
    assert "capacity" not in conflict.message


def test_a_replaced_group_has_the_new_definition_and_nothing_old(
    cache: raycache.Cache, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """In every process; the entries of the old one are gone from the books."""
    old, (peer,) = register(one), peers(1)
    before = [old.get("alice"), peer.do(old.get, "alice")]
    new = cache.group(old.name, other, capacity="4 MiB", replace=True)
    after = [new.get("alice"), peer.do(new.get, "alice")]

    assert before == ["one alice"] * 2
    assert after == ["other alice"] * 2
    assert len(new) == 1


@pytest.mark.parametrize("key", ["near", "unseen"])
@pytest.mark.parametrize(
    "use",
    [
        raycache.Group.get,
        raycache.Group.peek,
        raycache.Group.refresh,
        raycache.Group.remove,
        lambda group, key: group.set(key, 1),
        lambda group, key: group.clear(),
    ],
    ids=["get", "peek", "refresh", "remove", "set", "clear"],
)
def test_a_handle_of_a_replaced_group_is_a_conflict(
    use: Callable[[raycache.Group, str], Any],
    key: str,
    cache: raycache.Cache,
    register: Callable[..., raycache.Group],
) -> None:
    """It neither returns what the old group had, nor lets its user believe that something was changed."""
    old = register(one)
    old.get("near")
    cache.group(old.name, other, capacity="4 MiB", replace=True).get("near")

    with pytest.raises(raycache.GroupConflict, match="replace=True"):
        use(old, key)


def test_a_group_that_does_not_fit_is_refused_with_the_numbers(make_cache: Callable[..., raycache.Cache]) -> None:
    """What it asks for, what the shard has, what is left, and who has the rest."""
    cache = make_cache(capacity="10 MiB")
    cache.group("users", None, capacity="6 MiB")
    with pytest.raises(raycache.CapacityError) as caught:
        cache.group("friends", None, capacity="5 MiB")
    message = str(caught.value)

    assert [number in message for number in ("5,242,880", "10,485,760", "4,194,304", "users 6,291,456")] == [True] * 4
    assert cache.group("friends", None, capacity="4 MiB").name == "friends"
