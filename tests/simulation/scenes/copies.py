"""Scenes of hot copies, which arrive when what they are copies of has been removed."""

from __future__ import annotations

from stage import Stage


def copy_arrives_between_the_rounds(stage: Stage) -> None:
    """A copy comes to a shard that has been told to delete the key, and whose slot is not bumped yet."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.remove("n0", key)  # all know the group now
    stage.store("n0", key)
    copies, bumps = stage.hold("Copy", target="n1"), stage.hold("Bump", target="n1")
    stage.want_copy("n1", key)
    stage.until(lambda: len(copies) > 0)
    removed = stage.begin("remove", "n0", key)
    stage.until(lambda: len(bumps) > 0)
    copies.release()
    stage.until(lambda: stage.copied("n1", key))
    bumps.release()
    removed()
    stage.begin_anew("n1")
    stage.get("n1", key)


def copied_answer_is_late(stage: Stage) -> None:
    """The answer that a shard wants to copy comes when the key has been removed."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.store("n0", key)
    stage.get("n1", key)
    stage.until(lambda: stage.asked("n1", key) == 1)
    stage.begin_anew("n1")
    stage.remove_before_the_answer("n1", key)
    stage.until(lambda: stage.asked("n1", key) == 2)
    stage.sleep(0.2)
    stage.begin_anew("n1")
    stage.get("n1", key)


def copy_arrives_in_the_next_life(stage: Stage) -> None:
    """A copy is held up until its node has lost its memory, and has new slots, which begin as the old ones did."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.store("n0", key)
    held = stage.hold("Copy", target="n1")
    stage.want_copy("n1", key)
    stage.catch(held)
    stage.shard("n1").end()
    stage.shard("n1").forget()
    stage.remove("n0", key)
    stage.start("n1")
    held.release()
    stage.sleep(0.2)
    stage.begin_anew("n1")
    stage.get("n1", key)
