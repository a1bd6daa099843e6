"""Pages between processes: readers beside the writer, readers that die, and forks."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from raycache.core.pages import Pages

IMPORTS = "import os, sys; from pathlib import Path; from raycache.core.pages import Pages, PagesFull\n"
FOLDER = "folder = Path(sys.argv[1])\n"


@pytest.fixture
def pages(tmp_path):
    pages = Pages.create(tmp_path, 4 << 20)
    yield pages
    pages.close()


def test_another_process_reads_what_was_written(pages, tmp_path, python):
    long = b"k" * 1000
    pages.write({b"a": b"one", b"b": b"two", long: b"three"})
    read = IMPORTS + FOLDER + "pages = Pages.open(folder)\n"
    read += "print(pages.get(b'a'), pages.get(b'k' * 1000), pages.get(b'c'), pages.get_many([b'a', b'b', b'x']))"

    assert python(read, tmp_path) == "b'one' b'three' None {b'a': b'one', b'b': b'two'}"


def test_a_reader_that_is_open_sees_what_is_written_later(pages, tmp_path):
    program = IMPORTS + FOLDER + "pages = Pages.open(folder)\nfor _ in sys.stdin: print(pages.get(b'a'), flush=True)"
    reader = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=-1, stdout=-1, text=True)
    seen = []
    with reader:
        for step in ({b"a": b"1"}, {b"a": b"2"}, {b"b": b""}):
            pages.write(step, [] if b"a" in step else [b"a"])
            print(file=reader.stdin, flush=True)
            seen.append(reader.stdout.readline().strip())
        reader.stdin.close()

    assert seen == ["b'1'", "b'2'", "None"]


def test_a_reader_cannot_write(pages, tmp_path, python):
    program = IMPORTS + FOLDER + "pages = Pages.open(folder)\ntry: pages.write({b'a': b'1'})\n"
    program += "except Exception as error: print('refused')"

    assert python(program, tmp_path) == "refused"
    assert pages.get(b"a") is None


def test_a_reader_that_was_killed_in_the_middle_of_a_read_is_cleared(pages, tmp_path):
    """Else the pages that it looked at would never be used again."""
    pages.write({b"a": b"1"})
    program = "import sys, lmdb; env = lmdb.open(sys.argv[1], readonly=True, create=False, max_readers=1024)\n"
    program += "txn = env.begin(); print(txn.get(b'a'), flush=True); sys.stdin.read()"
    reader = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=-1, stdout=-1)
    with reader:
        assert reader.stdout.readline() == b"b'1'\n"
        assert pages.clear_dead_readers() == 0  # it lives
        reader.send_signal(signal.SIGKILL)

    assert (pages.clear_dead_readers(), pages.clear_dead_readers()) == (1, 0)
    pages.write({b"a": b"2"})
    assert pages.get(b"a") == b"2"


FORKED = """
pages = {make}
child = os.fork()
if child == 0:
    found = (pages.get(b"a"), pages.get(b"k" * 600), pages.get_many([b"a", b"b"]))
    pages.close()
    os._exit(0 if found == (None, None, {{}}) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pages.get(b"a"))
"""


def test_a_forked_child_finds_nothing_and_the_writer_goes_on(tmp_path, python):
    make = "Pages.create(folder, 4 << 20); pages.write({b'a': b'1', b'k' * 600: b'2'})"
    program = IMPORTS + FOLDER + FORKED.format(make=make) + "pages.write({b'a': b'2'}); print(pages.get(b'a'))"

    assert python(program, tmp_path).split() == ["0", "b'1'", "b'2'"]


def test_a_forked_child_finds_nothing_and_the_reader_goes_on(pages, tmp_path, python):
    pages.write({b"a": b"1", b"k" * 600: b"2"})
    program = IMPORTS + FOLDER + FORKED.format(make="Pages.open(folder)") + "print(pages.get(b'a'))"

    assert python(program, tmp_path).split() == ["0", "b'1'", "b'1'"]


def test_a_forked_child_may_open_pages_of_its_own(tmp_path, python):
    """What it inherited it may not use; what it opens itself it may."""
    other = tmp_path / "other"
    other.mkdir()
    program = IMPORTS + FOLDER + "pages = Pages.create(folder, 4 << 20); pages.write({b'a': b'1'})\n"
    program += "child = os.fork()\nif child == 0:\n    own = Pages.create(folder / 'other', 4 << 20)\n"
    program += "    own.write({b'a': b'2'}); os._exit(0 if own.get(b'a') == b'2' else 1)\n"
    program += "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pages.get(b'a'))"

    assert python(program, tmp_path).split() == ["0", "b'1'"]
