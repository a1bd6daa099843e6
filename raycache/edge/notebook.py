"""IPython's commands: `%%raycache a b` keeps the variables that a cell sets, `%raycache` shows the report.

* What is kept lies under the cell's code, all that it reads, and the names: none of that has changed when it is found.
* Once a cell has run, nothing about the cache makes it fail; what could not be kept is told on stderr.
* Variables from the cache are the notebook's own and may be changed, like those that the cell sets when it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import keyword
import pickle
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from raycache.cache import Cache
from raycache.connecting import connect
from raycache.core.codec import Blob, decode
from raycache.core.fingerprint.code import code_of_source
from raycache.core.keys import Key
from raycache.errors import (
    GroupConflict,
    InvalidOption,
    RaycacheError,
    UncacheableValue,
    UnknownGroup,
    ValueTooLarge,
)
from raycache.group import Group
from raycache.options import parse_seconds
from raycache.report import Report
from raycache.units import ago_text, size_text, time_text

NAME = "raycache"
#: The group that cells are kept in. Whoever registers it first, without a getter, chooses its capacity.
GROUP = "notebook"
#: Of a shard, where it is registered here: tables and arrays are what notebooks keep.
_GROUP_FRACTION = 4
_UNSET = object()


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext raycache`."""
    ipython.register_magic_function(_Magic(ipython).raycache, "line_cell", NAME)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext raycache`."""
    for magics in ipython.magics_manager.magics.values():
        magics.pop(NAME, None)


class Kept(NamedTuple):
    """What lies in the cache for one cell."""

    at: float  # when the cell ran, in seconds since the epoch
    took_s: float
    tag: int  # of the codec
    data: Any  # the variables, encoded together: what they share they share again


class _Ran(NamedTuple):
    """How a cell ran in this process."""

    at: float  # seconds since the epoch
    took_s: float
    failure: BaseException | None


class _Magic:
    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._parser = _parser()

    def raycache(self, line: str, cell: str | None = None) -> Report | None:
        """%%raycache NAME [NAME ...] [--ttl TTL] [--force] [--cache CACHE]

        Keeps the variables that a cell sets. The next time that the same cell is run with the same data, in any process
        of the cluster, they come from the cache and the cell is not run. Comments and layout of the cell do not count;
        its code, the functions it calls and the values it reads do. What the cell prints, draws and writes is not kept.

        %raycache [--cache CACHE]

        Shows what the cache has saved.
        """
        options = self._parser.parse_argstring(line)
        try:
            if cell is None:
                return self._report(options)
            failure = self._cell(_checked(options), cell)
        except InvalidOption as error:
            raise UsageError(str(error)) from None
        if failure is not None:  # raised here, so that its traceback shows nothing but the cell
            raise failure
        return None

    def _report(self, options: argparse.Namespace) -> Report:
        if options.names or options.ttl or options.force:
            raise UsageError(
                f"%{NAME} shows the report and takes --cache alone; to keep the variables of a cell, begin the cell "
                f"with %%{NAME} {' '.join(options.names) or 'NAME'}"
            )
        return self._cache(options.cache).report()

    def _cache(self, name: str | None) -> Cache:
        held = self._shell.user_ns.get(name)
        return held if isinstance(held, Cache) else connect() if name is None else connect(name)

    # ---------------------------------------------------------------------------------------------- cells

    def _cell(self, options: argparse.Namespace, source: str) -> BaseException | None:
        """Loads the variables, or runs the cell; what the cell raised."""
        self._check_await(source)
        try:
            cache = self._cache(options.cache)
            group = _group(cache)
            key = self._key(source, options.names)
            kept = None if options.force else _kept(group, key)
        except InvalidOption:
            raise
        except SyntaxError as error:
            return error.with_traceback(None)
        except RaycacheError as error:
            _complain(f"the cell is not cached: {error}")
            return self._run(source).failure
        if kept is None:
            return self._compute(cache, group, key, options, source)
        values, ran = kept
        self._shell.push(values)
        ago, took = ago_text(time.time() - ran.at), time_text(ran.took_s)
        _tell(f"loaded {', '.join(options.names)} (computed {ago} in {took})")
        return None

    def _check_await(self, source: str) -> None:
        """A Jupyter kernel runs commands inside its event loop, where nothing can wait for a cell that awaits."""
        if asyncio._get_running_loop() is None:
            return
        if self._shell.should_run_async(source, transformed_cell=self._shell.transform_cell(source)):
            raise UsageError(
                f"a cell under %%{NAME} cannot await here, as the notebook's event loop is running already; await in a "
                f"cell without it"
            )

    def _key(self, source: str, names: Sequence[str]) -> Key:
        """The cell's code, what it reads, and the names. Raises UnhashableArgument, SyntaxError."""
        code = code_of_source(self._shell.transform_cell(source), self._shell.user_ns, "cell")
        return (code.digest, *sorted(names))

    def _run(self, source: str) -> _Ran:
        """Runs a cell as if there were no %%raycache above it."""
        with self._errors_are_ours():
            at, began = time.time(), time.perf_counter()
            result = self._shell.run_cell(source)
            took_s = time.perf_counter() - began
        return _Ran(at, took_s, result.error_before_exec or result.error_in_exec)

    @contextmanager
    def _errors_are_ours(self) -> Iterator[None]:
        """The shell shows an error of the cell once, when it has left the magic: then the cell counts as failed."""
        shell = self._shell
        before = shell.custom_exceptions, shell.CustomTB
        shell.set_custom_exc((BaseException,), lambda *_, **__: None)
        try:
            yield
        finally:
            shell.custom_exceptions, shell.CustomTB = before

    def _compute(
        self, cache: Cache, group: Group, key: Key, options: argparse.Namespace, source: str
    ) -> BaseException | None:
        """Runs the cell and keeps what it set; what the cell raised."""
        before = self._values(options.names)
        ran = self._run(source)
        if ran.failure is not None:
            _complain("nothing is kept, as the cell failed")
            return ran.failure
        values = self._values(options.names)
        if unset := _unset(before, values, source):
            _complain(f"nothing is kept, as the cell does not set {_quoted(unset)}")
            return None
        try:
            size = _keep(cache, group, key, values, ran, options.ttl)
        except RaycacheError as error:
            _complain(f"nothing is kept: {error}")
        else:
            _tell(f"kept {', '.join(values)} (computed in {time_text(ran.took_s)}, {size_text(size)})")
        return None

    def _values(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self._shell.user_ns.get(name, _UNSET) for name in names}


# ----------------------------------------------------------------------------------------------- what is asked


def _parser() -> Any:
    parser = MagicArgumentParser(f"%%{NAME}")
    parser.add_argument("names", nargs="*", help="variables that the cell sets")
    parser.add_argument("--ttl", help="how long they are kept, like 90, 1h or 7d; by default until they are evicted")
    parser.add_argument("--force", action="store_true", help="run the cell in any case, and keep what it sets then")
    parser.add_argument(
        "--cache", help="a variable that holds a Cache, or a cache's name; by default raycache.connect()"
    )
    return parser


def _checked(options: argparse.Namespace) -> argparse.Namespace:
    """The options of a cell. Raises UsageError, InvalidOption."""
    if not options.names:
        raise UsageError(f"name the variables that the cell sets: %%{NAME} NAME [NAME ...]")
    wrong = [name for name in options.names if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong:
        raise UsageError(f"{_quoted(wrong)}: not the name of a variable; write %%{NAME} a b, with blanks between them")
    if options.ttl is not None:
        parse_seconds(options.ttl, "--ttl")
    return options


def _unset(before: Mapping[str, Any], after: Mapping[str, Any], source: str) -> list[str]:
    """Names that a cell did not set. What it only mentions it may have changed in place."""
    same = [name for name, value in after.items() if value is before[name]]
    return [name for name in same if after[name] is _UNSET or not re.search(rf"\b{re.escape(name)}\b", source)]


# ------------------------------------------------------------------------------------------------ what is kept


def _group(cache: Cache) -> Group:
    try:
        group = cache.group(GROUP)
    except UnknownGroup:
        capacity = min(shard.capacity_bytes for shard in cache.shards() if shard.reachable) // _GROUP_FRACTION
        group = cache.group(GROUP, None, capacity=capacity)
    if group.reader.spec.getter is not None:
        raise GroupConflict(f"the group {GROUP!r} has a getter, and cells need one without; give yours another name")
    return group


def _kept(group: Group, key: Key) -> tuple[dict[str, Any], Kept] | None:
    """The variables that were kept, and how they came about."""
    kept = group.get(key, default=None)
    if kept is None:
        return None
    try:
        return decode(kept.tag, (bytearray(kept.data),)), kept  # a copy, so that the notebook may change it
    except Exception as error:  # of a class that has changed or gone since
        _complain(f"what was kept cannot be read any more, and the cell is run ({type(error).__name__}: {error})")
        return None


def _keep(cache: Cache, group: Group, key: Key, values: Mapping[str, Any], ran: _Ran, ttl: str | None) -> int:
    """Keeps the variables; their bytes. Raises RaycacheError."""
    blob = _encoded(cache, values)
    tag, data = blob.packed()
    try:
        group.set(key, Kept(ran.at, ran.took_s, tag, pickle.PickleBuffer(data)), ttl=ttl)
    except ValueTooLarge:
        raise ValueTooLarge(
            f"{', '.join(values)} take {size_text(blob.size)}, and the group {GROUP!r} has "
            f"{size_text(group.reader.spec.options.capacity_bytes)} per shard; give it more with "
            f"cache.group({GROUP!r}, None, capacity=..., replace=True)"
        ) from None
    return blob.size


def _encoded(cache: Cache, values: Mapping[str, Any]) -> Blob:
    try:
        return cache.codec.encode(dict(values))
    except UncacheableValue as error:
        wrong = [name for name, value in values.items() if not _encodes(cache, value)]
        raise UncacheableValue(f"{_quoted(wrong)} cannot be cached: {error}") from None


def _encodes(cache: Cache, value: Any) -> bool:
    try:
        cache.codec.encode(value)
    except UncacheableValue:
        return False
    return True


# ------------------------------------------------------------------------------------------------ what is told


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _tell(text: str) -> None:
    print(f"{NAME}: {text}")


def _complain(text: str) -> None:
    print(f"{NAME}: {text}", file=sys.stderr)
