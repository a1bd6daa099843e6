"""Which code is installed and which is the user's own: installed code counts by its package's version only.

Installed is what lies in the standard library or below a site-packages or dist-packages folder and has a version, and
raycache itself. Everything else is the user's own: scripts, notebooks, editable installs, code without a file.
A version does not depend on which modules are loaded, so that every process finds the same one.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import sys
import sysconfig
from pathlib import PurePath
from typing import NamedTuple

from raycache._version import __version__

#: Distributions that are not called as the module they bring, which saves reading what all of them bring.
_CALLED = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "PyYAML", "attr": "attrs"}
_STDLIB = tuple({f"{sysconfig.get_path(each)}/" for each in ("stdlib", "platstdlib")})
_SITES = frozenset({"site-packages", "dist-packages"})

#: What runs as a program is the user's own, also in a process that installed code has started, as workers are.
MAIN = frozenset({"__main__", "__mp_main__"})


class Package(NamedTuple):
    """A package whose code counts by its version."""

    name: str
    version: str


PYTHON = Package("python", "{}.{}".format(*sys.version_info))


def package_of(module: str, filename: str = "") -> Package | None:
    """The package that code belongs to, by the file it was compiled from, else by its module; None: the user's own."""
    top = module.partition(".")[0]
    if not filename or filename.startswith("<"):
        return _package_of_module(top, getattr(sys.modules.get(module), "__file__", None))
    return _package_of_file(top, filename)


@functools.lru_cache(maxsize=4096)
def _package_of_module(top: str, filename: str | None) -> Package | None:
    if filename is not None:
        return _package_of_file(top, filename)
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return PYTHON
    loaded = getattr(sys.modules.get(top), "__file__", None)
    return None if loaded is None else _package_of_file(top, loaded)


@functools.lru_cache(maxsize=4096)
def _package_of_file(top: str, filename: str) -> Package | None:
    if top == "raycache":
        return _version("raycache")
    parts = PurePath(filename).parts
    site = next((at for at in reversed(range(len(parts))) if parts[at] in _SITES), None)
    if site is not None:  # the file knows the package even where a decorator has changed the module's name
        return _version(parts[site + 1].partition(".")[0]) if site + 1 < len(parts) else None
    return PYTHON if filename.startswith(_STDLIB) else None


def package_to_import(module: str) -> Package | None:
    """The package of a module that may not be imported yet, without importing anything."""
    if module in sys.modules:
        return package_of(module)
    top = module.partition(".")[0]
    try:
        spec = None if top in sys.modules else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return package_of(top)
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return PYTHON if origin in ("built-in", "frozen") else _package_of_module(top, origin and f"{origin}/")


@functools.lru_cache(maxsize=1024)
def _version(top: str) -> Package | None:
    """A top-level module's version; one that has none is looked into as if it were the user's own."""
    if top == "raycache":
        return Package(top, __version__)
    version = _distribution_version(_CALLED.get(top, top))
    if version is None:  # slow, since it reads what every distribution brings
        found = map(_distribution_version, sorted(_brought().get(top, ())))
        version = next(filter(None, found), None) or getattr(sys.modules.get(top), "__version__", None)
    return Package(top, version) if isinstance(version, str) else None


def _distribution_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _brought() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def installed(module: str | None) -> bool:
    """Whether a module of this name is installed; what runs as `__main__` is the user's own."""
    return module is not None and module not in MAIN and package_of(module) is not None
