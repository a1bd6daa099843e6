"""Pages that are kept over a restart, and files that cannot be: these are an error, and crash nobody."""

from __future__ import annotations

import os
import random

import pytest

from raycache.core import pages as module
from raycache.core.pages import Pages, PagesFull

MAP_BYTES = 4 << 20
STORED = {b"key %d" % number: os.urandom(100 + number) for number in range(500)} | {b"long" * 300: b"of a long key"}


@pytest.fixture
def folder(tmp_path):
    """Has the pages of a process that has ended."""
    pages = Pages.create(tmp_path, MAP_BYTES)
    pages.write(STORED)
    pages.close()
    return tmp_path


@pytest.mark.parametrize("keep", [True, False])
def test_what_lies_in_the_folder_is_kept_only_if_that_is_wanted(folder, keep):
    pages = Pages.create(folder, MAP_BYTES, keep=keep)

    assert dict(pages.items(b"", 1000)) == (STORED if keep else {})
    pages.write({b"new": b"1"})
    assert pages.get(b"new") == b"1"
    pages.close()


def test_where_there_is_nothing_to_keep_pages_are_empty(tmp_path):
    pages = Pages.create(tmp_path, MAP_BYTES, keep=True)

    assert pages.items(b"", 10) == []
    pages.close()


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_items_come_in_steps_of_so_many(folder, limit):
    pages = Pages.create(folder, MAP_BYTES, keep=True)
    found, after = {}, b""
    while items := pages.items(after, limit):
        assert len(items) <= limit
        found |= dict(items)
        after = items[-1][0]

    assert found == STORED
    assert list(found) == pages.scan(b"")
    pages.close()


def test_a_reader_that_had_them_open_reads_on(folder):
    before = Pages.open(folder)
    after = before.get(b"key 7")
    before.close()
    pages = Pages.create(folder, MAP_BYTES, keep=True)

    assert pages.get(b"key 7") == after == STORED[b"key 7"]
    pages.close()


def truncated(path):
    os.truncate(path, 5 * 4096)


def cut_to_one_page(path):
    os.truncate(path, 4096)


def of_another_program(path):
    path.write_bytes(b"not a database" * 10_000)


def overwritten(path):
    """Everything behind the first two pages, which say where everything lies."""
    size = path.stat().st_size - 8192
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(random.Random(7).randbytes(size))


def with_holes(path):
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(bytes(path.stat().st_size - 8192))


DAMAGES = [truncated, cut_to_one_page, of_another_program, overwritten, with_holes]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_pages_are_refused_by_name_and_this_process_goes_on(folder, damage):
    damage(folder / "data.mdb")
    with pytest.raises(PagesFull, match=f"{folder}: .+"):
        Pages.create(folder, MAP_BYTES, keep=True)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_in_their_place_new_ones_can_be_made(folder, damage):
    damage(folder / "data.mdb")
    with pytest.raises(PagesFull):
        Pages.create(folder, MAP_BYTES, keep=True)
    (folder / "data.mdb").unlink()
    pages = Pages.create(folder, MAP_BYTES)
    pages.write({b"a": b"1"})

    assert pages.items(b"", 10) == [(b"a", b"1")]
    pages.close()


def test_who_crashes_over_them_is_a_child(folder, tmp_path, monkeypatch):
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(module.intact, "__file__", str(crash))
    with pytest.raises(PagesFull, match="cannot be used: their check ended by 11"):
        Pages.create(folder, MAP_BYTES, keep=True)
