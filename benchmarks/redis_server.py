"""A Redis of our own: on loopback, at a free port, in a temporary folder, without persistence; ended with us."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import NotRun

_UP_S = 10.0


@contextmanager
def redis_server() -> Iterator[int]:
    """The port of a server that lives as long as the context. Raises NotRun where there is no Redis."""
    _check_client()
    binary = _binary()
    with tempfile.TemporaryDirectory(prefix="raycache-bench-redis-") as folder:
        port = _free_port()
        options = {"port": str(port), "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
        try:
            _await(server, port)
            yield port
        finally:
            server.terminate()
            try:
                server.wait(_UP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _check_client() -> None:
    try:
        from redis.utils import HIREDIS_AVAILABLE
    except ImportError as error:
        raise NotRun("redis-py is not installed: pip install 'raycache[bench]'") from error
    if not HIREDIS_AVAILABLE:
        raise NotRun("hiredis is not installed, without which redis-py is slower: pip install 'raycache[bench]'")


def _binary() -> str:
    if (found := shutil.which("redis-server")) is not None:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("redis-server is missing; installing it with apt-get install -y redis-server", file=sys.stderr)
        # In runlevel 1 the package does not start a server of its own.
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["update"], ["install", "-y", "redis-server"]):
            done = subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, text=True)
            if done.returncode:
                raise NotRun(f"apt-get {' '.join(command)} failed: {done.stderr.strip()[-300:]}")
        if (found := shutil.which("redis-server")) is not None:
            return found
    raise NotRun("redis-server is not installed: apt-get install redis-server, or brew install redis")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _UP_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NotRun(f"redis-server did not come up at port {port} (exit status {server.poll()})")
