"""Fingerprints of values: a typed, length-prefixed encoding that is the same in every process, hashed by blake3.

Two values have one fingerprint if and only if they are of the same types and hold the same, all the way down. The order
of dicts and sets does not count, all NaNs are one, -0.0 is not 0.0. Identity, `hash()`, `repr` and pickles have no
influence: whether two places share an object or hold equal ones makes no difference. What cannot be told is refused.
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from raycache.core.fingerprint import containers, standard
from raycache.core.fingerprint.atoms import ATOMS, DIGEST_BYTES
from raycache.core.fingerprint.describe import describe
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.registry import REGISTRY

__all__ = ["DIGEST_BYTES", "Encoder", "describe", "fingerprint"]

for _module in (containers, standard):
    _module.register(REGISTRY)


def fingerprint(value: Any, name: str = "value") -> bytes:
    """16 bytes that stand for the value; `name` is what an error calls it.

    Raises:
        UnhashableArgument: the value, or something in it, has no fingerprint; the message names its path and remedies.
    """
    atom = ATOMS.get(type(value))
    if atom is not None:
        return blake3(atom(value)).digest(DIGEST_BYTES)
    encoder = Encoder(REGISTRY.find)
    encoder.named(value, name)
    return encoder.digest()
