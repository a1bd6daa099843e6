"""Large values that change owners: they travel by reference, and then get memory of their new owner's."""

from __future__ import annotations

import pytest
from shard_bench import full
from shards_bench import ShardsBench

from raycache.core.codec import Blob
from raycache.core.messages import Large, Missing

VALUE = bytes(200_000)


@pytest.fixture
def shards(tmp_path, clock):
    """A large value has just come from a to b."""
    shards = ShardsBench(tmp_path, a=clock, b=clock)
    shards.define(capacity_bytes=1_000_000)
    shards.join("a")
    shards.set("large", VALUE)
    shards.weigh({"a": 0.0, "b": 1.0})
    yield shards
    shards.close()


def held(shard):
    """What stands for the value."""
    (item,) = shard.peek("large", epoch=2, standin=True)
    assert isinstance(item, Large)
    return item.value


def test_a_large_value_travels_as_what_stands_for_it(shards):
    value = held(shards["a"])
    shards.hand_over()

    assert shards.where("large") == ["b"]
    assert held(shards["b"]) is value
    assert (shards["a"].info().bytes, shards["b"].info().bytes > len(VALUE)) == (0, True)


def test_it_is_borrowed_until_the_new_owner_has_it_in_its_own_memory(shards):
    shards.hand_over()
    ((key, borrowed),) = shards["b"].shard.borrowed()

    assert (key, shards["b"].shard.hello().handing, shards["b"].shard.handing) == (full("large"), True, False)
    shards["b"].shard.own(key, borrowed, borrowed[0])
    assert (shards["b"].shard.borrowed(), shards["b"].shard.hello().handing) == ([], False)
    assert held(shards["b"]) is not borrowed
    assert held(shards["b"]) == (Blob(0, (VALUE,)),)


def test_a_borrowed_value_that_is_lost_is_not_there(shards):
    shards.hand_over()
    shards["b"].shard.own(*shards["b"].shard.borrowed()[0], None)

    assert (shards["b"].peek("large", epoch=2), shards["b"].info().bytes) == ([Missing()], 0)


MEANWHILE = {
    "removed": lambda shards: shards.remove("large"),
    "replaced by a small one": lambda shards: shards.set("large", "small"),
    "replaced by a large one": lambda shards: shards.set("large", bytes(300_000)),
    "dropped with a life": lambda shards: shards["b"].join(shards.ring),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
@pytest.mark.parametrize("lost", [False, True], ids=["", "lost"])
def test_a_borrowed_value_that_was_replaced_is_not_owned(shards, meanwhile, lost):
    shards.hand_over()
    ((key, borrowed),) = shards["b"].shard.borrowed()
    meanwhile(shards)
    before = shards["b"].peek("large", epoch=2)
    shards["b"].shard.own(key, borrowed, None if lost else borrowed[0])

    assert shards["b"].peek("large", epoch=2) == before
    assert shards["b"].shard.borrowed() == []


def test_what_is_not_borrowed_any_more_is_not_owned_twice(shards):
    shards.hand_over()
    ((key, borrowed),) = shards["b"].shard.borrowed()
    shards["b"].shard.own(key, borrowed, borrowed[0])
    own = held(shards["b"])
    shards["b"].shard.own(key, borrowed, None)

    assert held(shards["b"]) is own


def test_a_large_value_that_does_not_fit_at_its_new_owner_is_let_go(tmp_path, clock):
    shards = ShardsBench(tmp_path, a=clock, b=clock)
    shards.join("a")
    shards["a"].define(capacity_bytes=1_000_000)
    shards.set("large", VALUE)
    shards.weigh({"a": 0.0, "b": 1.0})
    shards["b"].define(capacity_bytes=1000)
    shards.hand_over()

    assert (shards.where("large"), shards["b"].shard.borrowed(), shards["b"].info().bytes) == ([], [], 0)
    shards.close()
