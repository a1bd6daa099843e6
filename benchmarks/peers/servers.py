"""Servers of our own: on loopback, at a free port, in a temporary folder, keeping nothing; ended with the context."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence

from benchmarks.harness import NotRun
from benchmarks.peers import install

_UP_S = 10.0


@contextlib.contextmanager
def redis() -> Iterator[int]:
    """The port of a Redis, without persistence. Raises NotRun where there is none."""
    binary, port = install.program("redis-server", "redis-server"), free_port()
    install.package("redis")
    install.package("hiredis")  # without it redis-py is slower
    with tempfile.TemporaryDirectory(prefix="raycache-bench-redis-") as folder:
        options = {"port": str(port), "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
        with running([binary, *(word for name, value in options.items() for word in (f"--{name}", value))], port):
            yield port


@contextlib.contextmanager
def memcached() -> Iterator[int]:
    """The port of a memcached with 1 GiB. Raises NotRun where there is none."""
    binary, port = install.program("memcached", "memcached"), free_port()
    install.package("pymemcache")
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with running([binary, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "1024", *user], port):
        yield port


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, *, piped: bool = False, up_s: float = _UP_S
) -> Iterator[subprocess.Popen[str]]:
    """A process that serves at the port when the context begins, and has ended when the context has.

    Raises NotRun where it does not come up in `up_s`.
    """
    pipe = subprocess.PIPE if piped else subprocess.DEVNULL
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    try:
        _await(server, command[0], port, up_s)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(_UP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for end in (server.stdin, server.stdout):
            if end is not None:
                end.close()


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(server: subprocess.Popen[str]) -> float:
    """The processor time that a process has taken until now, with all its threads."""
    return time.clock_gettime(~server.pid << 3 | 2)  # the clock of another process: clock_getcpuclockid(3)


def _await(server: subprocess.Popen[str], name: str, port: int, up_s: float) -> None:
    deadline = time.monotonic() + up_s
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NotRun(f"{name} did not come up at port {port} (exit status {server.poll()})")
