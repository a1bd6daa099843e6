"""groupcache in Go: nodes of our own program (groupcache/main.go), each of which answers its peers over HTTP.

Built from Debian's packages alone, without a network. Of two nodes one gets from the other; the Go program measures its
own gets, and prints them.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import install, servers

_PROGRAM = Path(__file__).parent / "groupcache"
#: Below which a node answers, over HTTP, for the keys of the program's group.
PATH = "/_groupcache/bench/"


@dataclass(frozen=True)
class Nodes:
    """The two nodes."""

    asks: subprocess.Popen[str]
    owns: subprocess.Popen[str]

    def load(self, first: int, count: int) -> None:
        """Has the keys of these numbers in the cache of the node that is asked for them."""
        _say(self.owns, f"load {first} {count}")

    def get(self, first: int, count: int) -> float:
        """Seconds of one get from the peer, as the mean over those of these keys that the peer owns."""
        said = _say(self.asks, f"get {first} {count}")
        assert said["keys"] == said["from_peer"] > 0, f"these came not from the peer: {said}"
        return said["seconds"]


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    """Two processes. Raises NotRun where Go or groupcache is not installed."""
    with _started(2) as started:
        yield Nodes(*started.values())


@contextlib.contextmanager
def peer() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A node that owns all keys, and the URL of its HTTP server, which has them at `PATH`. Raises NotRun, too."""
    with _started(1) as started:
        ((address, process),) = started.items()
        yield process, f"http://{address}"


@contextlib.contextmanager
def _started(count: int) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """So many nodes, by their addresses."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="raycache-bench-go-"))
        binary = install.go_program(_PROGRAM, folder)
        ports = [servers.free_port() for _ in range(count)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        yield {
            address: stack.enter_context(
                servers.running([binary, "-self", address, "-peers", ",".join(addresses)], port, piped=True)
            )
            for address, port in zip(addresses, ports, strict=True)
        }


def _say(node: subprocess.Popen[str], line: str) -> dict[str, float]:
    assert node.stdin is not None
    assert node.stdout is not None
    print(line, file=node.stdin, flush=True)
    answer: dict[str, float] = json.loads(node.stdout.readline() or "null")
    if answer is None:
        raise RuntimeError(f"the groupcache node ended at {line!r} (exit status {node.wait(10)})")
    return answer
