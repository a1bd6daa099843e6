"""Getters for tests: each leaves a line for every run, and does with a key what the test has told it to.

They work by files alone, so that the test and the getter may be in different processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

from marks import Marks
from waiting import until

import raycache


class BackendBroken(Exception):
    """What a source raises when it was told to; has a field of its own and needs two arguments to be made."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]} (code {self.code})"


class Source:
    """A getter of one key; its value is the key's repr and the version of the source, both as text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = Marks(folder / "runs")
        folder.mkdir(exist_ok=True)

    def __call__(self, key: Any) -> str:
        return self._value(key)

    def _value(self, key: Any) -> str:
        version = self.version
        self._runs.add(f"{os.getpid()} {key!r}")
        todo = self._todo(key)
        if todo == "wait":
            until(lambda: self._over or self._todo(key) != "wait", f"the test lets {key!r} go on", 120.0)
            todo = self._todo(key)
        if todo == "raise":
            raise BackendBroken(f"no backend for {key!r}", 503)
        if todo == "be absent":
            raise raycache.NotFound(f"nobody is called {key!r}")
        if todo == "die":
            os._exit(3)
        if todo == "hang":
            until(lambda: self._over, "the test is over", 120.0)
        return self.value(key, version)

    def _todo(self, key: Any) -> str:
        try:
            return self._act(key).read_text()
        except FileNotFoundError:
            return ""

    def _act(self, key: Any) -> Path:
        return self._folder / hashlib.md5(repr(key).encode("utf-8", "surrogatepass")).hexdigest()

    @staticmethod
    def value(key: Any, version: str = "0") -> str:
        return f"{key!r} in version {version}"

    def will(self, act: str, *keys: Any) -> None:
        """From now on the getter will "raise", "be absent", "die", "hang" or "wait" for these keys.

        A getter that waits goes on when it is told something else, and does that.
        """
        for key in keys:
            self._act(key).with_suffix(".new").write_text(act)
            self._act(key).with_suffix(".new").rename(self._act(key))

    def behave(self, *keys: Any) -> None:
        """From now on these keys have values, also for a getter that waits with one."""
        for key in keys:
            self._act(key).unlink(missing_ok=True)

    @property
    def _over(self) -> bool:
        return (self._folder / "over").exists()

    def end(self) -> None:
        """The test is over: no getter waits or hangs any more."""
        (self._folder / "over").touch()

    @property
    def version(self) -> str:
        """Of all values; a getter reads it when it begins."""
        file = self._folder / "version"
        return file.read_text() if file.exists() else "0"

    @version.setter
    def version(self, version: str) -> None:
        (self._folder / "version.new").write_text(version)
        (self._folder / "version.new").rename(self._folder / "version")

    @property
    def runs(self) -> Counter[str]:
        """How often the getter has begun with a key, by its repr."""
        return Counter(line.partition(" ")[2] for line in self._runs.lines())

    def pids(self, key: Any) -> list[int]:
        """The processes in which it has begun with a key."""
        return [int(line.split(" ")[0]) for line in self._runs.lines() if line.partition(" ")[2] == repr(key)]

    def await_run(self, key: Any, number: int = 1) -> None:
        """Returns when the getter has begun with the key so many times."""
        until(lambda: self.runs[repr(key)] >= number, f"{number} runs of the getter for {key!r}")


class AsyncSource(Source):
    """The same, to be awaited."""

    async def __call__(self, key: Any) -> str:  # type: ignore[override]
        return self._value(key)


class BatchSource(Source):
    """A getter of many keys; what is absent is left out of what it returns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._calls = Marks(folder / "calls")

    def __call__(self, keys: list[Any]) -> dict[Any, str]:  # type: ignore[override]
        self._calls.add(repr(keys))
        values = {}
        for key in keys:
            with contextlib.suppress(raycache.NotFound):
                values[key] = self._value(key)
        return values

    @property
    def calls(self) -> list[list[Any]]:
        """The keys of each call."""
        return [eval(line) for line in self._calls.lines()]
