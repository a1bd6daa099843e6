"""The arguments of a call as they are packed for the process that runs it: functions by value, classes to be checked.

The functions and classes in them are part of the call's key, as they are here; and so they are to be where it runs.
"""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from typing import Any

import cloudpickle

from raycache.core.checks import Check, checks_of
from raycache.core.classes import is_main
from raycache.core.codec import Blob, Codec
from raycache.core.fingerprint.code import Code, known_code
from raycache.core.fingerprint.contents import functions_of
from raycache.core.fingerprint.packages import installed
from raycache.core.shipping import ByValue
from raycache.errors import UnhashableArgument


class PackedArguments:
    """One value on its way: its bytes, and what is to be checked before they are read."""

    def __init__(self, codec: Codec, value: Any) -> None:
        self._codec, self._value = codec, value
        #: The user's functions and classes in it, by identity, with the code of those that have a fingerprint.
        self._met: dict[int, Any] = {}
        self._codes: dict[int, Code] = {}
        self._looked_up: dict[int, frozenset[Any]] = {}
        self._methods: set[int] = set()
        self._modules = False

    def blob(self) -> Blob:
        """The value encoded. Raises UncacheableValue."""
        while True:
            known, self._modules = len(self._codes), False
            blob = self._codec.encode(self._value, self._pickler)
            if not self._modules or len(self._codes) == known:
                return blob  # else a module may have been written before all reads of it were known

    def checks(self) -> tuple[Check, ...]:
        """What is to be checked before `blob` is decoded."""
        codes = self._codes.values()
        by_name: list[Any] = [each for each in self._met.values() if isinstance(each, type)]
        by_name += [each for code in codes for each in code.by_name]
        return checks_of(by_name, [place for code in codes for place in code.imported])

    def checks_by_reference(self) -> tuple[Check, ...]:
        """What is to be checked where somebody else pickles it, all that can be imported by reference."""

        def met(value: Any) -> bool:
            self.met(value)
            return False

        _Pickler(io.BytesIO(), met, self._looked_up, left_out=self._codec.refused).dump(self._value)
        return checks_of(self._met.values())

    def _pickler(self, stream: io.BytesIO, buffer_callback: Callable[[Any], Any]) -> cloudpickle.Pickler:
        return _Pickler(stream, self.met, self._looked_up, buffer_callback, self._codec.refuse)

    def met(self, value: Any) -> bool:
        """Told of the user's functions, classes and modules as they are pickled; whether a function may by value."""
        if id(value) in self._methods:
            return True
        self._met[id(value)] = value
        if isinstance(value, types.ModuleType):
            self._modules = True
            return False
        if isinstance(value, type):
            if not is_main(value):
                return False
            self._methods.update(id(each) for own in vars(value).values() for each in functions_of(own))
        try:
            code = self._codes[id(value)] = known_code(value)
        except UnhashableArgument:  # where it is ignored
            return False
        for mapping, names in () if code.seal is None else code.seal.looked_up.items():
            self._looked_up[mapping] = self._looked_up.get(mapping, frozenset()) | names
        return True


class _Pickler(ByValue):
    """Pickles arguments, and tells of the functions and classes that it meets."""

    def __init__(
        self,
        stream: io.BytesIO,
        met: Callable[[Any], bool],
        looked_up: dict[int, frozenset[Any]],
        buffer_callback: Callable[[Any], Any] | None = None,
        refuse: Callable[[Any], None] = lambda value: None,
        left_out: tuple[type, ...] = (),
    ) -> None:
        super().__init__(stream, looked_up, buffer_callback)
        self._met, self._refuse, self._left_out = met, refuse, left_out

    def reducer_override(self, obj: Any) -> Any:
        self._refuse(obj)
        if self._left_out and isinstance(obj, self._left_out):
            return str, ()
        if isinstance(obj, (types.FunctionType, type, types.ModuleType)) and not installed(_module(obj)):
            by_value = self._met(obj)
            if not by_value and isinstance(obj, types.FunctionType):
                return cloudpickle.Pickler.reducer_override(self, obj)
        return super().reducer_override(obj)


def _module(obj: Any) -> str | None:
    return obj.__name__ if isinstance(obj, types.ModuleType) else getattr(obj, "__module__", None)
