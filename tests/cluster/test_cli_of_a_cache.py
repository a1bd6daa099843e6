"""The commands that start, end and watch a cache, as users run them, on one node."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from caches import nothing_left
from cluster_ray import ClusterRay
from commands import Command, errors
from waiting import until

import raycache

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def name(cluster_ray: ClusterRay) -> Iterator[str]:
    """Of a cache that a test makes; nothing of it is left."""
    cluster_ray.nodes(1)
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    nothing_left(name)


@pytest.fixture
def start(command: Command, cluster_ray: ClusterRay) -> Iterator[Start]:
    """Starts the command on the tests' Ray."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
        started.append(command.start(*arguments, "--address", cluster_ray.address, **streams))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal, wide enough for names of any test: the end of whoever sits there, and the end of the program."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))  # rows, columns
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def read_until(terminal: int, text: str) -> str:
    """What a terminal shows, up to a text."""
    shown = b""

    def read() -> bool:
        nonlocal shown
        shown += os.read(terminal, 1 << 16)
        return text.encode() in shown

    until(read, lambda: f"the terminal shows {text!r}, but it shows {shown.decode(errors='replace')}")
    return shown.decode(errors="replace")


def test_a_cache_goes_up_once_and_down(command: Command, cluster_ray: ClusterRay, name: str) -> None:
    """A second `up` finds it as it is; `down` leaves nothing."""
    here = ("--name", name, "--address", cluster_ray.address)
    first = command.run("up", *here, "--capacity", "32MiB", "--nodes", "1")
    (shard,) = raycache.connect(name).shards()
    again = command.run("up", *here)
    (still,) = raycache.connect(name).shards()
    down = command.run("down", *here, stdin=subprocess.DEVNULL)

    assert (first.returncode, errors(first)) == (0, [])
    assert (again.returncode, errors(again)) == (0, [])
    assert shard.id in first.stdout
    assert shard.capacity_bytes == 32 << 20
    assert (still.id, still.pid) == (shard.id, shard.pid)
    assert (down.returncode, down.stdout) == (0, f"the cache {name!r} has ended\n")
    nothing_left(name)


def test_down_asks_who_sits_at_a_terminal(start: Start, make_cache: Callable[..., raycache.Cache]) -> None:
    """And goes on when the answer is yes."""
    cache = make_cache()
    with terminal() as (ours, theirs):
        process = start("down", "--name", cache.name, stdin=theirs, stderr=theirs)
        asked = read_until(ours, "[y/N]")
        os.write(ours, b"y\n")
        out, _ = process.communicate(timeout=60)

    assert f"End the cache '{cache.name}' with 0 entries in 1 shard?" in asked
    assert (process.returncode, out) == (0, f"the cache {cache.name!r} has ended\n")
    cache.close()


# ------------------------------------------------------------------------------------------------- watching


def test_a_watch_shows_a_shard_that_stops_and_that_it_is_back(start: Start, cache: raycache.Cache) -> None:
    """Ctrl-C is its good end."""
    (shard,) = cache.shards()
    watch = start("status", "--watch", "0.2", "--json", "--name", cache.name)
    assert watch.stdout is not None

    def well() -> bool:
        told = json.loads(watch.stdout.readline())
        return told["error"] is None and [each["reachable"] for each in told["shards"]] == [True]

    until(well, "all is well at first")
    os.kill(shard.pid, signal.SIGSTOP)
    try:
        until(lambda: not well(), "the shard is missed")
    finally:
        os.kill(shard.pid, signal.SIGCONT)
    until(well, "all is well again")
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=60)

    assert watch.returncode == 0
    assert "Traceback" not in err


def test_a_watch_on_a_terminal_keeps_the_screen_up_to_date(
    start: Start, cache: raycache.Cache, register: Callable[..., raycache.Group]
) -> None:
    """It shows a group that was registered meanwhile, and what happens per second."""
    with terminal() as (ours, theirs):
        watch = start("status", "--watch", "0.2", "--name", cache.name, stdout=theirs)
        read_until(ours, "Shards")
        group = register(str.upper)
        group.get_many(["a", "b"])
        shown = read_until(ours, group.name)
        shown += read_until(ours, "gets/s")
        watch.send_signal(signal.SIGINT)
        watch.wait(60)

    assert watch.returncode == 0
    assert "seen just now" in shown


@pytest.fixture
def noise(cluster_ray: ClusterRay) -> Iterator[None]:
    """Messages of the raylet come one after the other, and Ray has every driver print them."""
    over = threading.Event()

    def make() -> None:
        number = 0
        while not over.wait(0.02):
            number += 1
            text = f"WARNING: noise, number {number}"
            ray._private.utils.push_error_to_driver(ray._private.worker.global_worker, "noise", text)

    maker = threading.Thread(target=make, name="noise")
    maker.start()
    yield
    over.set()
    maker.join()


def test_messages_of_the_raylet_do_not_come_on_standard_output(
    start: Start, cache: raycache.Cache, noise: None
) -> None:
    """Where programs read the answer; they come on standard error."""
    watch = start("status", "--watch", "0.1", "--json", "--name", cache.name)
    assert watch.stdout is not None
    assert watch.stderr is not None
    first = watch.stdout.readline()
    until(lambda: "(raylet)" in watch.stderr.readline(), "a message has come")
    watch.send_signal(signal.SIGINT)
    out, _ = watch.communicate(timeout=60)
    told = [json.loads(line) for line in (first, *out.splitlines())]

    assert watch.returncode == 0
    assert [each["cache"] for each in told] == [cache.name] * len(told)


# -------------------------------------------------------------------------------------------------- doctor


def test_the_doctor_finds_a_cache_that_is_well(
    command: Command, cluster_ray: ClusterRay, cache: raycache.Cache
) -> None:
    """By asking every node."""
    ran = command.run("doctor", "--json", "--name", cache.name, "--address", cluster_ray.address)
    told = {each["check"]: each for each in json.loads(ran.stdout)["findings"]}

    assert (ran.returncode, errors(ran)) == (0, [])
    well = ("ray", "versions", "clocks", "cache", "leases", "nodes without a shard", "shared memory")
    assert {check: told[check]["state"] for check in well} == dict.fromkeys(well, "ok")
    assert raycache.__version__ in told["versions"]["found"]


def test_the_doctor_misses_a_cache_and_a_ray(command: Command, cluster_ray: ClusterRay) -> None:
    """Each with its remedy; what can be looked at without them is looked at."""
    no_cache = command.run("doctor", "--json", "--name", "nobody", "--address", cluster_ray.address)
    no_ray = command.run("doctor", "--json", "--address", "127.0.0.1:1")
    found = [{each["check"]: each for each in json.loads(ran.stdout)["findings"]} for ran in (no_cache, no_ray)]

    assert (no_cache.returncode, no_ray.returncode) == (1, 1)
    assert "raycache up" in found[0]["cache"]["remedy"]
    assert found[0]["versions"]["state"] == "ok"
    assert "ray start --head" in found[1]["ray"]["remedy"]
    assert "GiB" in found[1]["shared memory"]["found"] or "MiB" in found[1]["shared memory"]["found"]


def test_the_doctor_sweeps_what_dead_sessions_left(command: Command, cluster_ray: ClusterRay) -> None:
    """The folder of a process that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = Path(f"/dev/shm/raycache-{os.getuid()}-test-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    (folder / "owner").write_text(json.dumps({"pid": ended.pid, "started": 1}))
    ran = command.run("doctor", "--name", "nobody", "--address", cluster_ray.address)

    assert "stale folders" in ran.stdout
    assert not folder.exists()
