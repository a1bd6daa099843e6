"""What travels by value is what it was when it was pickled, whatever its module has become."""

from __future__ import annotations

import pickle
import sys
import threading
import types
from typing import Any

import pytest

from raycache import StaleCode, UncacheableValue, UnpicklableGetter
from raycache.core import shipping
from raycache.core.checks import check, checks_of
from raycache.core.codec import Codec, decode
from raycache.core.fingerprint.code import code_of
from raycache.core.packing import PackedArguments

SOURCE = """
import functools, threading

FACTOR = 1
STATE = None
LOCK = threading.Lock()

def times(x):
    return FACTOR * x

def fib(n):
    return n if n < 2 else FACTOR * (remembered(n - 1) + remembered(n - 2))

remembered = functools.lru_cache(maxsize=7, typed=True)(fib)

@functools.singledispatch
def dispatched(x):
    return "other"

@dispatched.register(int)
def _(x):
    return FACTOR * x

@dispatched.register(list)
def _(x):
    return [dispatched(each) for each in x]

def init(x):
    global STATE
    STATE = x

def state(x):
    module.init(x)
    return module.STATE

def locked(x):
    return LOCK

class Scale:
    factor = 1
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's."""
    made: Any = types.ModuleType("users_helpers")
    monkeypatch.setitem(sys.modules, "users_helpers", made)
    exec(SOURCE, vars(made))
    made.module = made
    return made


def shipped(function: Any) -> Any:
    seal = code_of(function).seal
    assert seal is not None
    return pickle.loads(shipping.dump_function(function, "f", seal.looked_up))


@pytest.mark.parametrize(
    ("name", "argument", "result"),
    [("times", 2, 2), ("remembered", 8, 21), ("dispatched", 3, 3), ("dispatched", [1, "a"], [1, "other"])],
)
def test_a_function_runs_as_it_was_pickled(module, name, argument, result):
    function = shipped(getattr(module, name))
    module.FACTOR = 100

    assert function(argument) == result


def test_a_function_that_remembers_results_keeps_its_parameters(module):
    there = shipped(module.remembered)
    there(3)

    assert there.cache_parameters() == {"maxsize": 7, "typed": True}
    assert there.cache_info().misses == 4
    assert module.remembered.cache_info().misses == 0


def test_a_global_that_is_rebound_is_seen_by_who_reads_it_of_the_module(module):
    """The functions of a module and its attributes are one namespace, and none of this process."""
    there = shipped(module.state)

    assert there(7) == 7
    assert shipped(there)(8) == 8
    assert module.STATE is None


def test_what_cannot_be_pickled_is_named(module):
    with pytest.raises(UnpicklableGetter, match=r"(?s)helpers\.locked.*lock.*where='caller'"):
        shipping.dump_function(module.locked, "helpers.locked", {id(vars(module)): {"LOCK"}})


def test_functions_in_arguments_travel_by_value(module):
    blob = PackedArguments(Codec(), [module.times, {"f": module.remembered}]).blob()
    module.FACTOR = 100
    times, other = decode(*blob)

    assert (times(2), other["f"](8)) == (2, 21)


def test_classes_in_arguments_are_checked_where_they_are_used(module):
    packed = PackedArguments(Codec(), [module.Scale(), 1, len])
    packed.blob()
    (wanted,) = packed.checks()
    again = check([wanted])
    module.Scale.factor = 2

    assert (again, wanted.module, wanted.path) == (False, "users_helpers", "Scale")
    with pytest.raises(StaleCode, match=r"users_helpers\.Scale"):
        check_unloadable(module, wanted)


def test_plain_arguments_need_no_check():
    packed = PackedArguments(Codec(), [1, "a", {"b": (2.0, None)}, threading.Thread])
    packed.blob()

    assert packed.checks() == ()


def check_unloadable(module: Any, wanted: Any) -> None:
    """A check against a module whose file has what the module has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.reload", lambda reloaded: module)
        check([wanted])


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """A module of the user's that was imported from a file."""
    (tmp_path / "users_file.py").write_text("def times(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "users_file", raising=False)
    module = __import__("users_file")
    yield module
    sys.modules.pop("users_file", None)


@pytest.mark.parametrize("place", [("users_file", "times"), ("users_file", "")])
def test_a_module_that_was_edited_is_imported_once_more(helpers, tmp_path, place):
    """The checks are of the edited module; this process has imported the older one."""
    (tmp_path / "users_file.py").write_text("def times(x):\n    return 2 * x\n")
    del sys.modules["users_file"]
    sys.modules["users_file"] = __import__("users_file")
    checks = checks_of((), [place])
    sys.modules["users_file"] = helpers
    seen = [check(checks), check(checks)]

    assert seen == [True, False]
    assert helpers.times(1) == 2


def test_functions_and_classes_that_travel_by_reference_are_checked(module):
    """As where the arguments hold what only Ray can carry, which is not looked at."""
    refused = threading.Lock()
    packed = PackedArguments(Codec((type(refused),)), [refused, module.times, module.Scale()])
    with pytest.raises(UncacheableValue):
        packed.blob()

    assert {(each.module, each.path) for each in packed.checks_by_reference()} == {
        ("users_helpers", "times"),
        ("users_helpers", "Scale"),
    }
