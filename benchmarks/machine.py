"""What a figure depends on: the machine, the versions, the commit."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("ray", "raycache", "lmdb", "mmh3", "cloudpickle", "numpy", "blake3", "uvloop"),
    *("redis", "hiredis", "pymemcache", "diskcache", "joblib", "cachetools", "cachebox", "theine", "libcachesim"),
    *("uvicorn", "httptools", "starlette", "grpcio"),
)
#: Programs that are measured, how they tell their version, and where it stands in what they say.
_PROGRAMS = {
    "redis-server": (("redis-server", "--version"), r"v=(\S+)"),
    "memcached": (("memcached", "-V"), r"memcached (\S+)"),
    "go": (("go", "version"), r"go version go(\S+)"),
    "wrk": (("wrk", "-v"), r"wrk (\S+)"),
    "groupcache": (("dpkg-query", "-W", "golang-github-golang-groupcache-dev"), r"\t(\S+)"),
}


def describe() -> dict[str, Any]:
    """Machine, versions, commit and date, for the JSON and the table's foot."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _grep("/proc/cpuinfo", r"model name\s*: (.*)") or platform.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": int(_grep("/proc/meminfo", r"MemTotal:\s*(\d+) kB") or 0) * 1024,
            "shared_memory_bytes": shutil.disk_usage("/dev/shm").total,
            "system": platform.platform(),
            "load_average_before": os.getloadavg()[0],
        },
        "versions": versions(),
    }


def versions() -> dict[str, str | None]:
    """Of everything that is measured; of what is not installed None."""
    packages = {package: _version(package) for package in _PACKAGES}
    programs = {name: _said(*told) for name, told in _PROGRAMS.items()}
    return {"python": platform.python_version(), **packages, **programs}


def line(about: dict[str, Any]) -> str:
    """All of it that a reader of the table needs, in one line."""
    machine = about["machine"]
    named = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; {named}; "
        f"commit {about['commit']}; {about['date']}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said(command: tuple[str, ...], pattern: str) -> str | None:
    match = re.search(pattern, _run(*command))
    return match[1] if match else None


def _commit() -> str:
    folder = os.fspath(Path(__file__).parent)
    commit = _run("git", "-C", folder, "rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _run("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with changes" if changed else commit


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _grep(file: str, pattern: str) -> str | None:
    match = re.search(pattern, Path(file).read_text())
    return match[1] if match else None
