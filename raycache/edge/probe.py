"""What `raycache doctor` finds out on one machine, in a process there.

It travels to the nodes of a Ray by value, since another version of raycache may be installed there, or none: it needs
nothing but the standard library, and what it returns is a plain dict.
"""

from __future__ import annotations

from typing import Any


def probe() -> dict[str, Any]:
    """Versions, shared memory and authentication of this machine. Sweeps what dead sessions have left there."""
    import os
    import platform

    found: dict[str, Any] = {"python": platform.python_version(), "auth_mode": os.environ.get("RAY_AUTH_MODE", "")}
    found |= {package: _version(package) for package in ("raycache", "ray")}
    shared = "/dev/shm"
    if os.path.isdir(shared):
        room = os.statvfs(shared)
        found["shm_bytes"], found["shm_free_bytes"] = room.f_frsize * room.f_blocks, room.f_frsize * room.f_bavail
    try:
        from raycache.core.memory import sweep

        found["swept"] = len(sweep())
        from raycache.core.near import NearEntry

        found["compiled"] = NearEntry.__module__ == "raycache.core._entry"
    except Exception as error:  # not installed, or too different: its version says so
        found["raycache_error"] = f"{type(error).__name__}: {error}"
    return found


def wall_clock() -> float:
    """The time of this machine."""
    import time

    return time.time()


def _version(package: str) -> str | None:
    """What is installed, if it is."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
