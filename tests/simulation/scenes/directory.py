"""Scenes of a directory that is lost, and of a new one that knows nothing."""

from __future__ import annotations

from stage import Stage


def directory_is_lost(stage: Stage) -> None:
    """A new directory knows nothing of a shard that cannot reach it, but has a lease."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.store("n1", key)
    stage.cut("n1", "dir")
    stage.restart_directory(lost=True)
    stage.sleep(1.3)
    stage.remove("n0", key)
    stage.get("n1", key)


def epochs_begin_anew(stage: Stage) -> None:
    """A client knows a ring of the time before the directory was lost, with the number of one of the time after it."""
    stage.start("n1")
    stage.weigh(n1=0.5)
    stage.refresh("n1")
    stage.restart_directory(lost=True)
    stage.start("n0")
    stage.members("n0", "n1")
    stage.until(lambda: stage.leased("n0") and stage.leased("n1"))
    key = stage.key("n1")
    stage.store("n0", key)
    stage.remove("n1", key)
    stage.get("n0", key)
