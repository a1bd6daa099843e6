"""The arguments of calls to one function: bound to its parameters, and what they come to.

Calls that mean the same have the same digest: f(1, 2), f(1, y=2) and f(x=1, y=2).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from raycache.core.fingerprint.atoms import ATOMS
from raycache.core.fingerprint.encoder import Encoder
from raycache.core.fingerprint.registry import REGISTRY
from raycache.core.fingerprint.values import describe, fingerprint
from raycache.errors import InvalidOption

PART_BYTES = 8
_KEY = "key(...)"

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SINGLE = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments:
    """What the arguments of one function come to, without those that are ignored, or by a function of the user's.

    Args:
        signature: of the function.
        ignore: parameters that do not count; where there are `**kwargs`, any name.
        key: called with the arguments; what it returns counts, and nothing else.
        name: of the function, for errors.

    Raises:
        InvalidOption: `ignore` names a parameter that there is not, or comes together with `key`.
    """

    def __init__(
        self,
        signature: inspect.Signature,
        *,
        ignore: Collection[str] = (),
        key: Callable[..., Any] | None = None,
        name: str,
    ) -> None:
        self._signature = signature
        self._name = name
        self._key = key
        parameters = signature.parameters.values()
        self._rest = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), None)
        self._others = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)
        self._ignore = self._checked(ignore)
        self._positional = tuple(each.name for each in parameters if each.kind in _POSITIONAL)
        self._template = {each.name: each.default for each in parameters}
        # Starts unlike any value: what a key function returns has another digest than what is bound.
        self._prefixes = {each: b"A" + ATOMS[str](each) for each in self._template}
        self._plans = [self._after(count) for count in range(len(self._positional) + 1)]

    def _checked(self, ignore: Collection[str]) -> tuple[str, ...]:
        names = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        unknown = [each for each in names if each not in self._signature.parameters]
        if unknown and not self._others:
            known = ", ".join(self._signature.parameters) or "none"
            raise InvalidOption(f"ignore={unknown[0]!r}: {self._name} has no such parameter; it has: {known}")
        if names and self._key is not None:
            raise InvalidOption(f"{self._name} has ignore= and key=; leave the arguments out in the key function")
        return names

    def _after(self, count: int) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """With so many arguments by position: which may be given by name, which may not, and which must."""
        taken = self._positional[:count]
        parameters = self._signature.parameters.values()
        named = {each.name for each in parameters if each.kind in _NAMED}
        required = {each.name for each in parameters if each.kind in _SINGLE and each.default is each.empty}
        return frozenset(named.difference(taken)), frozenset(named.intersection(taken)), frozenset(required - {*taken})

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter, in their order, with defaults and without what is ignored.

        `*args` are one tuple, `**kwargs` one dict.

        Raises:
            TypeError: the function cannot be called with these.
        """
        bound = self._bind(args, kwargs)
        for name in self._ignore:
            if name in bound:
                del bound[name]
            elif self._others in bound:
                bound[self._others].pop(name, None)
        return bound

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        # inspect's own bind takes several times as long; it says what is wrong with a call that is.
        count = len(args)
        if count > len(self._positional):
            if self._rest is None:
                raise self._wrong(args, kwargs)
            count = len(self._positional)
        named, taken, required = self._plans[count]
        bound = self._template.copy()
        bound.update(zip(self._positional, args))  # noqa: B905  # what is left over is for *args
        if self._rest is not None:
            bound[self._rest] = args[count:]
        if self._others is not None:
            bound[self._others] = {each: kwargs[each] for each in kwargs if each not in named}
            bound.update((each, kwargs[each]) for each in kwargs if each in named)
            if not taken.isdisjoint(kwargs):
                raise self._wrong(args, kwargs)
        elif kwargs:
            if not kwargs.keys() <= named:
                raise self._wrong(args, kwargs)
            bound.update(kwargs)
        if required and not required <= named & kwargs.keys():
            raise self._wrong(args, kwargs)
        return bound

    def _wrong(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TypeError:
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            hint = ""
            if self._positional[:1] == ("cls",) and not isinstance((*args, kwargs.get("cls"))[0], type):
                hint = "; of a class method, map, peek, ... know the class if @memoize stands above @classmethod"
            return TypeError(f"{self._name}() {error}{hint}")
        return TypeError(f"{self._name}() cannot be called with these arguments")

    def digest(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """16 bytes, the same for all calls that mean the same.

        Raises:
            TypeError: the function cannot be called with these.
            UnhashableArgument: an argument has no fingerprint; the message names its path and what to do.
        """
        if self._key is not None:
            return fingerprint(self._key(*args, **kwargs), _KEY)
        encoder, prefixes = Encoder(REGISTRY.find), self._prefixes
        for name, value in self.bind(args, kwargs).items():
            encoder.out += prefixes[name]
            encoder.named(value, name)
        return encoder.digest()

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, tuple[bytes, str]]:
        """For each argument 8 bytes of its digest, and what it is in a few words."""
        bound = self.bind(args, kwargs) if self._key is None else {_KEY: self._key(*args, **kwargs)}
        return {name: (fingerprint(value, name)[:PART_BYTES], describe(value)) for name, value in bound.items()}
