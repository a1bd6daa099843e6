"""Keys of every kind, through loads, pages, near caches, removal and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peers import Peers
from sources import Source

import raycache

ODD = [
    *(
        "a b/c,d",
        "+",
        "%",
        "%2F",
        "//x",
        "/",
        ".",
        "..",
        "\N{GRINNING FACE}",
        "é",
        "e\u0301",
        "\udcff",
        "\0",
        "\n",
        " ",
    ),
    *("x" * 600, "x" * 600 + "y", b"bytes", b"\xff\xfe\x00", b"1", "1", 1, True, 1.0, 0, False, -1, 2**80, 0.5),
    *(("a", "bc"), ("ab", "c"), ("a", ("b", 1)), ("a", ("b", True)), (b"a", 1, 2.5), ((),)),
]


def test_odd_keys_are_all_different_and_come_back_as_they_were(
    users: raycache.Group, source: Source, peers: Peers
) -> None:
    """Each is loaded once, and given by keys() as it is."""
    (peer,) = peers(1)
    mine = [users.get(key) for key in ODD]
    theirs = [peer.do(users.get, key) for key in ODD]
    listed = list(users.keys())

    assert mine == theirs == [Source.value(key) for key in ODD]
    assert source.runs == dict.fromkeys(map(repr, ODD), 1)
    assert sorted(map(repr, listed)) == sorted(map(repr, ODD))
    assert len(users) == len(ODD)


@pytest.mark.parametrize("key", ODD, ids=lambda key: ascii(key)[:20])
def test_an_odd_key_is_set_seen_removed_and_loaded_anew(
    key: Any, users: raycache.Group, source: Source, peers: Peers
) -> None:
    """By different processes in turn."""
    (peer,) = peers(1)
    users.set(key, "new")
    after_set = [users.get(key), peer.do(users.get, key), peer.do(users.peek, key)]
    removed = peer.do(users.remove, key)
    after_remove = [users.peek(key), peer.do(users.get, key), users.get(key)]

    assert after_set == ["new"] * 3
    assert removed
    assert after_remove == [None, Source.value(key), Source.value(key)]
    assert source.runs == {repr(key): 1}


@pytest.mark.parametrize("key", ["", b"", (), None, ["a"], {"a"}, "x" * 70_000, ("a", None)])
def test_what_is_no_key_is_refused(key: Any, users: raycache.Group, source: Source) -> None:
    """Before any shard or getter sees it."""
    for refuse in (users.get, users.remove, users.peek, lambda key: users.get_many([key]), users.refresh):
        with pytest.raises(raycache.InvalidKey):
            refuse(key)

    assert source.runs == {}


def test_group_names_may_have_any_characters(
    cache: raycache.Cache, source: Source, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """They are different groups, with the same keys."""
    names = ["/a//b/", "a b", "\N{GRINNING FACE}", "%", "..", "x" * 300]
    groups = [cache.group(name, None, capacity="1 MiB") for name in names]
    for group in groups:
        group.set("alice", group.name)

    assert [peers(1)[0].do(group.get, "alice") for group in groups] == names
