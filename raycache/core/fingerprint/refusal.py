"""What cannot be told from others is refused: the exception that travels up, and the message it becomes.

The path is put together on the way up, so that it costs nothing when all goes well.
"""

from __future__ import annotations

from typing import Any

from raycache.errors import UnhashableArgument

MAX_DEPTH = 150  # what a stack of Python's usual 1,000 frames has room for


class Refused(Exception):
    """A value without a fingerprint, on its way up to whoever knows the name of the outermost one."""

    def __init__(self, value: Any, reason: str = "", remedy: str = "") -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.remedy = remedy
        self._steps: list[str] = []
        #: The values that were passed, with the number of steps known then.
        self._passed: list[tuple[Any, int]] = []

    def step(self, step: str | int) -> None:
        """How the container that is left now holds what has been passed."""
        self._steps.append(f"[{step}]" if isinstance(step, int) else step)

    def leave(self, container: Any) -> None:
        """The container through which the refusal travels."""
        self._passed.append((container, len(self._steps)))

    def error(self, name: str) -> UnhashableArgument:
        """The error for whoever passed the value as `name`."""
        cycle = self._cycle()
        if cycle is not None:
            outer, inner = (self._path(name, steps) for steps in cycle)
            return UnhashableArgument(
                f"`{inner}` is `{outer}` itself: what contains itself has no fingerprint; {_remedies(name)}"
            )
        path = self._path(name, 0)
        if self.reason:
            return UnhashableArgument(f"`{path}` {self.reason}; {self.remedy or _remedies(name)}")
        return UnhashableArgument(
            f"`{path}` is of type {type_name(type(self.value))}, which has no fingerprint; "
            f"{_remedies(name, type(self.value).__name__)}"
        )

    def _path(self, name: str, steps: int) -> str:
        """The path of the value that had been reached when so many steps were not yet known."""
        path = name + "".join(reversed(self._steps[steps:]))
        return path if len(path) <= 200 else f"{path[:120]}...{path[-60:]}"

    def _cycle(self) -> tuple[int, int] | None:
        """The first value on the way down that was met again below itself: the steps to it, and to it again."""
        seen: dict[int, int] = {}
        for value, steps in reversed(self._passed):
            if id(value) in seen:
                return seen[id(value)], steps
            seen[id(value)] = steps
        return None


def too_deep(value: Any) -> Refused:
    """The refusal of a value that lies too deep, which may be because something contains itself."""
    return Refused(value, f"lies more than {MAX_DEPTH} levels deep")


def type_name(kind: type) -> str:
    """A type's name for people; a builtin's without its module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _remedies(argument: str, kind: str = "type") -> str:
    return (
        f"pass something simpler, leave it out (ignore=[{argument!r}]), make the key yourself (key=, a function of the "
        f"arguments), define __raycache_key__ on the class, or call raycache.register_fingerprint({kind}, fn)"
    )
