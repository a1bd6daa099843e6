"""Scenes of what is promised about time: a value would be right without it, and come too late."""

from __future__ import annotations

from stage import Stage


def comes_back_at_once(stage: Stage) -> None:
    """A shard that was fenced gives up its lease by itself: nobody waits for the end of that."""
    stage.start("n0", "n1")
    old = stage.ring.lives["n1.0"]
    stage.fence("n1")
    stage.within(1.5, "a new life", lambda: stage.ring.lives.get("n1.0", old) != old and stage.leased("n1"))


def out_for_a_moment(stage: Stage) -> None:
    """Shards that have no lease for some seconds keep what they have: they are asked again, and not given up."""
    stage.start("n0", "n1")
    key, lives = stage.key("n0"), stage.ring.lives
    stage.get("n0", key)
    stage.directory.kill()
    stage.until(lambda: not stage.leased("n0") and not stage.leased("n1"))
    removed = stage.begin("remove", "n0", key)
    stage.sleep(2.5)
    stage.directory.start()
    removed()
    stage.promise("shards keep their lives", stage.ring.lives == lives)


def the_end_of_a_load_is_not_heard_of(stage: Stage) -> None:
    """Not when its shard repeats it either: who waits for it asks for the key again."""
    stage.start("n0", "n1")
    stage.lose_ends_of_loads()
    got = stage.begin_get("n1", stage.key("n0"))
    stage.within(4.0, "a get of a value that is there", lambda: got.ended)
