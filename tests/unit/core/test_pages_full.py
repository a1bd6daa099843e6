"""Where there is no room: an error of a put, never a bus error, and deletes go on."""

from __future__ import annotations

import errno
import os

import pytest

from raycache.core.pages import Pages, PagesFull

#: Fills a folder, in a process of its own, as a bus error would end it; then deletes, and fills it again.
FILL = """
import sys
from pathlib import Path
from raycache.core.pages import Pages, PagesFull

pages = Pages.create(Path(sys.argv[1]), int(sys.argv[2]))
size = int(sys.argv[3])

def fill():
    count = 0
    try:
        while count < 100_000:
            pages.write({b"key %d" % count: bytes(size)})
            count += 1
    except PagesFull:
        return count

first = fill()
whole = all(pages.get(b"key %d" % number) == bytes(size) for number in range(first))
pages.delete([b"key %d" % number for number in range(first)])
print(first > 5, whole, pages.scan(b""), fill() >= 0.7 * first)
"""


@pytest.mark.parametrize("size", [10, 3000, 70_000])
def test_a_full_file_system_is_an_error_and_deletes_make_room(small_file_system, python, size):
    assert python(FILL, small_file_system, 64 << 20, size) == "True True [] True"


@pytest.mark.parametrize("size", [10, 3000, 70_000])
def test_a_full_map_is_an_error_and_deletes_make_room(tmp_path, python, size):
    assert python(FILL, tmp_path, 2 << 20, size) == "True True [] True"


def test_where_there_is_no_room_for_any_pages_there_are_none(small_file_system):
    (small_file_system / "ballast").write_bytes(bytes((4 << 20) - 4096))
    with pytest.raises(PagesFull):
        Pages.create(small_file_system, 1 << 20)


def test_a_write_that_does_not_fit_changes_nothing_at_all(tmp_path):
    pages = Pages.create(tmp_path, 1 << 20)
    pages.write({b"a": b"1", b"b": b"2"})
    with pytest.raises(PagesFull, match=str(tmp_path)):
        pages.write({b"a": b"new", b"c": bytes(2 << 20)}, deletes=[b"b"])

    assert pages.get_many([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"2"}
    pages.write({b"a": b"3"})
    assert pages.get(b"a") == b"3"
    pages.close()


def test_memory_that_cannot_be_reserved_is_the_same_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    pages = Pages.create(tmp_path, 16 << 20)
    pages.write({b"a": b"1"})
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(PagesFull, match="No space left on device"):
        pages.write({b"b": bytes(4 << 20)})

    assert pages.get_many([b"a", b"b"]) == {b"a": b"1"}
    pages.delete([b"a"])
    assert pages.get(b"a") is None
    pages.close()


def test_a_table_of_readers_that_cannot_be_reserved_is_the_same_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(PagesFull, match="No space left on device"):
        Pages.create(tmp_path, 1 << 20)
