"""Scenes of entries that are on their way to a new owner when they are removed."""

from __future__ import annotations

from collections.abc import Callable

from stage import Stage


def _moves(stage: Stage, behind: bool = False) -> tuple[str, Callable[[], None]]:
    """A key's entry is on its way from n0 to n1; what lets it arrive."""
    stage.start("n0", "n1")
    key = stage.key("n0", then="n1", n0=0.125)
    stage.store("n0", key)
    stage.get("n0", stage.key("n1"))  # so that it knows the group
    if behind:
        stage.cut("n1", "dir")
    held = stage.hold("Adopt", source="n0", target="n1")
    stage.weigh(n0=0.125)
    stage.until(lambda: len(held) > 0)
    return key, held.release


def entry_arrives_after_its_removal(stage: Stage) -> None:
    """An entry is on its way to its new owner when it is removed."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


def new_owner_is_behind(stage: Stage) -> None:
    """The new owner is told of the removal before it knows that it is the owner."""
    key, arrive = _moves(stage, behind=True)
    stage.remove("n0", key)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


def new_owner_is_restarted(stage: Stage) -> None:
    """It has forgotten what was removed."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    stage.shard("n1").kill()
    stage.start("n1")
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


def new_owner_is_restarted_unheard(stage: Stage) -> None:
    """It has forgotten what was removed, still has a lease, and cannot ask the directory."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    stage.shard("n1").kill()
    stage.cut("n1", "dir")
    stage.shard("n1").start()
    arrive()
    stage.sleep(0.3)
    stage.get("n2", key)


def ring_changes_again(stage: Stage) -> None:
    """The entry arrives in an epoch that began after the removal."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    stage.weigh(n1=2.0)
    stage.until(lambda: stage.shard("n1").shard.epoch == stage.ring.epoch)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


def entry_arrives_in_the_next_life(stage: Stage) -> None:
    """Its new owner has been given up, and has just begun anew when the entry arrives."""
    key, arrive = _moves(stage)
    stage.cut("n1")
    stage.remove("n0", key)
    stage.on_ticket("n1", arrive)
    stage.come_back("n1")
    stage.sleep(0.5)
    stage.get("n2", key)
