"""Everything that can be called has a fingerprint: methods, classes, partials, wrappers, what is written in C."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
import logging
import math
import operator
import threading
import typing

import attrs
import numpy as np
import pydantic
import pytest
import scipy.special

from raycache.core.fingerprint.code import code_of
from raycache.core.fingerprint.values import fingerprint


def scale(factor, x, offset=0):
    return factor * x + offset


def shift(factor, x, offset=0):
    return factor + x + offset


class Model:
    weight = 1

    def __init__(self, size=1):
        self.size = size

    def fit(self, x):
        return x * self.size

    def predict(self, x):
        return x + self.size

    def __call__(self, x):
        return self.fit(x)

    @classmethod
    def make(cls):
        return cls()

    @staticmethod
    def origin():
        return 0


class Deeper(Model):
    pass


DIFFERENT = {
    "functions": (scale, shift),
    "partials by argument": (functools.partial(scale, 1), functools.partial(scale, 2)),
    "partials by keyword": (functools.partial(scale, offset=1), functools.partial(scale, offset=2)),
    "partials by how": (functools.partial(scale, 1), functools.partial(scale, factor=1)),
    "partials by function": (functools.partial(scale, 1), functools.partial(shift, 1)),
    "methods": (Model().fit, Model().predict),
    "methods by instance": (Model(1).fit, Model(2).fit),
    "methods by class": (Model(1).fit, Deeper(1).fit),
    "a method and its function": (Model().fit, Model.fit),
    "class methods by class": (Model.make, Deeper.make),
    "instances": (Model(1), Model(2)),
    "classes": (Model, Deeper),
    "a class and an instance": (Model, Model()),
    "builtins": (len, abs),
    "builtins of modules": (math.sqrt, math.exp),
    "operators": (operator.add, operator.mul),
    "methods of builtin types": (str.upper, str.lower),
    "bound methods of builtins": ("a".join, "b".join),
    "methods of lists": ([1].append, [2].append),
    "slot wrappers": (int.__add__, int.__sub__),
    "bound slot wrappers": ((1).__add__, (2).__add__),
    "builtin types": (int, float),
    "modules": (math, operator),
    "ufuncs": (np.sin, np.cos),
    "special functions": (scipy.special.gamma, scipy.special.erf),
    "functions of numpy": (np.sort, np.argsort),
    "remembered functions": (functools.lru_cache(scale), functools.lru_cache(shift)),
    "lambdas": (lambda x: x + 1, lambda x: x + 2),
    "getters": (operator.itemgetter, operator.attrgetter),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_callables_that_differ_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_callables_that_differ_have_different_codes(one, other):
    assert code_of(one, name="f").digest != code_of(other, name="f").digest


AGREE = {
    "partials": lambda: functools.partial(scale, 1, offset=2),
    "partials of partials": lambda: functools.partial(functools.partial(scale, 1), offset=2),
    "methods": lambda: Model(3).fit,
    "instances": lambda: Model(3),
    "class methods": lambda: Model.make,
    "bound methods of builtins": lambda: "a".join,
    "lambdas": lambda: lambda x: x,
    "remembered functions": lambda: functools.lru_cache(scale),
}


@pytest.mark.parametrize("make", AGREE.values(), ids=AGREE.keys())
def test_equal_callables_have_one_fingerprint(make):
    assert fingerprint(make()) == fingerprint(make())
    assert code_of(make()).digest == code_of(make()).digest


def test_keywords_of_a_partial_are_in_no_order():
    one, other = functools.partial(scale, x=1, offset=2), functools.partial(scale, offset=2, x=1)

    assert fingerprint(one) == fingerprint(other)
    assert code_of(one).digest == code_of(other).digest


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Model.fit, "test_code_kinds.Model.fit"),
        (Model().fit, "test_code_kinds.Model.fit"),
        (Model.make, "test_code_kinds.Model.make"),
        (Model(), "test_code_kinds.Model"),
        (Model, "test_code_kinds.Model"),
        (functools.partial(scale, 1), "test_code_kinds.scale"),
        (functools.lru_cache(scale), "test_code_kinds.scale"),
        (len, "builtins.len"),
        (math.sqrt, "math.sqrt"),
    ],
)
def test_a_callable_is_named_by_module_and_qualified_name(function, name):
    assert code_of(function).name == f"{name}".replace("test_code_kinds", __name__)


def test_the_arguments_of_a_partial_and_the_instance_of_a_method_are_parts():
    assert {"code", "argument 0", "argument `offset`"} <= code_of(functools.partial(scale, 1, offset=2)).parts.keys()
    assert {"code", "instance"} <= code_of(Model().fit).parts.keys()


CLASS = """
import functools, abc
LIMIT = {limit}
class Base:
    def common(self):
        return {common}
class Meta(type):
    flag = {flag}
class Model(Base, metaclass=Meta):
    {doc}
    rows = [{row}]
    __slots__ = ("a", "{slot}")
    def fit(self, x{annotation}):
        return {fit}
    @property
    def size(self):
        return {size}
    @functools.cached_property
    def cached(self):
        return {cached}
    @staticmethod
    def static():
        return {static}
    @classmethod
    def make(cls):
        return super().make(), {make}
    part = functools.partialmethod(fit, {part})
    class Inner:
        value = {inner}
        def deep(self):
            return LIMIT
"""
CLASS_DEFAULTS = dict.fromkeys(
    ["limit", "common", "flag", "row", "size", "cached", "static", "make", "part", "inner"], 1
)
CLASS_DEFAULTS |= {"doc": '"""One."""', "slot": "b", "annotation": "", "fit": "x"}


@pytest.mark.parametrize("what", [what for what in CLASS_DEFAULTS if what not in ("doc", "annotation")])
def test_everything_in_a_class_counts(module, what):
    changed = CLASS_DEFAULTS | {what: "c" if what == "slot" else "2"}
    one, other, again = (module(CLASS.format(**each)).Model for each in (CLASS_DEFAULTS, changed, CLASS_DEFAULTS))

    assert fingerprint(one) == fingerprint(again) != fingerprint(other)


@pytest.mark.parametrize("changed", [{"doc": '"""Two."""'}, {"doc": "pass"}, {"annotation": ": int"}, {"doc": "# two"}])
def test_docstrings_comments_and_annotations_of_methods_do_not(module, changed):
    one, other = (module(CLASS.format(**CLASS_DEFAULTS | each)).Model for each in ({}, changed))

    assert fingerprint(one) == fingerprint(other)


METHOD = "    def f(self):\n        return {method}\n"
FIELDS = {
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: {kind} = {value}\n"
    "    b: list = dataclasses.field(default_factory={factory})\n",
    "attrs": "import attrs\n@attrs.define\nclass Row:\n    a: {kind} = {value}\n"
    "    b: list = attrs.field(factory={factory})\n",
    "pydantic": "import pydantic\nclass Row(pydantic.BaseModel):\n    a: {kind} = {value}\n"
    "    b: list = pydantic.Field(default_factory={factory})\n",
    "typing.NamedTuple": "import typing\nclass Row(typing.NamedTuple):\n    a: {kind} = {value}\n"
    "    b: list = {factory}\n",
    "enum": "import enum\nclass Row(enum.Enum):\n    A = {value}\n    B = '{kind}'\n    C = '{factory}'\n",
}


@pytest.mark.parametrize("library", FIELDS)
def test_fields_count_with_types_and_defaults(module, library):
    usual = {"kind": "int", "value": "1", "factory": "list", "method": "1"}
    changes = [{"kind": "str"}, {"value": "2"}, {"factory": "tuple"}, {"method": "2"}]
    classes = [module((FIELDS[library] + METHOD).format(**usual | each)).Row for each in ({}, *changes)]

    assert len({fingerprint(each) for each in classes}) == len(classes)
    assert fingerprint(module((FIELDS[library] + METHOD).format(**usual)).Row) == fingerprint(classes[0])
    if library != "enum":
        assert fingerprint(classes[0](1, []) if library != "pydantic" else classes[0](a=1, b=[]))


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Color(enum.IntFlag):
    RED = 1
    BLUE = 2


class Names(typing.Protocol):
    name: str


T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    item: T | None = None


Point = collections.namedtuple("Point", "x y", defaults=[1])


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Frozen:
    a: int = 1
    shapes: typing.Annotated[list[Shape], "text"] = dataclasses.field(default_factory=list, metadata={"unit": "m"})


@attrs.frozen
class Checked:
    a: int = attrs.field(default=1, validator=attrs.validators.instance_of(int), converter=int)


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    a: typing.Annotated[int, pydantic.Field(gt=1)] = 2

    @pydantic.field_validator("a")
    @classmethod
    def even(cls, value):
        return value


class Typed(typing.TypedDict):
    a: int


@pytest.mark.parametrize("kind", [Shape, Color, Names, Box, Point, Frozen, Checked, Strict, Typed, type(len), type])
def test_classes_of_all_kinds_have_fingerprints(kind):
    code = code_of(kind)

    assert code.unchanged()
    assert code_of(kind).digest == code.digest
    assert fingerprint(kind) == fingerprint(kind)


HELPER = "def helper():\n    return {other}\n"
WRAPPERS = {
    "singledispatch": "@functools.singledispatch\ndef load(x):\n    return {one}\n"
    "@load.register\ndef _(x: int):\n    return {other}\n",
    "lru_cache": HELPER + "@functools.lru_cache(maxsize=4)\ndef load(x):\n    return {one}, helper()\n",
    "contextmanager": HELPER + "@contextlib.contextmanager\ndef load(x):\n    yield {one}, helper()\n",
    "wraps": "def deco(f):\n    @functools.wraps(f)\n    def wrapper(x):\n        return f(x) + {other}\n"
    "    return wrapper\n@deco\ndef load(x):\n    return {one}\n",
    "an object": "class deco:\n    def __init__(self, f):\n        self.f = f\n"
    "    def __call__(self, x):\n        return self.f(x) + {other}\n@deco\ndef load(x):\n    return {one}\n",
    "partial": "def f(a, x):\n    return {one}\nload = functools.partial(f, {other})\n",
}


@pytest.mark.parametrize("called", ["called", "as a global", "in a list", "as a value"])
@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrapped_functions_count_with_what_they_wrap(module, kind, called):
    def digest(one=1, other=1):
        made = module("import contextlib, functools\n" + WRAPPERS[kind].format(one=one, other=other))
        made.step = [made.load]
        exec("def use(x):\n    return load(x)\ndef choose(x):\n    return step[0](x)\n", vars(made))
        if called == "as a value":
            return fingerprint(made.load)
        return code_of({"called": made.load, "as a global": made.use, "in a list": made.choose}[called]).digest

    assert digest() == digest()
    assert len({digest(), digest(one=2), digest(other=2)}) == 3


def test_a_type_registered_later_with_singledispatch_is_noticed(module):
    load = module("import functools\n" + WRAPPERS["singledispatch"].format(one=1, other=1)).load
    code = code_of(load)

    assert code.unchanged()

    load.register(str, lambda x: x)

    assert not code.unchanged()
    assert code_of(load).digest != code.digest


def test_calls_of_a_remembered_function_are_no_change(module):
    load = module("import functools\n" + WRAPPERS["lru_cache"].format(one=1, other=1)).load
    code = code_of(load)
    load(1)

    assert code.unchanged()
    assert code_of(load).digest == code.digest


def test_a_remote_function_of_ray_counts_with_its_code(module):
    """By the name of its type: nothing here may import ray."""
    ray = module("class RemoteFunction:\n    lock = None\n    _function = None\n", name="ray.remote_function")

    def code(n):
        made = module(f"def step(x):\n    return {n}\ndef load(x):\n    return step.remote(x)\n")
        plain, made.step = made.step, ray.RemoteFunction()
        made.step._function, made.step.lock = plain, threading.Lock()
        return code_of(made.load)

    assert code(1).digest == code(1).digest != code(2).digest
    assert "helper `step`" in code(1).parts


LOG = logging.getLogger("pipeline")


def test_what_is_logged_where_has_no_influence():
    code = code_of(lambda x: LOG.info(x))
    LOG.addHandler(logging.NullHandler())

    assert code.unchanged()


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("class Model:\n    __config__ = {'k': 1}\n", "1", "2"),
        ("import typing\nclass Model(typing.NamedTuple):\n    x: int\n    def v(self): return 1\n", "1", "2"),
        ("import pydantic\nclass Model(pydantic.BaseModel):\n    x: int = pydantic.Field(0, validation_alias='a')\n",
         "'a'", "'b'"),
        ("import pydantic\nclass Model(pydantic.BaseModel):\n    _x: int = pydantic.PrivateAttr(1)\n", "1", "2"),
    ],
    ids=["a dunder attribute", "a method of a named tuple", "an alias", "a private attribute"],
)  # fmt: skip
def test_what_a_class_keeps_under_names_of_frameworks_counts(module, source, old, new):
    """The module's name starts as that of a module of the standard library does."""
    digests = {
        code_of(module(text, name="collections_of_docs").Model, name="f").digest
        for text in (source, source.replace(old, new))
    }

    assert len(digests) == 2


def test_a_mutable_dunder_attribute_is_watched(module):
    model = module("class Model:\n    __config__ = {'k': 1}\n").Model
    code = code_of(model)
    model.__config__["k"] = 2

    assert not code.unchanged()
