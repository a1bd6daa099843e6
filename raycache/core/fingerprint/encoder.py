"""What handlers write to: a typed encoding without ambiguity, kept short by digests.

The encoding is a tree of digests: whatever takes more than 1 KiB is replaced by its digest, so that memory stays
bounded, and what is met again in the same value is not hashed again. What a value is replaced by depends on the value
alone: not on where it is, nor on whether it has been met before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from blake3 import blake3

from raycache.core.fingerprint.atoms import ATOMS, DIGEST_BYTES, count, data, digested
from raycache.core.fingerprint.describe import describe
from raycache.core.fingerprint.refusal import MAX_DEPTH, Refused, too_deep

_FOLD_BYTES = 1 << 10  # a value's encoding that is longer is replaced by its digest
_STREAM_BYTES = 64 << 10  # and so is what the items of a container have come to
_PIECE_BYTES = 64  # what is sorted is short, and what is shorter is not worth remembering
_MET_AGAIN = 10_000  # values remembered during one call, in case they are met again


def _folded(encoding: bytes | bytearray) -> bytes:
    return b"D" + blake3(encoding).digest(DIGEST_BYTES)


def _short(piece: bytes) -> bytes:
    return piece if len(piece) <= _PIECE_BYTES else _folded(piece)


class Encoder:
    """The encoding so far. Used for one value and then thrown away."""

    __slots__ = ("_depth", "_find", "_met", "out")

    def __init__(self, find: Callable[[type], Callable[[Any, Encoder], None]]) -> None:
        self.out = bytearray()
        self._find = find
        self._depth = 0
        #: By identity; the values are kept, so that none of them gives its id to another meanwhile.
        self._met: dict[int, tuple[Any, bytes]] = {}

    def digest(self) -> bytes:
        """The digest of all that was written."""
        return blake3(self.out).digest(DIGEST_BYTES)

    def named(self, value: Any, name: str) -> None:
        """Writes the outermost value, which whoever passed it calls `name`."""
        try:
            self.value(value)
        except Refused as refused:
            raise refused.error(name) from refused.__cause__

    def tag(self, tag: bytes) -> None:
        """Writes a handler's own tag, which tells its values from those of all others."""
        self.out += data(b"t", tag)

    def data(self, raw: Any) -> None:
        """Writes contiguous bytes; large ones are hashed where they lie."""
        self.out += data(b"d", raw)

    def digested(self, digest_of_data: bytes) -> None:
        """Writes large data (64 KiB and more) whose digest is known, as `data` writes them."""
        self.out += digested(b"d", digest_of_data)

    def value(self, child: Any, step: str | int = "") -> None:
        """Writes a value inside the handler's own; `step` is how to get there: `.name`, an index, `['key']`."""
        out, kind = self.out, type(child)
        atom = ATOMS.get(kind)
        if atom is not None:
            out += atom(child)
        elif id(child) in self._met:
            out += self._met[id(child)][1]
        else:
            start = len(out)
            self._depth += 1
            try:
                if self._depth > MAX_DEPTH:
                    raise too_deep(child)
                self._find(kind)(child, self)
            except Refused as refused:
                refused.leave(child)
                refused.step(step)
                raise
            self._depth -= 1  # only if nothing was raised: an encoder that has refused something is done
            if len(out) - start > _PIECE_BYTES:
                self._remember(child, start)

    def _remember(self, value: Any, start: int) -> None:
        """Keeps the encoding of a value that may be met again: what is shared at every level is in 2 ** n places."""
        if len(self.out) - start > _FOLD_BYTES:
            self._fold(start)
        if len(self._met) >= _MET_AGAIN:
            self._met.clear()
        self._met[id(value)] = (value, bytes(self.out[start:]))

    def _fold(self, start: int) -> None:
        folded = _folded(self.out[start:])
        del self.out[start:]
        self.out += folded

    def items(self, values: Iterable[Any], size: int) -> None:
        """Writes values in their order."""
        out, atom_of = self.out, ATOMS.get
        out += count(b"[", size)
        start = len(out)
        for index, item in enumerate(values):
            atom = atom_of(type(item))
            if atom is not None:
                out += atom(item)
            else:
                self.value(item, index)
            if len(out) - start > _STREAM_BYTES:
                self._fold(start)

    def mapping(self, items: Iterable[tuple[Any, Any]], step: Callable[[Any], str] = "[{}]".format) -> None:
        """Writes keys with their values, in no order; `step` makes a step of a key."""
        atom_of, pieces = ATOMS.get, []
        for key, value in items:
            key_atom, atom = atom_of(type(key)), atom_of(type(value))
            if key_atom is not None and atom is not None:
                pieces.append(_short(key_atom(key) + atom(value)))
            else:
                pieces.append(self._item(key, value, step))
        self._sorted(pieces)

    def _item(self, key: Any, value: Any, step: Callable[[Any], str]) -> bytes:
        start = len(self.out)
        self.value(key, ".keys()")
        try:
            self.value(value)
        except Refused as refused:
            refused.step(step(key))
            raise
        return self._piece(start)

    def unordered(self, values: Iterable[Any]) -> None:
        """Writes values in no order."""
        pieces: list[bytes] = []
        start = len(self.out)
        for value in values:
            self.value(value, ".pop()")
            pieces.append(self._piece(start))
        self._sorted(pieces)

    def _piece(self, start: int) -> bytes:
        """Takes back what was written last, to be sorted."""
        piece = bytes(self.out[start:])
        del self.out[start:]
        return _short(piece)

    def _sorted(self, pieces: list[bytes]) -> None:
        pieces.sort()
        self.out += count(b"{", len(pieces)) + data(b"d", b"".join(pieces))

    def passing(self, fn: Callable[[Any], Any], value: Any, step: str) -> None:
        """Writes what a user's function returns for the value."""
        try:
            stand_in = fn(value)
        except Exception as error:
            raise Refused(
                value, f"has no fingerprint: {describe(fn)} raised {type(error).__name__}: {error}"
            ) from error
        self.made(stand_in, step)

    def made(self, value: Any, step: str = "") -> None:
        """Writes a value that was made for this and ends with it: nobody will meet it again."""
        met, self._met = self._met, {}
        self.value(value, step)
        self._met = met
