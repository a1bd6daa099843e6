"""`map` and `imap`: a function over many items. Cached ones at once, the others in parallel, in bounded memory.

Items are taken in blocks. A few blocks are under way at a time, so that the cluster always has work while results are
handed out; their size follows what the items cost. An item has its key, and is packed for its task, before the next one
is read, and what this process computes itself is computed by then: an iterator may use one object again and again.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any

from raycache.core.calls import Arguments as Called
from raycache.core.fingerprint.immutable import is_immutable
from raycache.core.fingerprint.values import describe
from raycache.core.futures import pending
from raycache.core.lookup import MISS
from raycache.core.messages import Call
from raycache.core.near import UNSHARED
from raycache.errors import InvalidOption
from raycache.memo.binding import Binding, Changed, Changes
from raycache.memo.identity import Code, Work
from raycache.memo.memo import Memo

#: Blocks that are computed at once; more wait to be handed out only behind a slow one, so many items at most.
WINDOW, MOST_READ = 6, 8192
#: Items in a block: at first, for each shard, and at most. Doubled while a block takes less than this, else halved.
FIRST_BLOCK, MOST_BLOCK = 8, 1024
QUICK_S, SLOW_S = 0.25, 2.0
#: A block ends early when reading its items takes longer than this.
READ_S = 0.25
#: A bar appears when it takes longer than this.
BAR_AFTER_S = 1.0


def imap(
    memo: Memo,
    front: tuple[Any, ...],
    iterable: Iterable[Any],
    fixed: dict[str, Any],
    *,
    progress: bool | None,
    return_exceptions: bool,
    ordered: bool,
) -> Iterator[Any]:
    """Results of `memo` for items; see `Memoized.map`. What is wrong with the arguments is raised at once."""
    if progress not in (None, True, False):
        raise InvalidOption(f"progress={progress!r:.100}: True, False, or None for where somebody sees it")
    if not isinstance(iterable, Iterable):
        raise TypeError(f"{memo.identity.name}.map() takes an iterable of items, not {iterable!r:.100}")
    total = len(iterable) if isinstance(iterable, Sized) else None
    return _results(_Blocks(memo, front, fixed), iterable, total, progress, return_exceptions, ordered)


def _results(
    blocks: _Blocks,
    iterable: Iterable[Any],
    total: int | None,
    progress: bool | None,
    return_exceptions: bool,
    ordered: bool,
) -> Iterator[Any]:
    items, under_way = iter(iterable), _UnderWay(ordered)
    try:
        with _bar(blocks.memo, total, progress) as bar:
            while True:
                while under_way.has_room(blocks.window) and (begun := blocks.begin(items)) is not None:
                    under_way.add(begun)
                if not len(under_way):
                    return
                if (block := under_way.take()) is not None:
                    bar.update(len(block.items))
                    bar.set_postfix(hits=blocks.hits, computed=blocks.computed, refresh=False)
                    yield from block.results(return_exceptions)
    finally:  # also where nobody wants the rest; what is being computed is kept all the same
        blocks.stopped = True


def _bar(memo: Memo, total: int | None, progress: bool | None) -> Any:
    from tqdm.auto import tqdm  # here, as it looks for a notebook when it is imported

    disable = None if progress is None else not progress  # None: shown on a terminal and in notebooks
    delay = BAR_AFTER_S if progress is None else 0
    return tqdm(total=total, desc=memo.function.__name__, unit="item", disable=disable, delay=delay)


@dataclass(eq=False)
class _Block:
    """Some items, and what came of each: a value, or an exception in an `_Error`."""

    name: str
    code: Code
    first: int
    items: list[Any] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    #: What must be computed: places and the fingerprints of their arguments, and how, by fingerprint.
    missing: list[tuple[int, bytes]] = field(default_factory=list)
    works: dict[bytes, Work] = field(default_factory=dict)
    calls: dict[bytes, Call] = field(default_factory=dict)
    done: concurrent.futures.Future[None] = field(default_factory=pending)

    def results(self, return_exceptions: bool) -> Iterator[Any]:
        self.done.result()  # or what ended it
        for place, outcome in enumerate(self.outcomes):
            if not isinstance(outcome, _Error):
                yield outcome
            elif return_exceptions:
                yield outcome.error
            else:
                error = outcome.error
                item = describe(self.items[place])
                note = f"raised by {self.name} for item {self.first + place}: {item}; what was computed before is kept"
                error.__notes__ = [*getattr(error, "__notes__", ()), note]  # type: ignore[attr-defined]
                raise error


@dataclass
class _Error:
    """In place of a result: told from an exception that is one."""

    error: BaseException


class _UnderWay:
    """The blocks that were begun and not handed out yet."""

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._blocks: deque[_Block] = deque()

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, block: _Block) -> None:
        self._blocks.append(block)

    def has_room(self, window: int) -> bool:
        """Whether to begin another block, rather than to hand one out or to wait."""
        computing = sum(not block.done.done() for block in self._blocks)
        if computing >= window or sum(len(block.items) for block in self._blocks) >= MOST_READ:
            return False
        return len(self._blocks) < window or self._ready() is None

    def take(self) -> _Block | None:
        """The next block to be handed out; None after waiting for another one that had to end first."""
        if (ready := self._ready()) is not None:
            self._blocks.remove(ready)
            return ready
        computing = [block.done for block in self._blocks if not block.done.done()]
        concurrent.futures.wait(computing, return_when=concurrent.futures.FIRST_COMPLETED)
        return None

    def _ready(self) -> _Block | None:
        some = itertools.islice(self._blocks, 1) if self._ordered else self._blocks
        return next((block for block in some if block.done.done()), None)


class _Blocks:
    """Makes blocks of items, and has each looked up and computed."""

    def __init__(self, memo: Memo, front: tuple[Any, ...], fixed: dict[str, Any]) -> None:
        self.memo, self._front, self._fixed = memo, front, fixed
        self.hits = self.computed = 0
        self.stopped = False  # nobody wants the rest
        self._begun = 0
        self._here = memo.options.where == "caller"  # computed by this thread, one block at a time
        self.window = 1 if self._here else WINDOW
        self._size = self._least = 0

    def begin(self, items: Iterator[Any]) -> _Block | None:
        """Takes the next items, and has computed what is missing of them: by a thread that waits, or here. None: there
        are no more."""
        binding = self.memo.binding()
        block = self._block(binding, items)
        if not block.items:
            return None
        self._begun += len(block.items)
        self.computed += len(block.works)
        self.hits += sum(not isinstance(each, _Error) for each in block.outcomes) - len(block.missing)
        if not block.missing:
            self._adapt(block, 0.0)
            block.done.set_result(None)
        elif self._here:
            self._finish(binding, block)
            block.done.set_result(None)
        else:
            work = contextvars.copy_context().run
            threading.Thread(
                target=work, args=(self._finish_later, binding, block), name="raycache-map", daemon=True
            ).start()
        return block

    # ------------------------------------------------------------------------------------------- reading

    def _block(self, binding: Binding, items: Iterator[Any]) -> _Block:
        self.memo.see(code := self.memo.identity.code)
        block = _Block(self.memo.identity.name, code, self._begun)
        if not self._size:
            self._size = self._least = self._first_size(binding)
        some: Iterable[Any] = itertools.islice(items, self._size)
        if self._here and self.memo.options.batch is not None:
            some = list(some)  # they are computed in one call: their keys are of what they are then
        find, clock, decoded = self.memo.quick.find, binding.reader.clock, binding.reader.decoded
        slow, alone = self._slow(binding, block), self._here and self.memo.options.batch is None
        simple = not self._front and not self._fixed
        until = clock() + READ_S
        for item in some:
            now = clock()
            entry = find(item, now) if simple else None
            block.items.append(item)
            if entry is not None:
                entry.hits += 1
                block.outcomes.append(decoded(entry.result) if entry.value is UNSHARED else entry.value)
            else:
                slow(item)
                if alone and block.missing and not is_immutable(item):
                    break
            if now > until:
                break
        return block

    def _first_size(self, binding: Binding) -> int:
        """Items of the first block."""
        options = self.memo.options
        if self._here:
            return 1 if options.batch is None else options.batch_size
        least = FIRST_BLOCK * max(len(binding.client.members.ring.members), 1)
        return least if options.batch is None else max(least, options.batch_size)

    def _slow(self, binding: Binding, block: _Block) -> Callable[[Any], None]:
        """What takes in an item that needs a fingerprint: its result, or what its task is to be called with."""
        memo, prefix, here = self.memo, block.code.digest, binding.reader.here
        batch = memo.options.batch is not None
        key_of: Any = self._batch_keys() if batch else self._key
        shared: dict[int, Any] = {}  # what the items of a batch share is packed once

        def take(item: Any) -> None:
            place = len(block.outcomes)
            block.outcomes.append(None)
            try:
                digest, work = key_of(item, block.first + place)
                got = MISS if digest in block.works else here(prefix + digest)
                if got is not MISS:
                    block.outcomes[place] = memo.meant(binding, got)
                    self._alias(binding, block, place, digest)
                    return
                if digest not in block.works:
                    if not self._here:
                        block.calls[digest] = binding.call(work, shared if batch else {})
                    block.works[digest] = work
                block.missing.append((place, digest))
            except Exception as error:  # it has no fingerprint, is not taken, cannot travel, or its key= raises
                block.outcomes[place] = _Error(error)

        return take

    def _key(self, item: Any, place: int) -> tuple[bytes, Work]:
        args = (*self._front, item)
        return self.memo.identity.arguments.digest(args, self._fixed), Work(Called(args, self._fixed))

    def _batch_keys(self) -> Any:
        identity = self.memo.identity
        called, _ = identity.without_items(self._front, self._fixed, [])
        return identity.items_of(called)

    # ----------------------------------------------------------------------------------------- computing

    def _finish_later(self, binding: Binding, block: _Block) -> None:
        try:
            self._finish(binding, block)
        except BaseException as error:
            block.done.set_exception(error)
        else:
            block.done.set_result(None)

    def _finish(self, binding: Binding, block: _Block) -> None:
        """Has the missing ones computed."""
        memo, full_of, began = self.memo, binding.reader.full, time.perf_counter()
        changes, first = Changes(memo.identity.name), True
        while True:
            prefix = block.code.digest
            works = {prefix + digest: work for digest, work in block.works.items()}
            calls = {full_of(prefix + digest): call for digest, call in block.calls.items()}
            look = binding.look(works, counted=first, local=not first)
            try:
                computed = memo.run(memo.finish(binding, block.code, works, look, calls=None if self._here else calls))
                break
            except Changed:  # by the code that there is now
                if self.stopped:
                    raise
                changes.seen(block.code)
                block.code, first = memo.identity.code, False
        self._adapt(block, time.perf_counter() - began)
        given: set[bytes] = set()
        for place, digest in block.missing:
            try:
                block.outcomes[place] = memo.value_of(binding, prefix + digest, look, computed, given)
            except Exception as error:  # noqa: PERF203  # each item has its own
                block.outcomes[place] = _Error(error)
            else:
                self._alias(binding, block, place, digest)
        block.works.clear()
        block.calls.clear()

    def _alias(self, binding: Binding, block: _Block, place: int, digest: bytes) -> None:
        if not self._front:
            key = block.code.digest + digest
            self.memo.alias(binding, block.code, key, (block.items[place],), self._fixed)

    def _adapt(self, block: _Block, took_s: float) -> None:
        """The size of the next blocks, by one of the present size."""
        if took_s < QUICK_S and len(block.items) >= self._size:
            self._size = min(2 * self._size, max(MOST_BLOCK, self._size))
        elif took_s > SLOW_S and len(block.items) <= self._size:
            self._size = max(self._size // 2, self._least)
