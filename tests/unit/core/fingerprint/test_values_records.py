"""Instances: their class and all their attributes count."""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
import typing
from typing import Any

import attrs
import pydantic
import pytest

from raycache.core.fingerprint.values import fingerprint


@dataclasses.dataclass
class Options:
    rate: float = 0.1
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    rate: float = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Deeper(Frozen):
    depth: int = 1


@attrs.define
class Slotted:
    x: int = 1
    y: Any = None


@attrs.define(slots=False)
class Attrs:
    x: int = 1
    y: Any = None


@attrs.frozen(cache_hash=True)
class Hashed:
    x: str = "a"


class Model(pydantic.BaseModel):
    x: int = 1
    y: Any = None


class Extra(pydantic.BaseModel, extra="allow"):
    x: int = 1


class Private(pydantic.BaseModel):
    _secret: int = pydantic.PrivateAttr(0)


class Plain:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Other(Plain):
    pass


class Slots:
    __slots__ = ("__private", "x", "y")

    def __init__(self, private: Any = None, **attributes: Any) -> None:
        self.__private = private
        for name, value in attributes.items():
            setattr(self, name, value)


class MoreSlots(Slots):
    __slots__ = ("__dict__", "x")


class Pair(typing.NamedTuple):
    a: int
    b: Any = None


class Amount(float):
    """A float that says that it is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = float.__hash__


class Sneaky(dict):
    """A dict that shows something else than it holds."""

    def items(self) -> Any:
        return [("a", 0)]

    __iter__ = keys = values = items  # type: ignore[assignment]


class Token(enum.Enum):
    MISSING = object()
    OTHER = object()  # noqa: PIE796  # another object
    PAIR = (1, 2)


def private(secret: int) -> Private:
    model = Private()
    model._secret = secret
    return model


def shadowed(value: Any) -> MoreSlots:
    """Two slots of one name, in a class and in its base."""
    instance = MoreSlots(x=1)
    Slots.x.__set__(instance, value)
    return instance


#: In each row, all are different from each other.
DIFFERENT: list[list[Any]] = [
    [Options(), Settings(), Options(0.2), Options(names=["a"]), Plain(rate=0.1, names=[]), {"rate": 0.1, "names": []}],
    [Frozen(), Frozen(0.2), Deeper(), Deeper(depth=2), Options()],
    [Slotted(), Attrs(), Slotted(2), Slotted(y=1), Slotted(y=[1]), Hashed(), Hashed("b")],
    [Model(), Model(x=2), Model(y="a"), Model(y=["a"]), Model(x=1, y=None), {"x": 1, "y": None}],
    [Extra(), Extra(z=1), Extra(z=2), Extra(zz=1)],
    [private(1), private(2)],
    [Plain(), Other(), Plain(a=1), Plain(b=1), Plain(a=None), Plain(a=Plain()), Plain(a={})],
    [Slots(), Slots(1), Slots(x=1), Slots(y=1), Slots(x=None), MoreSlots(x=1), shadowed(2), shadowed(3)],
    [Pair(1), Pair(1, 2), (1, None), Pair(None, 1), [Pair(1)]],
    [Amount(1), Amount(2), 1.0, Amount(-0.0), Amount(0.0)],
    [Sneaky(a=1), Sneaky(a=2), Sneaky(b=1), {"a": 1}],
    [Token.MISSING, Token.OTHER, Token.PAIR, (1, 2)],
    [collections.UserDict(a=1), collections.UserDict(a=2), {"a": 1}, collections.ChainMap({"a": 1})],
]

SAME: list[tuple[Any, Any]] = [
    (Options(0.2, ["a"]), Options(names=["a"], rate=0.2)),
    (Options(), dataclasses.replace(Options())),
    (Frozen(0.1), Frozen()),
    (Slotted(1, [1]), Slotted(y=[1])),
    (Attrs(y=Slotted()), attrs.evolve(Attrs(), y=Slotted())),
    (Model(x=1), Model.model_validate({"x": 1})),
    (Extra(z=1, y=2), Extra(y=2, z=1)),
    (private(1), private(1)),
    (Plain(a=1, b=[2]), Plain(b=[2], a=1)),
    ([Plain(a=1)] * 2, [Plain(a=1), Plain(a=1)]),
    (Slots(1, x=2), Slots(1, x=2)),
    (shadowed(1), shadowed(1)),
    (Pair(1), Pair(a=1, b=None)),
    (Amount(1), Amount("1")),
    (Sneaky(a=1, b=2), Sneaky(b=2, a=1)),
    (Token.MISSING, Token["MISSING"]),
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_instances_have_different_fingerprints(number):
    for one, other in itertools.combinations(DIFFERENT[number], 2):
        assert fingerprint(one) != fingerprint(other), f"{type(one)} and {type(other)}"


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_instances_have_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_a_hash_that_an_instance_keeps_has_no_influence():
    """attrs keeps it among the attributes; that of a str is another in every process."""
    hashed = Hashed()
    hash(hashed)

    assert fingerprint(hashed) == fingerprint(Hashed())


def test_attributes_that_are_no_fields_count():
    one = Options()
    one.note = "a"

    assert fingerprint(one) != fingerprint(Options())


def test_a_changed_attribute_changes_the_fingerprint():
    plain = Plain(layers=[Plain(weight=1)])
    before = fingerprint(plain)
    plain.layers[0].weight = 2

    assert fingerprint(plain) != before

    plain.layers[0].weight = 1

    assert fingerprint(plain) == before
