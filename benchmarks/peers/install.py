"""What peers need on this machine: programs from Debian's packages, which root gets by itself, and Python packages."""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import NotRun

_GO_SOURCES = "/usr/share/gocode"


@functools.cache
def program(name: str, *packages: str) -> str:
    """The path of a program; installs it where root may. Raises NotRun where it cannot be had."""
    if (found := _which(name)) is not None:
        return found
    wanted = " ".join(packages)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"{name} is missing; installing it with apt-get install -y {wanted}", file=sys.stderr)
        _apt_get("update")
        _apt_get("install", "-y", "--no-install-recommends", *packages)
        if (found := _which(name)) is not None:
            return found
    raise NotRun(f"{name} is not installed: apt-get install {wanted}")


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/go/bin"]))


def _apt_get(*arguments: str) -> None:
    # In runlevel 1 packages do not start servers of their own.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotRun(f"apt-get {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}")


def go_program(source: Path, folder: str) -> str:
    """The path of a Go program that uses groupcache, built into a folder; what it needs comes from Debian alone."""
    go = program("go", "golang-go", "golang-github-golang-groupcache-dev")
    if not Path(_GO_SOURCES, "src/github.com/golang/groupcache").exists():
        raise NotRun("groupcache is not installed: apt-get install golang-github-golang-groupcache-dev")
    binary = os.path.join(folder, source.name)
    environment = os.environ | {"GO111MODULE": "off", "GOFLAGS": "", "GOPATH": _GO_SOURCES, "GOPROXY": "off"}
    environment |= {"GOCACHE": os.path.join(folder, "cache")}
    done = subprocess.run([go, "build", "-o", binary, "."], cwd=source, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotRun(f"go build of {source} failed: {done.stderr.strip()[-300:]}")
    return binary


def package(name: str) -> Any:
    """An imported Python package; raises NotRun where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotRun(f"the package {name} is not installed: pip install 'raycache[bench]'") from error
