"""What a call of a memoized function is: the fingerprint of its code and that of its arguments."""

from __future__ import annotations

import inspect
import pickle
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from blake3 import blake3

from raycache.core.calls import Arguments as Called
from raycache.core.checks import Check, checks_of
from raycache.core.fingerprint.arguments import Arguments
from raycache.core.fingerprint.code import code_of
from raycache.core.fingerprint.packages import installed
from raycache.core.fingerprint.values import DIGEST_BYTES, describe, fingerprint
from raycache.core.fingerprint.watch import Seal
from raycache.core.shipping import dump_by_value
from raycache.errors import InvalidOption
from raycache.memo.options import MemoOptions


class Code(Protocol):
    """What the fingerprint of code gives; see `core.fingerprint.code`."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> bytes: ...

    @property
    def parts(self) -> Mapping[str, tuple[bytes, str]]: ...

    @property
    def fixed(self) -> bool: ...

    @property
    def seal(self) -> Seal | None: ...

    def unchanged(self) -> bool: ...


class Snapshot(NamedTuple):
    """The code of a function that came here by value, as it was where it came from."""

    name: str
    digest: bytes
    parts: Mapping[str, tuple[bytes, str]]
    fixed: bool = True
    seal: Seal | None = None
    checks: tuple[Check, ...] = ()  # of what it looks up by itself
    shipped: bytes = b""

    def unchanged(self) -> bool:
        return True


class Work(NamedTuple):
    """One call to be made: what the function is called with, and of a batch which item it is."""

    called: Called
    item: Any = None
    frame: bytes = b""  # of a batch: the fingerprint of what its items share


class Plan(NamedTuple):
    """A call as keys, and how to compute each of them. Of a batch there is a key for each item, in their order."""

    code: Code
    works: dict[bytes, Work]
    order: list[bytes]


class Identity:
    """Keys of one function's calls."""

    def __init__(self, function: Callable[..., Any], options: MemoOptions, snapshot: Snapshot | None = None) -> None:
        self.function, self.options = function, options
        try:
            self.signature = inspect.signature(function)
        except ValueError:  # of some functions that are written in C
            raise InvalidOption(
                f"memoize({function!r:.100}): nobody can tell what arguments it takes; memoize a function of your own "
                f"that calls it"
            ) from None
        self.name = options.name or f"{function.__module__}.{function.__qualname__}"
        ignore = list(options.ignore)
        if options.batch is not None:
            self._check_batch(options.batch)
            ignore.append(options.batch)
        shown = getattr(function, "__name__", self.name)
        self.arguments = Arguments(self.signature, ignore=ignore, key=options.key, name=shown)
        self._code: Code | None = snapshot
        #: Tells functions of one `version=` apart on their way to the shards: what runs must be this one.
        self.shipped = b"" if options.version is None else snapshot.shipped if snapshot else secrets.token_bytes(8)
        self._making = threading.RLock()

    def _check_batch(self, batch: str) -> None:
        parameter = self.signature.parameters.get(batch)
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if parameter is None or parameter.kind in variadic:
            names = ", ".join(self.signature.parameters) or "none"
            raise InvalidOption(
                f"batch={batch!r} is no argument of {self.name} (it has {names}); name its list argument"
            )

    @property
    def code(self) -> Code:
        """The function's code as it is now."""
        code = self._code
        if code is None or not (code.fixed or code.unchanged()):
            with self._making:
                options = self.options
                depends = options.depends if options.key is None else (*options.depends, options.key)
                code = code_of(self.function, name=self.name, version=options.version, depends=depends)
                self._code = code
        return code

    def snapshot(self) -> Snapshot:
        """The code as it travels with the function."""
        code = self.code
        return Snapshot(code.name, code.digest, dict(code.parts), checks=self.checks(code), shipped=self.shipped)

    def checks(self, code: Code) -> tuple[Check, ...]:
        """What another process is to check of what the function looks up there by itself."""
        if isinstance(code, Snapshot):
            return code.checks
        return checks_of(getattr(code, "by_name", ()), getattr(code, "imported", ()))

    @property
    def reads_modules(self) -> bool:
        """Whether the function reads something of a module of the user's own, and not only of the script itself."""
        seal = self.code.seal
        spaces = () if seal is None else (each for each in seal.space.values() if id(each) in seal.looked_up)
        names = (space.get("__name__") for space in spaces if isinstance(space, dict))
        return any(isinstance(name, str) and name != "__main__" and not installed(name) for name in names)

    def dumped(self, value: Any) -> bytes:
        """The function, or what holds it, as it travels by value."""
        seal = self.code.seal
        return dump_by_value(value, {} if seal is None else seal.looked_up)

    def plan(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        """The keys of a call. Raises UnhashableArgument, or TypeError for what the function does not take."""
        code = self.code
        if self.options.batch is None:
            key = code.digest + self.arguments.digest(args, kwargs)
            return Plan(code, {key: Work(Called(args, kwargs))}, [key])
        return self.batch_plan(code, *self._split(args, kwargs))

    def batch_plan(self, code: Code, called: Called, items: Sequence[Any]) -> Plan:
        """The keys of the items of a batch."""
        works: dict[bytes, Work] = {}
        order = []
        key_of = self.items_of(called)
        for place, item in enumerate(items):
            digest, work = key_of(item, place)
            order.append(code.digest + digest)
            works[code.digest + digest] = work
        return Plan(code, works, order)

    def items_of(self, called: Called) -> Callable[[Any, int], tuple[bytes, Work]]:
        """What gives the fingerprint of an item together with what it shares with others, and the work that it is."""
        whole, batch = called.with_items([]), self.options.batch
        frame = self.arguments.digest(whole.args, whole.kwargs)

        def of_item(item: Any, place: int) -> tuple[bytes, Work]:
            digest = blake3(frame + fingerprint(item, f"{batch}[{place}]")).digest(DIGEST_BYTES)
            return digest, Work(called, item, frame)

        return of_item

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Called, list[Any]]:
        """A call of a vectorised function as what all items share, and the items."""
        batch = self.options.batch
        assert batch is not None
        bound = self.signature.bind(*args, **kwargs).arguments
        if batch not in bound:
            raise TypeError(f"{self.name}() needs its list {batch!r}: the items of it are what is cached")
        try:
            items = list(bound[batch])
        except TypeError:
            raise TypeError(f"{self.name}(): {batch}={bound[batch]!r:.100} is no list of items") from None
        return self.without_items(args, kwargs, items)

    def without_items(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], items: list[Any]
    ) -> tuple[Called, list[Any]]:
        """A call without the list of its batch."""
        batch = self.options.batch
        assert batch is not None
        place = [*self.signature.parameters].index(batch)
        by_name = self.signature.parameters[batch].kind is inspect.Parameter.KEYWORD_ONLY or len(args) < place
        if batch in kwargs or by_name:  # also where what stands before it comes by name
            return Called(args, {name: each for name, each in kwargs.items() if name != batch}, batch), items
        return Called((*args[:place], *args[place + 1 :]), kwargs, place), items

    def note(self, work: Work) -> bytes:
        """What `explain` tells of the arguments, pickled."""
        called = work.called
        if work.frame:
            whole = called.with_items([])
            parts = dict(self.arguments.parts(whole.args, whole.kwargs))
            parts[f"{self.options.batch}[]"] = fingerprint(work.item)[:8], describe(work.item)
        else:
            parts = dict(self.arguments.parts(called.args, called.kwargs))
        return pickle.dumps(parts, protocol=5)
