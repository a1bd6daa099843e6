"""A node's shared memory, where each access is a step: lease, ticket and slots of a shard, and its pages.

It belongs to the node and outlives the shard's processes. What LMDB does in one transaction is one step here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kernel import Kernel

from raycache.core import versions
from raycache.core.versions import Versions


class Words:
    """Mapped words, of which each is read or written at once."""

    __slots__ = ("_kernel", "_words")

    def __init__(self, kernel: Kernel, words: list[Any]) -> None:
        self._kernel, self._words = kernel, words

    def __getitem__(self, at: int) -> Any:
        kernel = self._kernel
        kernel.countdown -= 1
        if kernel.countdown < 0:
            kernel.interrupt()
        return self._words[at]

    def __setitem__(self, at: int, word: Any) -> None:
        self._kernel.step()
        self._words[at] = word

    def __len__(self) -> int:
        return len(self._words)


class Watched(Words):
    """Words of which somebody is told when one is read, and when one was written."""

    __slots__ = ("_read", "_written")

    def __init__(
        self,
        kernel: Kernel,
        words: Words,
        read: Callable[[int], None] = lambda _: None,
        written: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(kernel, words._words)
        self._read, self._written = read, written

    def __getitem__(self, at: int) -> Any:
        word = super().__getitem__(at)
        self._read(at)
        return word

    def __setitem__(self, at: int, word: Any) -> None:
        super().__setitem__(at, word)
        self._written(at)


class NodeVersions(Versions):
    """The real class over fake memory."""

    def __init__(self, kernel: Kernel) -> None:
        self.lease = Words(kernel, [0.0])
        self.ticket = Words(kernel, [0])
        self.slots = Words(kernel, [0] * versions.SLOTS)

    def close(self) -> None:
        pass


class NodePages:
    """What `raycache.core.pages.Pages` does, in a dict."""

    def __init__(self, kernel: Kernel) -> None:
        self._step, self._records = kernel.step, dict[bytes, bytes]()

    def get(self, key: bytes) -> bytes | None:
        self._step()
        return self._records.get(key)

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        self._step()
        records = self._records
        return {key: records[key] for key in keys if key in records}

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[bytes]:
        self._step()
        return sorted(key for key in self._records if key.startswith(prefix) and key > after)[:limit]

    def items(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        self._step()
        return sorted(item for item in self._records.items() if item[0] > after)[:limit]

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        self._step()
        for key in deletes:
            self._records.pop(key, None)
        self._records.update(puts)

    def delete(self, keys: list[bytes]) -> None:
        self.write({}, keys)

    def drop(self) -> None:
        self._step()
        self._records.clear()

    def delete_misplaced(self) -> int:
        return 0

    def clear_dead_readers(self) -> int:
        return 0

    def file_bytes(self) -> int:
        return 0

    def close(self) -> None:
        pass


class Memory:
    """What one shard's folder has."""

    def __init__(self, kernel: Kernel) -> None:
        self.versions, self.pages = NodeVersions(kernel), NodePages(kernel)
