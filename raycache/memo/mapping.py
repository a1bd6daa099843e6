"""`map` and `imap`: a function over many items. Cached ones at once, the others in parallel, in bounded memory.

Items are taken in blocks. A few blocks are under way at a time, so that the cluster always has work while results are
handed out; their size follows what the items cost.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

from raycache.core.calls import Arguments as Called
from raycache.core.fingerprint.values import describe
from raycache.core.lookup import Lookup
from raycache.errors import InvalidOption
from raycache.memo.binding import Binding, Changed, Computed
from raycache.memo.identity import Code, Work
from raycache.memo.memo import Memo

#: Blocks under way at once.
WINDOW = 3
#: Items in a block: at first, at least and at most. It is doubled and halved to take between these seconds.
FIRST_BLOCK, LEAST_BLOCK, MOST_BLOCK = 64, 4, 4096
QUICK_S, SLOW_S = 0.25, 2.0
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
    blocks = _Blocks(memo, front, fixed)
    total = len(iterable) if isinstance(iterable, Sized) else None
    return _results(blocks, iter(iterable), total, progress, return_exceptions, ordered)


def _results(
    blocks: _Blocks,
    items: Iterator[Any],
    total: int | None,
    progress: bool | None,
    return_exceptions: bool,
    ordered: bool,
) -> Iterator[Any]:
    pool = concurrent.futures.ThreadPoolExecutor(WINDOW, thread_name_prefix="raycache-map")
    pending: deque[concurrent.futures.Future[_Block]] = deque()
    try:
        with _bar(blocks.memo, total, progress) as bar:
            while True:
                while len(pending) < WINDOW and (some := list(itertools.islice(items, blocks.size))):
                    pending.append(blocks.begin(some, pool))
                if not pending:
                    return
                block = _next(pending, ordered)
                bar.update(len(block.items))
                bar.set_postfix(hits=blocks.hits, computed=blocks.computed, refresh=False)
                yield from block.results(return_exceptions)
    finally:  # also where nobody wants the rest; what is being computed is kept all the same
        pool.shutdown(wait=False, cancel_futures=True)


def _next(pending: deque[concurrent.futures.Future[_Block]], ordered: bool) -> _Block:
    if ordered:
        return pending.popleft().result()
    done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
    first = next(future for future in pending if future in done)
    pending.remove(first)
    return first.result()


def _bar(memo: Memo, total: int | None, progress: bool | None) -> Any:
    from tqdm.auto import tqdm  # here, as it looks for a notebook when it is imported

    disable = None if progress is None else not progress  # None: shown on a terminal and in notebooks
    delay = BAR_AFTER_S if progress is None else 0
    return tqdm(total=total, desc=memo.function.__name__, unit="item", disable=disable, delay=delay)


@dataclass
class _Block:
    """Some items, and what came of each: a value, or an exception in an `_Error`."""

    name: str
    first: int
    items: list[Any]
    outcomes: list[Any]

    def results(self, return_exceptions: bool) -> Iterator[Any]:
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


class _Places(NamedTuple):
    """The keys of some items, by their places in a block."""

    code: Code
    works: dict[bytes, Work]
    order: list[tuple[int, bytes]]


class _Blocks:
    """Makes blocks of items, and has each looked up and computed."""

    def __init__(self, memo: Memo, front: tuple[Any, ...], fixed: dict[str, Any]) -> None:
        self.memo, self._front, self._fixed = memo, front, fixed
        self.hits = self.computed = 0
        self._begun = 0
        self.size = FIRST_BLOCK
        if memo.options.where == "caller":  # what is claimed here nobody else can compute meanwhile
            self.size = LEAST_BLOCK
        if memo.options.batch is not None:
            self.size = max(self.size, memo.options.batch_size)

    def begin(self, items: list[Any], pool: concurrent.futures.ThreadPoolExecutor) -> concurrent.futures.Future[_Block]:
        """Looks some items up, and has the rest of them computed by a thread."""
        block = _Block(self.memo.identity.name, self._begun, items, [None] * len(items))
        self._begun += len(items)
        binding = self.memo.binding()
        places = self._quick(binding, block)
        plan = self._plan(block, places)
        look = binding.look(plan.works)
        self.hits += len(items) - len(places) + len(plan.works) - len(look.missing)
        self.computed += len(look.missing)
        if not look.done:
            context = contextvars.copy_context()
            return pool.submit(context.run, self._finish, binding, plan, look, block)
        self._adapt(0.0)
        future: concurrent.futures.Future[_Block] = concurrent.futures.Future()
        future.set_result(self._ended(binding, plan, look, {}, block))
        return future

    def _quick(self, binding: Binding, block: _Block) -> list[int]:
        """Fills in what needs no fingerprint; the places of the rest."""
        self.memo.see(self.memo.identity.code)
        if self._front or self._fixed:
            return list(range(len(block.items)))
        find, now, decoded = self.memo.quick.find, binding.reader.clock(), binding.reader.decoded
        rest: list[int] = []
        for place, item in enumerate(block.items):
            entry = find(item, now)
            if entry is None:
                rest.append(place)
            else:
                entry.hits += 1
                block.outcomes[place] = entry.value if entry.shared else decoded(entry.result)
        return rest

    def _plan(self, block: _Block, places: list[int]) -> _Places:
        """The keys of the items at these places; those that have no fingerprint are refused, each by itself."""
        code = self.memo.identity.code
        plan = _Places(code, {}, [])
        key_of = self._key if self.memo.options.batch is None else self._batch_keys()
        for place in places:
            try:
                digest, work = key_of(block.items[place], block.first + place)
            except Exception as error:  # UnhashableArgument, arguments that are not taken, and what a key= raises
                block.outcomes[place] = _Error(error)
                continue
            plan.works[code.digest + digest] = work
            plan.order.append((place, code.digest + digest))
        return plan

    def _key(self, item: Any, place: int) -> tuple[bytes, Work]:
        args = (*self._front, item)
        return self.memo.identity.arguments.digest(args, self._fixed), Work(Called(args, self._fixed))

    def _batch_keys(self) -> Any:
        identity = self.memo.identity
        called, _ = identity.without_items(self._front, self._fixed, [])
        return identity.items_of(called)

    def _finish(self, binding: Binding, plan: _Places, look: Lookup, block: _Block) -> _Block:
        began = time.perf_counter()
        while True:
            try:
                binding.group.drive(binding.ask(look, plan.code, plan.works))
                computed = self.memo.compute(binding, plan.code, plan.works, look)
                break
            except Changed:  # by the code that there is now
                plan = self._plan(block, [place for place, _ in plan.order])
                look = binding.look(plan.works, counted=False)
        self._adapt(time.perf_counter() - began)
        return self._ended(binding, plan, look, computed, block)

    def _adapt(self, took_s: float) -> None:
        if took_s < QUICK_S:
            self.size = min(2 * self.size, MOST_BLOCK)
        elif took_s > SLOW_S:
            self.size = max(self.size // 2, LEAST_BLOCK)

    def _ended(
        self, binding: Binding, plan: _Places, look: Lookup, computed: Mapping[bytes, Computed], block: _Block
    ) -> _Block:
        for place, key in plan.order:
            try:
                block.outcomes[place] = self.memo.value_of(binding, key, look, computed)
            except Exception as error:  # noqa: PERF203  # each item has its own
                block.outcomes[place] = _Error(error)
            else:
                if not self._front:
                    self.memo.alias(binding, plan.code, key, (block.items[place],), self._fixed)
        return block
