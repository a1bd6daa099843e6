"""Notes: what a shard remembers of the calls of memoized functions, so that `explain` can say why one missed.

A note outlives its entry: it tells what became of it. Bounded in number; the oldest go first. Not thread-safe.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from raycache.core import record
from raycache.core.messages import Explain, Explained, Known, group_of

#: Notes of one shard, and how many of the newest ones of a function are compared with a call.
MOST, COMPARED = 20_000, 1_000
#: Characters of what a call has raised.
MOST_SAID = 500

#: Of a part of a function or of an argument: a digest, and text for people.
Parts = Mapping[str, tuple[bytes, str]]


@dataclass(slots=True)
class _Note:
    about: bytes  # of the definition: one object for all its notes, and none of its getter
    arguments: bytes
    stored: float
    expires: float
    cost_s: float
    size: int
    fate: str
    said: str = ""


def parts_of(packed: bytes) -> Parts:
    """Parts as they were packed by whoever called."""
    parts: Parts = pickle.loads(packed) if packed else {}
    return parts


def differences(one: Parts, other: Parts) -> list[str]:
    """The names of what is not the same."""
    names = dict.fromkeys([*one, *other])
    return [name for name in names if one.get(name, (b"",))[0] != other.get(name, (b"",))[0]]


class Notes:
    """The notes of one shard. `present` says whether an entry is still there."""

    def __init__(self, present: Callable[[bytes], bool], clock: Callable[[], float]) -> None:
        self._present, self._clock = present, clock
        self._notes: OrderedDict[bytes, _Note] = OrderedDict()

    def __len__(self) -> int:
        return len(self._notes)

    def add(
        self, key: bytes, about: bytes, arguments: bytes, expires: float, cost_s: float, size: int, fate: str
    ) -> None:
        """A call was computed just now."""
        self._put(key, _Note(about, arguments, self._clock(), expires, cost_s, size, fate))

    def failed(self, key: bytes, about: bytes, arguments: bytes, cost_s: float, said: str) -> None:
        """A call has raised just now. An older result that is still there is what counts."""
        if not self._present(key):
            self._put(key, _Note(about, arguments, self._clock(), record.NEVER, cost_s, 0, "failed", said[:MOST_SAID]))

    def _put(self, key: bytes, note: _Note) -> None:
        self._notes[key] = note
        self._notes.move_to_end(key)
        if len(self._notes) > MOST:
            self._notes.popitem(last=False)

    def removed(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            if (note := self._notes.get(key)) is not None and note.fate != "failed":
                note.fate = "removed"

    def removed_group(self, group: int) -> None:
        self.removed(self._of(group))

    def forget_group(self, group: int) -> None:
        for key in self._of(group):
            del self._notes[key]

    def _of(self, group: int) -> list[bytes]:
        return [key for key in self._notes if group_of(key) == group]

    def known(self, key: bytes) -> Known | None:
        """What is remembered of a call."""
        note = self._notes.get(key)
        if note is None:
            return None
        fate = self._fate(key, note)
        return Known(note.about, note.arguments, note.stored, note.expires, note.cost_s, note.size, fate, note.said)

    def _fate(self, key: bytes, note: _Note) -> str:
        if note.fate or self._present(key):
            return note.fate
        return "expired" if note.expires <= self._clock() else "evicted"

    def explain(self, ask: Explain, stored: bytes | None, *, computing: bool) -> Explained:
        """What is known of a call whose record, if there is one, is this."""
        entry = self.known(ask.key)
        if stored is not None:  # the record knows best, also where a restarted shard has no note of it
            head, size = record.header(stored), record.value_bytes(stored) - record.OVERHEAD_BYTES
            known = entry or Known(b"", b"", 0.0, 0.0, 0.0, 0, "")
            entry = known._replace(
                stored=head.stored, expires=head.expires, cost_s=head.cost_s, size=size, fate="", said=""
            )
        nearest, count = (None, 0) if entry is not None else self._nearest(ask)
        return Explained(entry, computing, nearest, count, self._clock())

    def _nearest(self, ask: Explain) -> tuple[Known | None, int]:
        """The call of the same function that differs in the fewest parts, the newest of several; and in how many."""
        code, arguments = parts_of(ask.about), parts_of(ask.note)
        codes: dict[bytes, int] = {}
        best: tuple[int, bytes] | None = None
        group = group_of(ask.key)
        newest = (key for key in reversed(self._notes) if group_of(key) == group and key != ask.key)
        for key in islice(newest, COMPARED):
            note = self._notes[key]
            if note.about not in codes:
                codes[note.about] = len(differences(code, parts_of(note.about)))
            count = codes[note.about] + len(differences(arguments, parts_of(note.arguments)))
            if best is None or count < best[0]:
                best = count, key
        return (None, 0) if best is None else (self.known(best[1]), best[0])
