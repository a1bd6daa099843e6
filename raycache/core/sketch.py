"""A frequency sketch: about how often each of very many keys was asked for lately, in a fixed amount of memory.

A count-min sketch (Cormode and Muthukrishnan 2005) with conservative updates (Estan and Varghese 2002), all of whose
counters are halved after every window, as in TinyLFU (Einziger, Friedman and Manes 2017): what was asked for long ago
counts for little. Invariant: an estimate is never less than what was counted since the last halving, up to `MOST`.
"""

from __future__ import annotations

import mmh3

#: Counters are bytes: what was asked for more often than this is as hot as can be told.
MOST = 255
_ROWS = 4
_HALVED = bytes(count // 2 for count in range(MOST + 1))


class Sketch:
    """Counts keys. Not thread-safe."""

    def __init__(self, width: int = 1 << 16, window: int = 1 << 17) -> None:
        """
        Args:
            width: counters in each of four rows; a quarter of a MiB in all by default.
            window: after so many counts all of them are halved.
        """
        self._rows = [bytearray(width) for _ in range(_ROWS)]
        self._width, self._window, self._left = width, window, window

    def add(self, key: bytes, times: int = 1) -> None:
        """It was asked for. Only counters that are less than its new count grow: others count other keys, too."""
        cells = self._cells(key)
        count = min(self._least(cells) + times, MOST)
        for row, cell in zip(self._rows, cells, strict=True):
            row[cell] = max(row[cell], count)
        self._left -= times
        if self._left <= 0:
            self._rows = [row.translate(_HALVED) for row in self._rows]
            self._left = self._window

    def estimate(self, key: bytes) -> int:
        """How often it was asked for lately: seldom more than the truth, never less in this window."""
        return self._least(self._cells(key))

    def _least(self, cells: list[int]) -> int:
        return min(row[cell] for row, cell in zip(self._rows, cells, strict=True))

    def _cells(self, key: bytes) -> list[int]:
        """The counter of a key in each row, of two hashes (Kirsch and Mitzenmacher 2008)."""
        first, second = mmh3.hash64(key, signed=False)
        return [(first + row * second) % self._width for row in range(_ROWS)]
