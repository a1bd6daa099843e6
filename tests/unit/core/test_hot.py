"""Hot copies: what a node keeps asking others for lies in its own shared memory, and is never older than it may be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from nodes_bench import CAPACITY, NodesBench
from shard_bench import HOT

from raycache.core import hot, record
from raycache.core.codec import ABSENT
from raycache.core.fetch import NotThere
from raycache.core.members import Members
from raycache.core.messages import Asked, Bump, Copied, Copy, Count, Define, Report, Standing
from raycache.core.pages import PagesFull
from raycache.core.remote import LARGEST, MOST_BYTES, MOST_KEYS, Note, Remote, asked, copies
from raycache.core.stats import Stats

COLD, LEASED = Standing.COLD, Standing.LEASED
#: Of a slot that has the version 7.
VOUCHER = ([1.0], memoryview(b"\x07"), 0, 7)


@pytest.fixture
def nodes(tmp_path):
    """Two nodes with a shard each, whose books are right at the end."""
    nodes = NodesBench(tmp_path)
    yield nodes
    told = {id: nodes.info(id) for id in ("a", "b")}
    stored = {id: dict(nodes.shards[id].pages.items(b"", 10_000)) for id in ("a", "b")}
    nodes.close()

    for id, records in stored.items():
        copied = {key: each for key, each in records.items() if key.startswith(hot.PREFIX)}
        assert (told[id].copies, told[id].copies_bytes) == (len(copied), sum(map(len, [*copied, *copied.values()])))
        assert told[id].entries == len(records) - len(copied)
        assert told[id].bytes + told[id].copies_bytes <= CAPACITY


@pytest.fixture
def key(nodes):
    """One that the shard "b" owns, and has."""
    (key,) = nodes.keys("b")
    nodes.process("b").set(key, "old")
    return key


# ----------------------------------------------------------------------------------------------- reading


def test_what_two_processes_of_a_node_have_asked_for_others_read_from_its_shared_memory(nodes, key):
    nodes.heat(key)
    before = nodes.gets("b")
    process = nodes.process("a")

    assert process.get(key) == process.get_many([key])[key] == "old"
    assert nodes.gets("b") == before == 2
    stats = process.stats()
    assert (stats.page_hits, stats.hot_hits, stats.near_hits, stats.shard_hits) == (1, 1, 1, 2)


def test_a_batch_reads_copies_as_well(nodes):
    """Of the keys whose copies are still current; all of them in one look."""
    keys = nodes.keys("b", 5)
    nodes.process("b").set_many(dict.fromkeys(keys, "old"))
    for key in keys:
        nodes.heat(key)
    before, process = nodes.gets("b"), nodes.process("a")
    values = process.get_many(keys)
    after = nodes.gets("b")
    nodes.shards["a"].shard.handle(Bump((process.reader.full(keys[0]),)))
    nodes.process("a").get_many(keys)

    assert (values, after) == (dict.fromkeys(keys, "old"), before)
    assert nodes.gets("b") == before + 1
    assert process.stats().hot_hits == len(keys)


def test_what_one_process_got_once_is_not_copied(nodes, key):
    nodes.heat(key, times=1)

    assert nodes.info().copies == 0


def test_without_near_caches_one_process_is_enough(tmp_path):
    """It asks again and again."""
    nodes = NodesBench(tmp_path, near_bytes=0)
    (key,) = nodes.keys("b")
    process = nodes.process("a")
    process.set(key, "value")
    got = [process.get(key) for _ in range(2)]
    process.report()
    got += [process.get(key) for _ in range(3)]
    gets, stats = nodes.gets("b"), process.stats()
    nodes.close()

    assert got == ["value"] * 5
    assert (gets, stats.hot_hits) == (2, 3)


def test_keys_that_the_nodes_own_shard_has_are_not_copied(nodes):
    (key,) = nodes.keys("a")
    nodes.process("a").set(key, "value")
    nodes.heat(key, times=5)

    assert nodes.info().copies == 0


def test_a_value_that_is_too_large_is_not_copied(tmp_path):
    nodes = NodesBench(tmp_path, capacity_bytes=CAPACITY)
    (key,) = nodes.keys("b")
    nodes.process("b").set(key, "x" * int(CAPACITY * HOT))
    nodes.heat(key, times=3)
    copied = nodes.info().copies
    nodes.close()

    assert copied == 0


def test_explain_is_told_where_it_lies(nodes, key):
    nodes.heat(key)

    assert [nodes.process(node).reader.tier(key) for node in ("a", "b")] == ["hot", "pages"]


def test_hits_on_copies_are_told_to_the_owner(nodes):
    """Its policy would take the keys that everybody wants for those that nobody wants."""
    hot_key, *others = nodes.keys("b", 200)
    owner = nodes.process("b")
    owner.set(hot_key, "hot")
    nodes.heat(hot_key)
    for number, other in enumerate(others):
        owner.set(other, "x" * 100)
        if number % 20 == 0:
            nodes.heat(hot_key, times=1)

    assert nodes.shards["b"].stats().evictions > 50
    assert nodes.shards["b"].pages.get(owner.reader.full(hot_key)) is not None


def test_nobody_lists_counts_or_hands_over_copies(nodes, key):
    nodes.heat(key)
    nodes.shards.weigh({"a": 1.0, "b": 1.0})
    sent = nodes.shards.hand_over()
    process = nodes.process("a")

    assert nodes.info().copies == 1
    assert (len(process), nodes.info("a").entries, nodes.info("b").entries) == (1, 0, 1)
    assert [message.entries for _, _, message, _ in sent if hasattr(message, "entries")] == [(), ()]


# --------------------------------------------------------------------------------------------- staleness


@pytest.mark.parametrize("by", ["a", "b"])
@pytest.mark.parametrize("how", ["remove", "set", "clear"])
def test_after_a_change_no_process_reads_the_copy(nodes, key, how, by):
    """Neither one that has just been started nor one that has read it before; whoever made the change."""
    nodes.heat(key)
    reader, changer = nodes.process("a"), nodes.process(by)
    assert reader.get(key) == "old"
    {"remove": lambda: changer.remove(key), "set": lambda: changer.set(key, "new"), "clear": changer.clear}[how]()
    expected = "new" if how == "set" else None

    assert [process.get(key, None) for process in (nodes.process("a"), reader)] == [expected] * 2
    assert nodes.info().copies == 0
    nodes.heat(key)
    assert nodes.process("a").get(key, None) == expected


def test_a_bump_alone_ends_a_copy(nodes, key):
    """Also of another key with the same slot; the copy is made anew when it is wanted again."""
    nodes.heat(key)
    full = nodes.process("a").reader.full(key)
    nodes.shards["a"].shard.handle(Bump((full,)))
    tiers = [nodes.process("a").reader.tier(key)]
    nodes.heat(key, times=1)
    tiers.append(nodes.process("a").reader.tier(key))

    assert tiers == [None, "hot"]
    assert nodes.info().copies == 1


def test_without_a_lease_no_copy_is_read(nodes, key):
    nodes.heat(key)
    process = nodes.process("a")
    nodes.shards["a"].versions.lease[0] = 0.0

    assert process.reader.tier(key) is None
    before = nodes.gets("b")
    assert (process.get(key), nodes.gets("b")) == ("old", before + 1)


def test_a_copy_expires_when_its_original_does(nodes):
    """By the clock of the node that it is on."""
    (key,) = nodes.keys("b")
    nodes.process("b").set(key, "value", ttl=60)
    nodes.advance(20.0)
    nodes.heat(key)
    nodes.advance(39.0)
    assert nodes.process("a").reader.tier(key) == "hot"
    nodes.advance(2.0)

    assert nodes.process("a").reader.tier(key) is None
    assert nodes.info().copies == 0


def test_a_version_that_was_read_before_a_change_makes_no_copy(nodes, key):
    """What was told before it and is sent after it."""
    first, second = nodes.process("a"), nodes.process("a")
    for process in (first, second):
        process.get(key)
    first.report()
    nodes.process("b").set(key, "new")
    second.report()

    assert nodes.info().copies == 0


@pytest.mark.parametrize("ticket", [0, 6, 8])
def test_copies_for_another_life_are_not_taken(nodes, key, ticket):
    """Its slots may have begun anew, and have had the same versions for other values."""
    full = nodes.process("a").reader.full(key)
    copied = Copied(full, record.pack(record.Header(record.NEVER, 0.0, 0.0, 1), b"value"), 1)
    shard = nodes.shards["a"].shard

    assert shard.handle(Copy(ticket, (copied,))).done == 0
    assert nodes.info().copies == 0


def test_a_shard_that_begins_anew_has_no_copies(nodes, key):
    nodes.heat(key)
    nodes.shards["a"].grant(COLD, ticket=9)

    assert nodes.info().copies == 0
    assert nodes.shards["a"].pages.items(b"", 10) == []


def test_a_restarted_shard_keeps_its_entries_and_no_copies(nodes, key):
    """Nothing of that counts as damage."""
    (own,) = nodes.keys("a")
    nodes.process("a").set(own, "own")
    nodes.heat(key)
    nodes.shards["a"].restart()
    nodes.shards["a"].grant(LEASED, nodes.shards.ring, groups=[nodes.spec])
    info = nodes.info()

    assert (info.copies, info.entries, info.recovered, info.dropped) == (0, 1, 1, 0)
    assert nodes.shards["a"].pages.scan(hot.PREFIX) == []
    assert (nodes.process("a").get(own), nodes.process("a").get(key)) == ("own", "old")


# --------------------------------------------------------------------------------------- room and admission


def test_copies_take_their_share_and_no_more(nodes):
    """The rest of the node's memory is free."""
    owner = nodes.process("b")
    for key in nodes.keys("b", 40):
        owner.set(key, "x" * 50)
        nodes.heat(key)

        assert nodes.info().copies_bytes <= CAPACITY * HOT
    assert nodes.info().copies_bytes > CAPACITY * HOT - 200


def test_copies_give_way_to_entries(nodes):
    keys = nodes.keys("b", 10)
    for key in keys:
        nodes.process("b").set(key, "x" * 50)
        nodes.heat(key)
    before = nodes.info().copies
    process = nodes.process("a")
    for own in nodes.keys("a", 200):
        process.set(own, "x" * 40)
        info = nodes.info()
        assert info.bytes + info.copies_bytes <= CAPACITY

    assert before > 5
    assert nodes.info().bytes > CAPACITY - 100
    assert nodes.info().copies <= 1


def test_a_key_that_is_asked_for_more_often_takes_the_place_of_one_that_is_not(nodes):
    *some, colder, hotter = nodes.keys("b", 12)
    for key in (*some, colder, hotter):
        nodes.process("b").set(key, "x" * 100)
    for key in some:
        nodes.heat(key, times=5)
    nodes.heat(colder, times=3)
    nodes.heat(hotter, times=8)
    process = nodes.process("a")

    assert process.reader.tier(colder) is None
    assert process.reader.tier(hotter) == "hot"


@pytest.mark.parametrize(("times", "tier"), [(10, None), (20, "hot")], ids=["than each of them", "than all together"])
def test_a_large_key_takes_the_place_of_small_ones_that_are_asked_for_less_often_all_together(nodes, times, tier):
    """Asked for more often than each of them it would save fewer questions than they do."""
    large, *small = nodes.keys("b", 8)
    for key in (*small, large):
        nodes.process("b").set(key, "x" * (400 if key == large else 100))
    for key in small:
        nodes.heat(key, times=5)
    nodes.heat(large, times=times)
    process = nodes.process("a")

    assert process.reader.tier(large) == tier
    assert all(process.reader.tier(key) == "hot" for key in small) is (tier is None)


def test_two_keys_of_one_report_do_not_take_the_place_of_the_same_copies(nodes):
    """The second would have to be worth more than what goes for both, and than the first."""
    cold, warm, first, second = nodes.keys("b", 4)
    for key in (cold, warm):
        nodes.process("b").set(key, "x" * 500)
    nodes.heat(cold, times=3)
    nodes.heat(warm, times=9)
    process, shard = nodes.process("a"), nodes.shards["a"].shard
    asked = tuple(Asked(process.reader.full(key), 8, 550) for key in (first, second))

    assert shard.handle(Report(1, Stats(), (), asked)).wanted == (asked[0].key,)


def test_a_report_of_many_keys_looks_at_each_copy_once(nodes, monkeypatch):
    """It is handled under the shard's lock."""
    *copied, other = nodes.keys("b", 12)
    for key in copied:
        nodes.process("b").set(key, "x" * 50)
        nodes.heat(key)
    shard, looks = nodes.shards["a"].shard, []
    full = nodes.process("a").reader.full(other)
    asked = tuple(Asked(full + b"%d" % number, 2, 1000) for number in range(100))
    pages = shard._copies._pages
    monkeypatch.setattr(
        shard._copies, "_pages", SimpleNamespace(get=lambda name: looks.append(name) or pages.get(name))
    )
    shard.handle(Report(1, Stats(), (), asked))

    assert 0 < len(looks) <= len(copied)


def test_a_bumped_copy_keeps_no_place(nodes):
    """However hot it was."""
    first, *others = nodes.keys("b", 20)
    for key in (first, *others):
        nodes.process("b").set(key, "x" * 1000 if key == first else "x" * 200)
    nodes.heat(first, times=50)
    assert nodes.info().copies == 1
    nodes.shards["a"].shard.handle(Bump((nodes.process("a").reader.full(first),)))
    nodes.heat(others[0])

    assert nodes.process("a").reader.tier(others[0]) == "hot"


# ------------------------------------------------------------------------------------------ what is told


def test_a_remembered_not_found_is_copied_as_well():
    notes = {b"\0\0\0\1sx": Note(2, NotThere("nobody", 50.0), VOUCHER)}
    local = type("Slots", (), {"slots": VOUCHER[1]})()
    ((key, stored, version),) = copies(notes, list(notes), local, 10.0)

    assert (key, version) == (b"\0\0\0\1sx", 7)
    assert record.header(stored) == (50.0, 10.0, 0.0, ABSENT)
    assert bytes(record.body(stored)) == b"nobody"
    assert asked(notes) == (Asked(key, 2, len(stored)),)


def test_what_was_vouched_for_by_other_slots_is_not_sent():
    """The process has another shard's memory open by now."""
    notes = {b"\0\0\0\1sx": Note(2, NotThere("nobody", 50.0), VOUCHER)}
    local = type("Slots", (), {"slots": memoryview(b"\x07")})()

    assert copies(notes, list(notes), local, 10.0) == ()


def test_what_is_noted_while_a_report_is_made_does_not_disturb_it(nodes):
    """Another thread may still hold on to the notes that are being told."""
    (other,) = nodes.keys("b")
    process, remote = nodes.process("a"), Remote()
    full, notes = process.reader.full(other), remote._notes
    remote.note(full, NotThere("nobody", 50.0), VOUCHER)

    class Ring:
        def owner(self, key):
            notes[key + b"x"] = Note(1)
            return "b"

    class Noting:
        ring, local = Ring(), process.client.members.local

    assert list(remote.take(Noting())) == [full]


def test_a_report_that_finds_no_room_is_not_counted_and_told_again(nodes, key, monkeypatch):
    """What fails counts nothing."""
    shard = nodes.shards["a"].shard
    before = shard.handle(Count(1))

    def full(_):
        raise PagesFull("no room")

    monkeypatch.setattr(shard._copies, "wanted", full)
    with pytest.raises(PagesFull):
        shard.handle(Report(1, Stats(near_hits=7), ()))

    assert shard.handle(Count(1)) == before


def test_keys_of_the_own_node_are_not_told(nodes):
    """Their shard was asked all the same, as it happens when its lease has just run out."""
    (own,), (other,) = nodes.keys("a"), nodes.keys("b")
    process, remote = nodes.process("a"), Remote()
    for key in (own, other):
        remote.note(process.reader.full(key), NotThere("nobody", 50.0), VOUCHER)

    assert list(remote.take(process.client.members)) == [process.reader.full(other)]


def test_what_is_noted_is_bounded_in_keys_and_in_the_size_of_each(nodes):
    """A large value would be held in memory for the sake of a note."""
    (other,) = nodes.keys("b")
    full, remote = nodes.process("b").reader.full(other), Remote()
    for number in range(MOST_KEYS + 5):
        remote.note(full + b"%d" % number, NotThere("nobody", 50.0), VOUCHER)
    remote.note(full + b"0", NotThere("x" * LARGEST, 50.0), VOUCHER)
    remote.note(full + b"1", NotThere("nobody", 50.0), VOUCHER)
    members = Members(nodes.process("a").client.members.network, nodes.clocks["a"])
    notes = remote.take(members)

    assert len(notes) == MOST_KEYS
    assert [notes[full + name].times for name in (b"0", b"1", b"2")] == [1, 2, 1]
    assert remote.take(members) == {}


def test_what_is_sent_at_once_is_bounded_in_bytes():
    notes = {b"\0\0\0\1s%d" % n: Note(2, NotThere("x" * 16_000, 50.0), VOUCHER) for n in range(100)}
    local = type("Slots", (), {"slots": VOUCHER[1]})()
    sent = sum(len(copied.record) for copied in copies(notes, list(notes), local, 10.0))

    assert MOST_BYTES - 17_000 < sent <= MOST_BYTES


def test_copies_that_are_read_stay_before_others(nodes):
    """Of those that are asked for equally often the one goes that was not asked for longest."""
    first, second, third = nodes.keys("b", 3)
    for key in (first, second, third):
        nodes.process("b").set(key, "x" * 500)
    for key in (first, second):
        nodes.heat(key)
    nodes.heat(first, times=1)
    nodes.heat(third, times=3)

    assert [nodes.process("a").reader.tier(key) for key in (first, second, third)] == ["hot", None, "hot"]


def test_of_a_group_that_is_defined_anew_no_copies_are_left(nodes, key):
    nodes.heat(key)
    nodes.shards["a"].shard.handle(Define(replace(nodes.spec, id=2)))

    assert nodes.info().copies == 0


def test_a_report_of_what_has_no_record_at_hand_wants_no_copy(nodes, key):
    """It was read from a copy, which is gone by now."""
    full = nodes.process("a").reader.full(key)
    answer = nodes.shards["a"].shard.handle(Report(1, Stats(), (), (Asked(full, 9, 0),)))

    assert answer.wanted == ()
