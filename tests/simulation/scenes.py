"""Scenes: one history for each rule of the protocol that breaks a promise where the rule is left out.

The docstring of each says whose place it is that makes it hard. With all rules on, every scene ends well.
"""

from __future__ import annotations

from collections.abc import Callable

from stage import Stage

SCENES: dict[str, Callable[[Stage], None]] = {}


def scene(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
    SCENES[play.__name__] = play
    return play


# ------------------------------------------------------------------------------------- rounds of invalidations


@scene
def delete_is_late_at_the_owner(stage: Stage) -> None:
    """Others hear of a removal before the owner does; meanwhile a client on their node reads from the owner."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.remove("n0", key)  # all know the group now: nobody has to be asked twice
    stage.get("n1", key)
    held = stage.hold("Delete", target="n0")
    removed = stage.begin("remove", "n0", key)
    stage.until(lambda: len(held) > 0)
    stage.sleep(0.5)
    stage.get("n1", key)
    held.release()
    removed()
    stage.get("n1", key)


@scene
def answer_is_late(stage: Stage) -> None:
    """A get has been answered, but the answer comes when the key has been removed."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n0", key)
    held = stage.hold("Answers", source="n0", target="n1")
    got = stage.begin_get("n1", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    stage.remove("n0", key)
    held.release()
    got()
    stage.get("n1", key)


@scene
def load_is_late(stage: Stage) -> None:
    """A load has read the source before a removal, and ends after it."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.load_takes(2.0)
    got = stage.begin_get("n0", key)
    stage.sleep(0.5)
    stage.remove("n0", key)
    stage.get("n0", key)
    got()
    stage.get("n1", key)


@scene
def load_is_late_at_the_page_server(stage: Stage) -> None:
    """The same, and a get that has begun after the removal waits at the same page server for a load of its own."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.remove("n0", key)  # all know the group now
    stage.serve_pages()
    stage.load_takes(0.35)
    got = stage.begin_get("n0", key)
    stage.sleep(0.06)
    stage.remove("n0", key)
    stage.get("n0", key)
    got()


@scene
def joins_during_a_removal(stage: Stage) -> None:
    """A shard joins after the first round has asked its members, and reads from the one that does not hear of it."""
    stage.start("n0", "n1")
    key = stage.key("n1", then="n1", n2=1.0)
    stage.remove("n0", key)  # all know the group now
    stage.store("n1", key)
    life = stage.ring.lives["n1.0"]
    stage.cut("n0", "n1")
    removed = stage.begin("remove", "n0", key)
    stage.sleep(0.2)
    stage.start("n2")
    stage.get("n2", key)
    stage.until(lambda: stage.ring.lives.get("n1.0") != life)
    stage.join("n0", "n1")
    removed()
    stage.get("n2", key)


@scene
def knows_no_ring(stage: Stage) -> None:
    """A new client removes a key when it cannot reach the directory."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n1", key)
    stage.client("n0").kill()
    stage.client("n0").start()
    stage.cut("n0", "dir")
    removed = stage.begin("remove", "n0", key)
    stage.sleep(1.0)
    stage.join("n0")
    removed()
    stage.get("n1", key)


@scene
def client_dies_between_rounds(stage: Stage) -> None:
    """Entries are gone everywhere, near entries are not, and nobody is there to end them."""
    stage.start("n0", "n1", "n2")
    key = stage.key("n0")
    stage.get("n1", key)
    held = stage.hold("Bump", source="n0")
    stage.begin("remove", "n0", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    stage.client("n0").kill()
    stage.sleep(15.0)
    stage.see_the_same(key, "n1", "n2")


@scene
def set_arrives_twice(stage: Stage) -> None:
    """A transport has lost sight of a Set, so that it was sent again; the first one arrives when all is over."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    held = stage.hold("Set", failing=True)
    done = stage.begin("set", "n0", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    done()
    stage.remove("n0", key)
    held.release()
    stage.sleep(0.2)
    stage.get("n2", key)


@scene
def set_is_finished_by_others(stage: Stage) -> None:
    """A Set is so late that others have ended its operation; when it arrives, it is not to look like a success."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    stage.store("n0", stage.key("n0"))  # so that the other shard knows the group
    client, held = stage.client("n0"), stage.hold("Set", target="n1")
    done = stage.begin("set", "n0", key)
    stage.until(lambda: len(held) > 0)
    stage.sleep(0.1)  # the other shard has been told
    client.stop(stage.kernel.now + 12.0)
    stage.sleep(11.0)
    held.release()
    done()
    stage.get("n1", key)


@scene
def set_arrives_in_the_next_life(stage: Stage) -> None:
    """A Set is held up until its shard has been given up, and has come back with nothing."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.get("n0", key)
    held = stage.hold("Set", target="n1")
    stage.cut("n1", "dir")
    done = stage.begin("set", "n0", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    done()
    stage.remove("n0", key)
    stage.join("n1")
    stage.members("n0", "n1")
    stage.until(lambda: stage.leased("n1"))
    held.release()
    stage.sleep(0.2)
    stage.get("n0", key)


# ------------------------------------------------------------------------------------------------- hot copies


@scene
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


@scene
def copied_answer_is_late(stage: Stage) -> None:
    """The answer that a shard wants to copy comes when the key has been removed."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.store("n0", key)
    stage.get("n1", key)
    stage.until(lambda: stage.asked("n1", key) == 1)
    stage.begin_anew("n1")
    held = stage.hold("Answers", source="n0", target="n1")
    got = stage.begin_get("n1", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    stage.remove("n0", key)
    held.release()
    got()
    stage.until(lambda: stage.asked("n1", key) == 2)
    stage.sleep(0.2)
    stage.begin_anew("n1")
    stage.get("n1", key)


@scene
def copy_arrives_in_the_next_life(stage: Stage) -> None:
    """A copy is held up until its node has lost its memory, and has new slots, which begin as the old ones did."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.store("n0", key)
    held = stage.hold("Copy", target="n1")
    stage.want_copy("n1", key)
    stage.until(lambda: len(held) > 0)
    held.stop()
    stage.shard("n1").end()
    stage.shard("n1").forget()
    stage.remove("n0", key)
    stage.start("n1")
    held.release()
    stage.sleep(0.2)
    stage.begin_anew("n1")
    stage.get("n1", key)


# ---------------------------------------------------------------------------------------------- leases and lives


@scene
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


@scene
def silent_but_leased(stage: Stage) -> None:
    """A shard does not answer a client, but has renewed its lease just now."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n1", key)
    stage.cut("n0", "n1")
    stage.remove("n0", key)
    stage.get("n1", key)


@scene
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


@scene
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


@scene
def serves_without_a_lease(stage: Stage) -> None:
    """A shard that was given up is still asked by a client on its node."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    stage.cut("n1")
    stage.remove("n0", key)
    stage.get("n1", key)


@scene
def serves_pages_without_a_lease(stage: Stage) -> None:
    """A shard that was given up is still connected to a client on another node."""
    stage.start("n0", "n1")
    key = _given_up(stage)
    stage.get("n2", key)


@scene
def has_another_lease_when_it_has_read(stage: Stage) -> None:
    """A shard that was given up reads its pages, and becomes a member anew before the answer goes out."""
    stage.start("n0", "n1")
    key = _given_up(stage)

    def become_a_member() -> None:
        stage.client("n2").stop(stage.kernel.now + 12.0)  # it does not see that the answer takes long
        stage.join("n1")
        stage.members("n0", "n1")
        stage.until(lambda: stage.leased("n1"))

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


@scene
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


@scene
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


@scene
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


@scene
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
    stage.join("n1")
    stage.members("n0", "n1")
    stage.until(lambda: stage.leased("n1"))
    stage.sleep(9.0)
    stage.get("n0", key)
    stage.get("n2", key)


@scene
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


# ---------------------------------------------------------------------------------------------- change of owners


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


@scene
def entry_arrives_after_its_removal(stage: Stage) -> None:
    """An entry is on its way to its new owner when it is removed."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


@scene
def new_owner_is_behind(stage: Stage) -> None:
    """The new owner is told of the removal before it knows that it is the owner."""
    key, arrive = _moves(stage, behind=True)
    stage.remove("n0", key)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


@scene
def new_owner_is_restarted(stage: Stage) -> None:
    """It has forgotten what was removed."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    stage.shard("n1").kill()
    stage.start("n1")
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


@scene
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


@scene
def ring_changes_again(stage: Stage) -> None:
    """The entry arrives in an epoch that began after the removal."""
    key, arrive = _moves(stage)
    stage.remove("n0", key)
    stage.weigh(n1=2.0)
    stage.until(lambda: stage.shard("n1").shard.epoch == stage.ring.epoch)
    arrive()
    stage.sleep(0.2)
    stage.get("n2", key)


@scene
def entry_arrives_in_the_next_life(stage: Stage) -> None:
    """Its new owner has been given up, and has just begun anew when the entry arrives."""
    key, arrive = _moves(stage)
    stage.cut("n1")
    stage.remove("n0", key)
    stage.on_ticket("n1", arrive)
    stage.join("n1")
    stage.members("n0", "n1")
    stage.until(lambda: stage.leased("n1"))
    stage.sleep(0.5)
    stage.get("n2", key)


# ------------------------------------------------------------------------------------------------- the directory


@scene
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


@scene
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


# --------------------------------------------------------------------------------------------- promises about time


@scene
def comes_back_at_once(stage: Stage) -> None:
    """A shard that was fenced gives up its lease by itself: nobody waits for the end of that."""
    stage.start("n0", "n1")
    old = stage.ring.lives["n1.0"]
    stage.fence("n1")
    stage.within(1.5, "a new life", lambda: stage.ring.lives.get("n1.0", old) != old and stage.leased("n1"))


@scene
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
