"""Scenes of the two rounds of an invalidation: whoever hears of one late, twice, or never."""

from __future__ import annotations

from stage import Stage


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


def answer_is_late(stage: Stage) -> None:
    """A get has been answered, but the answer comes when the key has been removed."""
    stage.start("n0", "n1")
    key = stage.key("n0")
    stage.get("n0", key)
    stage.remove_before_the_answer("n1", key)
    stage.get("n1", key)


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


def client_dies_between_rounds(stage: Stage) -> None:
    """Entries are gone everywhere, near entries are not, and nobody is there to end them."""
    stage.start("n0", "n1", "n2")
    key = stage.key("n0")
    stage.get("n1", key)
    held = stage.hold("Bump", source="n0")
    stage.begin("remove", "n0", key)
    stage.catch(held)
    stage.client("n0").kill()
    stage.sleep(15.0)
    stage.see_the_same(key, "n1", "n2")


def set_arrives_twice(stage: Stage) -> None:
    """A transport has lost sight of a Set, so that it was sent again; the first one arrives when all is over."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.store("n0", key)
    held = stage.hold("Set", failing=True)
    done = stage.begin("set", "n0", key)
    stage.catch(held)
    done()
    stage.remove("n0", key)
    held.release()
    stage.sleep(0.2)
    stage.get("n2", key)


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


def set_arrives_in_the_next_life(stage: Stage) -> None:
    """A Set is held up until its shard has been given up, and has come back with nothing."""
    stage.start("n0", "n1")
    key = stage.key("n1")
    stage.get("n0", key)
    held = stage.hold("Set", target="n1")
    stage.cut("n1", "dir")
    done = stage.begin("set", "n0", key)
    stage.catch(held)
    done()
    stage.remove("n0", key)
    stage.come_back("n1")
    held.release()
    stage.sleep(0.2)
    stage.get("n0", key)
