"""What a function's own code says and what it reads, found once for each code object."""

from __future__ import annotations

import types
from typing import Any, NamedTuple

from raycache.core.fingerprint import bytecode, syntax
from raycache.core.fingerprint.identity import ByIdentity
from raycache.core.fingerprint.reads import Read, reads


class Analysis(NamedTuple):
    """Of one code object. Without source it is known by its bytecode, which is of one version of Python."""

    digest: bytes
    reads: tuple[Read, ...]
    source: bool


_known: ByIdentity[Analysis] = ByIdentity(4096)


def analyse(code: types.CodeType, namespace: dict[str, Any]) -> Analysis:
    """What the code says and reads; `namespace` are its globals, whose loader may have the source."""
    found = _known.get(code)
    if found is None:
        found = _analyse(code, namespace)
        _known.put(code, found)
    return found


def _analyse(code: types.CodeType, namespace: dict[str, Any]) -> Analysis:
    says = syntax.proven(code, namespace)
    if says is None:
        return Analysis(bytecode.digest(code), tuple(reads(code)), False)
    return Analysis(says.digest, tuple(read for read in reads(code) if _written(read, says.names)), True)


def _written(read: Read, names: frozenset[str]) -> bool:
    """Whether a name stands in the syntax: what only annotations mention does not count."""
    parts = {*read.name.lstrip(".").split("."), *read.attributes} - {""}
    # `__class__` is read by super(), and a private name in a class has the class's name before it.
    return all(part in names or part.startswith("_") for part in parts)
