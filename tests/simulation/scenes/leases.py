"""Scenes of shards that are cut off, given up or killed, and of what they serve before and after they come back."""

from __future__ import annotations

from stage import Stage


def cut_off(stage: Stage) -> None:
    """A node is cut off from all others; its clients go on with what they have for as long as they may."""
    stage.start("n0", "n1")
    near, there = stage.key("n0"), stage.key("n1")
    stage.store("n1", near)
    stage.store("n0", there)
    stage.cut("n1")
    stage.remove("n0", near)
    stage.remove("n0", there)
    stage.get("n1", near)
    stage.get("n1", there)


def silent_but_leased(stage: Stage) -> None:
    """A shard does not answer a client, but has renewed its lease just now."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n1", key)
    stage.cut("n0", "n1")
    stage.remove("n0", key)
    stage.get("n1", key)


def directory_restarts_during_a_removal(stage: Stage) -> None:
    """The directory that has granted a lease is not the one that is asked to end it."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n1", key)
    stage.cut("n0", "n1")
    removed = stage.begin("remove", "n0", key)
    stage.sleep(2.6)
    stage.cut("n1", "dir")
    stage.restart_directory()
    removed()
    stage.get("n1", key)


def reads_the_slot_before_it_is_bumped(stage: Stage) -> None:
    """A get is paused at its look at the slot, until its shard has come back and has a lease again."""
    client, armed = stage.client("n1"), []

    def pause() -> None:
        if armed and stage.kernel.running is not None and stage.kernel.running.process is client:
            armed.clear()
            client.stop(stage.kernel.now + 6.0)
            stage.join("n1")
            stage.kernel.sleep(0.0)

    stage.on_slot("n1", pause)
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n1", key)
    stage.cut("n1")
    stage.remove("n0", key)
    armed.append(True)
    stage.get("n1", key)


def serves_without_a_lease(stage: Stage) -> None:
    """A shard that was given up is still asked by a client on its node."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    stage.cut("n1")
    stage.remove("n0", key)
    stage.get("n1", key)


def serves_pages_without_a_lease(stage: Stage) -> None:
    """A shard that was given up is still connected to a client on another node."""
    stage.start("n0", "n1")
    key = _given_up(stage)
    stage.get("n2", key)


def has_another_lease_when_it_has_read(stage: Stage) -> None:
    """A shard that was given up reads its pages, and becomes a member anew before the answer goes out."""
    stage.start("n0", "n1")
    key = _given_up(stage)

    def become_a_member() -> None:
        stage.client("n2").stop(stage.kernel.now + 12.0)  # it does not see that the answer takes long
        stage.come_back("n1")

    stage.on_read("n1", become_a_member)
    stage.get("n2", key)


def _given_up(stage: Stage) -> str:
    """A removed key that is still in the pages of a shard, n1, which does not know that it is no member any more. A
    client on n2 reaches it, and does not know either."""
    key = stage.key("n1")
    stage.store("n2", key)
    stage.serve_pages()
    stage.cut("n1", "n0", "dir")
    stage.remove("n0", key)
    return key


def all_known_shards_are_out(stage: Stage) -> None:
    """A client knows only shards that were given up since, and not the one that has taken their place."""
    stage.start("n0", "n1")
    stage.store("n0", stage.key("n0"))
    stage.cut("n0", "dir")
    stage.cut("n1", "dir")
    stage.members()
    stage.start("n2")
    key = stage.key("n2")
    stage.get("n2", key)
    removed = stage.begin("remove", "n0", key)
    stage.sleep(1.0)
    stage.join("n0")
    removed()
    stage.get("n2", key)


def joiner_that_a_member_does_not_know(stage: Stage) -> None:
    """A shard joins when the only member cannot be told."""
    stage.start("n0")
    stage.get("n0", stage.key("n0"))
    stage.sleep(1.0)
    stage.cut("n0", "dir")
    stage.hold("Adopt", source="n1")  # which would tell it
    stage.shard("n1").start()
    stage.until(lambda: len(stage.ring.members) == 2)
    key = stage.key("n1")
    stage.sleep(0.3)
    stage.refresh("n1")
    stage.get("n1", key)
    stage.remove("n0", key)
    stage.get("n1", key)


def returns_after_it_was_given_up(stage: Stage) -> None:
    """A shard was killed, and comes back when it is no member any more, with pages that are out of date."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    stage.shard("n1").kill()
    stage.remove("n0", key)
    stage.start("n1")
    stage.get("n1", key)
    stage.get("n0", key)


def load_outlives_its_life(stage: Stage) -> None:
    """A load goes on while its shard is given up and comes back."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.load_takes(9.0)
    stage.begin_get("n0", key)
    stage.sleep(0.5)
    stage.load_takes(0.1)
    stage.cut("n1")
    stage.remove("n0", key)
    stage.come_back("n1")
    stage.sleep(9.0)
    stage.get("n0", key)
    stage.get("n2", key)


def killed_with_its_new_ticket(stage: Stage) -> None:
    """A shard dies at the moment at which it has written down its new ticket, and comes back after a removal."""
    shard = stage.shard("n1")
    stage.start("n0", "n1")
    near, there = stage.key("n0"), stage.key("n1")
    stage.store("n0", near)
    stage.store("n0", there)
    stage.on_ticket("n1", lambda: stage.kernel.kill(shard))
    stage.fence("n1")
    stage.until(lambda: not shard.up)
    stage.get("n1", near)
    stage.remove("n0", near)
    stage.remove("n0", there)
    stage.start("n1")
    stage.get("n1", near)
    stage.get("n2", there)
