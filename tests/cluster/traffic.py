"""Gets that go on while a test does something to the cache."""

from __future__ import annotations

from pathlib import Path

import ray
from peers import Peer, results
from sources import Source
from waiting import until

import raycache

DETECTION_S = 60.0  # what Ray may take to give a node up, or to start a process again
TURN_S = 20.0


class Traffic:
    """Peers that get all keys of a group in turn, and must see right values, until the block ends, however it does.

    Its end waits for all of them, and raises what any has met.
    """

    def __init__(self, peers: list[Peer], users: raycache.Group, keys: list[str], folder: Path) -> None:
        self._over = folder / "traffic-is-over"
        self._turns = [folder / f"turns-{number}" for number in range(len(peers))]
        self._calls = [
            peer.start(self._run, users, keys, self._over, turns)
            for peer, turns in zip(peers, self._turns, strict=True)
        ]

    @staticmethod
    def _run(users: raycache.Group, keys: list[str], over: Path, turns: Path) -> None:
        right = {key: Source.value(key) for key in keys}
        number = 0
        while not over.exists():
            for got in ({key: users.get(key) for key in keys}, users.get_many(keys)):
                assert got == right, {key: got.get(key) for key in keys if got.get(key) != right[key]}
            number += 1
            turns.with_suffix(".new").write_text(str(number))
            turns.with_suffix(".new").rename(turns)

    def go_on(self) -> None:
        """Returns when every peer has made some more turns."""
        before = self._counts()
        until(
            lambda: all(now > then + 2 for now, then in zip(self._counts(), before, strict=True)),
            lambda: f"gets go on: {before}, {self._counts()}",
            DETECTION_S,
        )

    def _counts(self) -> list[int]:
        return [int(turns.read_text()) if turns.exists() else 0 for turns in self._turns]

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.touch()
        ray.wait(self._calls, num_returns=len(self._calls), timeout=TURN_S)
        results(self._calls, 1.0)
