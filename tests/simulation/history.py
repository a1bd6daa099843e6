"""What happened, and whether that may have happened: promise 2 of the design.

Every update of a key writes a new version of it to the source and then calls remove, set or clear. When that has
returned, no get that begins later may bring an older version, but for one: a `set` that had not returned when that
update began may have come after it.
"""

from __future__ import annotations

import math
from typing import Any

from kernel import Kernel, WrongValue


class Update:
    """One new version of one key."""

    __slots__ = ("began", "ended", "key", "kind", "version")

    def __init__(self, key: str, version: int, kind: str, began: float) -> None:
        self.key, self.version, self.kind, self.began = key, version, kind, began
        self.ended = math.inf


class History:
    """Source and judge."""

    def __init__(self, kernel: Kernel, keys: tuple[str, ...], large: frozenset[str]) -> None:
        self._kernel, self.keys = kernel, keys
        self._padding = {key: "." * 120_000 if key in large else "" for key in keys}
        self._updates = {key: [Update(key, 0, "source", 0.0)] for key in keys}
        self._ended: dict[str, list[Update]] = {key: [] for key in keys}
        self._agreed: dict[str, tuple[int, Any]] = {}
        self._tops: dict[str, list[int]] = {key: [0] for key in keys}  # the newest of the first n ended

    def source(self, key: str) -> str:
        """What a getter reads at this moment."""
        return self.value(self._updates[key][-1])

    def value(self, update: Update) -> str:
        return f"{update.key}:{update.version}:{self._padding[update.key]}"

    def begin(self, kind: str, keys: tuple[str, ...]) -> list[Update]:
        """Writes new versions to the source."""
        updates = []
        for key in keys:
            update = Update(key, len(self._updates[key]), kind, self._kernel.now)
            self._updates[key].append(update)
            updates.append(update)
            self._kernel.log(f"source: {key}:{update.version}, to be followed by {kind}")
        return updates

    def end(self, updates: list[Update]) -> None:
        """The operation has returned: it holds for every get that begins from now on."""
        for update in updates:
            update.ended = self._kernel.now
            self._ended[update.key].append(update)
            tops = self._tops[update.key]
            tops.append(max(tops[-1], update.version))
            self._kernel.log(f"{update.kind} of {update.key}:{update.version} has returned")

    def mark(self, key: str) -> int:
        """To be taken when a get begins: what has returned by then."""
        return len(self._ended[key])

    def check(self, who: Any, key: str, mark: int, began: float, value: Any, how: str = "get") -> int:
        """Judges what a get has returned; its version. Raises WrongValue."""
        name, _, rest = value.partition(":") if isinstance(value, str) else (value, "", "")
        number = rest.partition(":")[0]
        if name != key or not number.isdigit() or rest != f"{number}:{self._padding[key]}":
            raise WrongValue(f"{who} {how} {key}, begun at {began:.4f}: {value!r:.60} is no value of this key")
        version = int(number)
        if version < self._tops[key][mark]:
            got = self._updates[key][version]
            for update in self._ended[key][:mark]:
                if update.version > version and (got.kind != "set" or got.ended < update.began):
                    raise WrongValue(
                        f"{who} {how} {key}, begun at {began:.4f}: version {version} at {self._kernel.now:.4f}, and "
                        f"{update.kind} of version {update.version} had returned at {update.ended:.4f}"
                    )
        return version

    def check_agreed(self, who: Any, key: str, version: int) -> None:
        """Nothing was changed for long: whatever was begun is finished, and all see the same.

        But for what a `set` has put beside a newer version in the source: some may have loaded that anew.
        """
        agreed, other = self._agreed.setdefault(key, (version, who))
        if version != agreed and self._updates[key][min(version, agreed)].kind != "set":
            raise WrongValue(
                f"{who} gets version {version} of {key}, and {other} version {agreed}, long after any change"
            )
