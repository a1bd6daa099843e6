"""Loads as Ray tasks: one generic runner, submitted by the shard, which so owns what the task returns."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import cloudpickle
import ray
import ray.exceptions

from raycache.core.calls import Packed, getter_of, packed, unpacked
from raycache.core.checks import check
from raycache.core.codec import Blob, Codec, decode
from raycache.core.flights import Load
from raycache.core.getters import INLINE_BYTES, Lost, dump_error, run
from raycache.core.messages import Call, Failed, GroupSpec, Loaded, Outcome, Raised
from raycache.core.packing import PackedArguments
from raycache.errors import StaleCode, UncacheableValue

#: Getters and definitions of memoized functions that a shard has ready to be sent, and their bytes; and how many of
#: them a process that runs them has at hand.
MOST_SPECS, MOST_SPEC_BYTES = 64, 64 << 20
MOST_UNPICKLED = 32
#: What no cached value may hold: it would not live as long as the cache does.
REFUSED: tuple[type, ...] = (ray.ObjectRef, ray.ObjectRefGenerator)


@functools.cache
def codec() -> Codec:
    """The codec of every process of a cluster."""
    return Codec(REFUSED)


def environment() -> dict[str, Any]:
    """What a getter of this process needs elsewhere: its runtime environment, and its own folders of modules."""
    installed = (sys.prefix, sys.base_prefix)
    paths = [os.path.abspath(path) for path in sys.path if not os.path.abspath(path).startswith(installed)]
    return {"runtime_env": dict(ray.get_runtime_context().runtime_env), "paths": tuple(dict.fromkeys(paths))}


@functools.lru_cache(maxsize=MOST_UNPICKLED)
def _unpickled(getter: bytes) -> Callable[..., Any]:
    """The getter, unpickled once in each process that runs it."""
    unpickled: Callable[..., Any] = cloudpickle.loads(getter)
    return unpickled


def _getter(spec: GroupSpec, calls: Iterable[Call]) -> Callable[..., Any]:
    """The getter, where everything that it and its arguments look up here by themselves is as where they come from."""
    assert spec.getter is not None
    sys.path += [path for path in spec.environment["paths"] if path not in sys.path and os.path.isdir(path)]
    checks = itertools.chain(spec.environment.get("checks", ()), *(call.checks for call in calls))
    if check(dict.fromkeys(checks)):
        _unpickled.cache_clear()  # they have what was in a module before it was imported once more
    return _unpickled(spec.getter)


@functools.lru_cache(maxsize=MOST_UNPICKLED)
def _spec(packed: bytes) -> GroupSpec:
    spec: GroupSpec = pickle.loads(packed)
    return spec


def load_task(packed: bytes, keys: list[bytes], calls: list[Call]) -> tuple[bytes, tuple[Blob, ...] | None]:
    """The body of loader tasks. Spec and outcome travel as bytes, which Ray hands through as they are.

    Measured: Ray's own pickling of both takes longer than all else that a load of one key does here.
    """
    outcome, payload = load(_spec(packed), keys, calls)
    return pickle.dumps(outcome, protocol=5), payload


def load(spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> tuple[Outcome, tuple[Blob, ...] | None]:
    """Runs the group's getter, or calls of a memoized function, for some keys: the outcome, and the large values."""
    try:
        getter = _getter(spec, calls)
    except StaleCode as error:
        return dict.fromkeys(keys, Raised(dump_error(error), traceback.format_exc(), 0.0)), None
    except Exception as error:
        note = f"the getter {spec.getter_name} of the group {spec.name!r} cannot be unpickled where it should run"
        error.__notes__ = [note]  # type: ignore[attr-defined]  # add_note, for Python 3.10 as well
        failure = Raised(dump_error(error), f"{traceback.format_exc()}{note}", 0.0)
        return dict.fromkeys(keys, failure), None
    if calls:
        getter = getter_of(getter, _unpacked, batch=spec.batch)
    return run(getter, spec, keys, codec(), calls=calls)


def packed_arguments(value: Any, function: str) -> Packed:
    """Arguments as they travel: small ones as bytes, large ones through the object store, where they can be read
    without a copy; and so those that hold ObjectRefs, which only Ray can carry."""
    dumped = PackedArguments(codec(), value)
    try:
        blob = dumped.blob()
        return Packed(packed(blob) if blob.size <= INLINE_BYTES else ray.put((blob,)), dumped.checks())
    except UncacheableValue as why:
        try:
            return Packed(ray.put((value,)), dumped.checks_by_reference())
        except Exception:
            raise UncacheableValue(
                f"the arguments of {function} cannot travel to the task that should run it: {why.__cause__ or why}. "
                f"where='caller' runs it in the calling process"
            ) from why


def _unpacked(arguments: bytes | ray.ObjectRef) -> Any:
    if isinstance(arguments, bytes):
        return unpacked(arguments)
    try:
        (value,) = ray.get(arguments)
    except (ray.exceptions.ObjectLostError, ray.exceptions.ReferenceCountingAssertionError) as error:
        raise Lost(str(error)) from error
    return decode(*value) if isinstance(value, Blob) else value


def failed(error: BaseException) -> Failed:
    """What an error of Ray means to whoever waits."""
    if isinstance(error, (ray.exceptions.TaskCancelledError, ray.exceptions.GetTimeoutError)):
        return Failed(type(error).__name__, hung=True)
    # Of an exception in an actor's method Ray's own text is a traceback.
    what = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    said = str(what).strip().splitlines()[0] if str(what).strip() else ""
    # The object's owner is the shard, not the loader.
    lost = isinstance(error, ray.exceptions.ObjectLostError)
    return Failed(f"{type(what).__name__}: {said}", lost=lost, raised=what is not error)


class _TaskLoad:
    """A loader task."""

    def __init__(self, outcome: ray.ObjectRef, payload: ray.ObjectRef, loader: TaskLoader) -> None:
        self.outcome, self.payload, self._loader = outcome, payload, loader
        self._came: bytes | BaseException | None = None
        self._result: Outcome | Failed | None = None

    def landed(self, ended: Future[bytes]) -> None:
        """Takes what has come; not the future, which knows this load: only the garbage collector would part them."""
        self._came = ended.exception() or ended.result()

    def result(self) -> Outcome | Failed | None:
        # Asked of Ray itself, where it has not landed: a client may have seen the outcome before that.
        if self._result is None and (self._came or ray.wait([self.outcome], timeout=0, fetch_local=False)[0]):
            try:
                came = self._came or ray.get(self.outcome)
                if isinstance(came, BaseException):
                    raise came
                self._result = pickle.loads(came)
            except ray.exceptions.RayError as error:
                self._result = failed(error)
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.get(self.payload)  # else Ray complains in the log of an error that nobody looked at
        return self._result

    def large(self, place: int) -> ray.ObjectRef:
        assert isinstance(self._result, dict)
        if sum(isinstance(each, Loaded) and isinstance(each.data, int) for each in self._result.values()) == 1:
            return self.payload
        # Values that were loaded together are taken apart, so that each can be evicted by itself.
        return self._loader.hold(ray.get(self.payload)[place])

    def cancel(self) -> None:
        ray.cancel(self.outcome, force=True)


class TaskLoader:
    """Submits loader tasks for one shard; `landed` is called, in some thread of Ray's, when one has ended, with
    its keys."""

    def __init__(self, landed: Callable[[list[bytes], Load], None]) -> None:
        self._landed = landed
        # Not retried: a getter that kills its process would run again and again.
        self._task = ray.remote(num_cpus=0, num_returns=2, max_retries=0)(load_task)
        self._specs: OrderedDict[tuple[int, bytes], tuple[Any, int]] = OrderedDict()

    def start(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> _TaskLoad:
        options = dict(spec.environment.get("task_options", {}))
        if env := spec.environment["runtime_env"]:
            options = {"runtime_env": env, **options}
        task = self._task.options(**options) if options else self._task
        outcome, payload = task.remote(self._packed(spec), keys, calls)
        # Unlike a task that depends on the outcome, this is also called when the loader's process has died.
        load = _TaskLoad(outcome, payload, self)

        def landed(ended: Future[bytes]) -> None:
            load.landed(ended)
            self._landed(keys, load)

        outcome.future().add_done_callback(landed)
        return load

    def _packed(self, spec: GroupSpec) -> Any:
        """The spec as it travels, made once."""
        name = spec.id, spec.definition
        if name not in self._specs:
            packed = pickle.dumps(replace(spec, about=b""), protocol=5)
            # A small getter travels inside the task's description, which is faster than any object.
            travels = packed if len(packed) < INLINE_BYTES // 2 else ray.put(packed)
            self._specs[name] = travels, len(packed)
            size = sum(each for _, each in self._specs.values())
            while len(self._specs) > 1 and (size > MOST_SPEC_BYTES or len(self._specs) > MOST_SPECS):
                size -= self._specs.popitem(last=False)[1][1]
        else:
            self._specs.move_to_end(name)
        return self._specs[name][0]

    def hold(self, blob: Blob) -> ray.ObjectRef:
        return ray.put((blob,))
