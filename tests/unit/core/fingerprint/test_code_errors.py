"""What a function reads and what has no fingerprint is refused, by name and with the remedies."""

from __future__ import annotations

import sqlite3
import sys
import threading

import pytest

from raycache import UnhashableArgument
from raycache.core.fingerprint.code import code_of, code_of_source


@pytest.fixture
def connection():
    made = sqlite3.connect(":memory:")
    yield made
    made.close()


def refusal(module, source, connection, function="load") -> str:
    made = module(source)
    made.CONNECTION = connection
    with pytest.raises(UnhashableArgument) as refused:
        code_of(getattr(made, function))
    return str(refused.value)


def test_a_global_without_a_fingerprint_is_named_with_its_reader(module, connection):
    message = refusal(module, "def load(x):\n    return CONNECTION.execute(x)\n", connection)

    assert message.startswith("the global `CONNECTION` that `load` reads has no fingerprint:")
    assert "sqlite3.Connection" in message
    assert message.count("; ") == 1


@pytest.mark.parametrize("remedy", ["ignore=[", "version=", "raycache.register_fingerprint("])
def test_the_remedies_are_named(module, connection, remedy):
    assert remedy in refusal(module, "def load(x):\n    return CONNECTION.execute(x)\n", connection)


def test_the_helper_that_reads_it_is_named(module, connection):
    source = "def clean(x):\n    return CONNECTION.execute(x)\ndef load(x):\n    return clean(x)\n"

    assert "the global `CONNECTION` that `load` reads (through `clean`)" in refusal(module, source, connection)


def test_the_path_inside_the_value_is_named(module, connection):
    source = "def load(x):\n    return CONNECTION\n"

    assert "`CONNECTION['a'][1]` is of type sqlite3.Connection" in refusal(module, source, {"a": [1, connection]})


def test_a_captured_value_a_default_and_a_class_attribute_are_named():
    lock = threading.Lock()

    def captured():
        return lock

    def default(x=lock):
        return x

    class Attribute:
        guard = lock

    for function, said in [
        (captured, "the captured `lock` that"),
        (default, "the default `x` that"),
        (Attribute, "the attribute `guard` that"),
    ]:
        with pytest.raises(UnhashableArgument, match=said):
            code_of(function)


def test_a_module_without_source_that_is_used_as_a_whole_is_refused():
    made = type(sys)("made_up")
    with pytest.raises(UnhashableArgument, match=r"`made_up` .* has no source .*`made_up\.name`"):
        code_of(lambda: vars(made))


def test_a_version_saves_a_function_from_being_refused(module, connection):
    made = module("def load(x):\n    return CONNECTION.execute(x)\n")
    made.CONNECTION = connection

    assert code_of(made.load, version="1").fixed


def test_what_it_depends_on_is_refused_too(connection):
    with pytest.raises(UnhashableArgument, match=r"sqlite3\.Connection"):
        code_of(len, depends=[connection])


def test_what_a_cell_reads_is_refused_too(connection):
    with pytest.raises(UnhashableArgument, match="the global `db` that `cell` reads"):
        code_of_source("db.execute('')", {"db": connection}, "cell")


def test_a_global_that_becomes_unhashable_is_a_change(module, connection):
    made = module("LIMIT = []\ndef load(x):\n    return LIMIT\n")
    code = code_of(made.load)
    made.LIMIT.append(connection)

    assert not code.unchanged()
