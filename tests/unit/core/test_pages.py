"""Pages: a file of records that behaves like a dict, also with keys that are longer than LMDB allows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from raycache.core import pages as module
from raycache.core.pages import Pages, PagesFull

MAP_BYTES = 4 << 20
LONG = b"p" * 600
KEYS = [b"a", b"ab", b"abc", b"b", b"b\xff", b"b\xff\xff", b"\xff", b"p"]
KEYS += [b"p" * 494, b"p" * 495, b"p" * 510, b"p" * 511, b"p" * 512, LONG, LONG + b"x", LONG + b"y", LONG * 20]
PREFIXES = [b"", b"a", b"ab", b"b", b"b\xff", b"p", b"p" * 495, b"p" * 496, b"p" * 511, LONG, LONG + b"x", b"q"]
A_KEY, RECORD = st.sampled_from(KEYS), st.binary(max_size=6000)


class PagesAndADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.pages = Pages.create(Path(self.folder.name), MAP_BYTES)
        self.model: dict[bytes, bytes] = {}

    def teardown(self) -> None:
        self.pages.close()
        self.folder.cleanup()

    @rule(puts=st.dictionaries(A_KEY, RECORD, max_size=4), deletes=st.lists(A_KEY, max_size=3))
    def write(self, puts, deletes):
        self.pages.write(puts, deletes)
        self.model = {key: record for key, record in self.model.items() if key not in deletes} | puts

    @rule(keys=st.lists(A_KEY, max_size=4))
    def delete(self, keys):
        self.pages.delete(keys)
        self.model = {key: record for key, record in self.model.items() if key not in keys}

    @rule(puts=st.dictionaries(A_KEY, RECORD, max_size=2), deletes=st.lists(A_KEY, max_size=3), key=A_KEY)
    def what_has_no_room_changes_nothing(self, puts, deletes, key):
        with pytest.raises(PagesFull):
            self.pages.write(puts | {key: bytes(2 * MAP_BYTES)}, deletes)

    @rule(key=A_KEY)
    def get(self, key):
        assert self.pages.get(key) == self.model.get(key)

    @rule(keys=st.lists(A_KEY))
    def get_many(self, keys):
        assert self.pages.get_many(keys) == {key: self.model[key] for key in keys if key in self.model}

    @rule(prefix=st.sampled_from(PREFIXES))
    def scan(self, prefix):
        found = self.pages.scan(prefix)

        assert sorted(found) == sorted(key for key in self.model if key.startswith(prefix))
        short = [key for key in found if len(key) < 495]
        assert short == sorted(short)

    @rule(prefix=st.sampled_from(PREFIXES), limit=st.integers(1, 4))
    def scan_in_parts(self, prefix, limit):
        parts, after = [], b""
        while part := self.pages.scan(prefix, after, limit):
            parts.append(part)
            after = part[-1]

        assert [key for part in parts for key in part] == self.pages.scan(prefix)
        assert all(len(part) == limit for part in parts[:-1])

    @invariant()
    def has_what_the_dict_has(self):
        assert self.pages.get_many(KEYS) == self.model


def test_pages_behave_like_a_dict():
    run_state_machine_as_test(PagesAndADict, settings=settings(max_examples=25, stateful_step_count=25))


@pytest.fixture
def pages(tmp_path):
    pages = Pages.create(tmp_path, MAP_BYTES)
    yield pages
    pages.close()


def test_long_keys_that_differ_only_at_their_ends_are_different_keys(pages):
    pages.write({LONG + b"x": b"1", LONG + b"y": b"2"})

    assert (pages.get(LONG + b"x"), pages.get(LONG + b"y"), pages.get(LONG)) == (b"1", b"2", None)


def test_a_long_key_whose_digest_is_that_of_another_does_not_get_its_record(pages, monkeypatch):
    class Alike:
        def __init__(self, *_: object, **__: object) -> None: ...

        def digest(self) -> bytes:
            return bytes(16)

    monkeypatch.setattr(module, "blake2b", Alike)
    pages.write({LONG + b"x": b"1"})

    assert (pages.get(LONG + b"x"), pages.get(LONG + b"y")) == (b"1", None)
    assert pages.get_many([LONG + b"x", LONG + b"y"]) == {LONG + b"x": b"1"}


def test_a_key_that_was_deleted_while_a_scan_goes_on_does_not_stop_it(pages):
    pages.write({b"k%d" % number: b"" for number in range(6)})
    first = pages.scan(b"k", b"", 3)
    pages.delete([first[-1], b"k4"])

    assert pages.scan(b"k", first[-1], 3) == [b"k3", b"k5"]


def test_a_scan_with_a_limit_of_none_at_all_finds_nothing(pages):
    pages.write({b"a": b"1"})

    assert pages.scan(b"a", b"", 0) == []


def test_many_deletes_go_in_several_transactions(pages):
    pages.write({b"%d" % number: b"x" for number in range(25_000)})
    pages.delete([b"%d" % number for number in range(24_999)])

    assert pages.scan(b"") == [b"24999"]


@pytest.mark.parametrize(
    ("names", "most"),
    [(str, 290), ("{:08d}".format, 200)],
    ids=["numbers as text, amid those of earlier batches", "in the order of keys"],
)
def test_batches_leave_no_page_half_empty(pages, names, most):
    """Of records of 150 bytes: what is put in the order of keys fills pages, the rest two thirds of them, by chance a
    little more or less. Half empty they would take 340 bytes each."""
    for first in range(0, 5000, 500):
        pages.write({names(number).encode(): bytes(150) for number in range(first, first + 500)})

    assert 5000 * 150 / 4096 < pages._env.stat()["leaf_pages"] * 4096 / 4096 <= 5000 * most / 4096


def test_memory_of_deleted_records_is_used_again(pages):
    """The file grows to what was needed at once, and no further."""
    for _ in range(6):
        pages.write({b"a": bytes(1 << 18)})
    taken = pages.file_bytes()
    for _ in range(30):
        pages.write({b"a": bytes(1 << 18)})

    assert pages.file_bytes() == taken


def test_new_pages_take_the_place_of_old_ones(tmp_path):
    old = Pages.create(tmp_path, MAP_BYTES)
    old.write({b"a": b"1"})
    old.close()
    new = Pages.create(tmp_path, MAP_BYTES)

    assert new.get(b"a") is None
    new.close()


def test_there_is_nothing_to_open_where_there_are_no_pages(tmp_path):
    with pytest.raises(OSError, match="cannot read the pages in"):
        Pages.open(tmp_path)


def test_only_the_user_may_read_the_files(pages, tmp_path):
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "data.mdb": 0o600,
        "lock.mdb": 0o600,
    }
