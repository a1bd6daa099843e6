"""Installed code counts by its package's version, and the user's own with all that it does."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import sys

import numpy as np
import pytest

import raycache
from raycache.core.fingerprint import packages
from raycache.core.fingerprint.code import code_of
from raycache.core.fingerprint.packages import PYTHON, installed, package_of
from raycache.core.fingerprint.values import fingerprint

PACKAGE = """
import functools
def clean(x):
    return x + {n}
class Model:
    def fit(self, x):
        return x + {n}
def retry(times):
    cache = {{}}
    def deco(function):
        @functools.wraps(function)
        def wrapper(*args):
            cache[args] = times
            return function(*args)
        return wrapper
    return deco
"""
USES = """
import fancy
from fancy import Model, clean
def load(x):
    return clean(x), Model().fit(x), fancy.clean(x)
@fancy.retry({times})
def retried(x):
    return x + {n}
"""


@pytest.fixture
def fancy(tmp_path, monkeypatch, module):
    """Installs a package of a version, and gives a module of the user's that uses it."""

    def install(n=1, version="1.0", times=3, body=1, site="site-packages", metadata=True):
        for each in (packages._version, packages._brought, packages._package_of_file, packages._package_of_module):
            each.cache_clear()
        folder = tmp_path / f"{n}-{version}-{times}-{body}-{metadata}" / site
        (folder / "fancy").mkdir(parents=True, exist_ok=True)
        (folder / "fancy" / "__init__.py").write_text(PACKAGE.format(n=n))
        if metadata:
            (folder / f"fancy-{version}.dist-info").mkdir(exist_ok=True)
            (folder / f"fancy-{version}.dist-info" / "METADATA").write_text(f"Name: fancy\nVersion: {version}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "fancy", raising=False)
        monkeypatch.setitem(sys.modules, "fancy", importlib.import_module("fancy"))
        return module(USES.format(times=times, n=body))

    return install


@pytest.mark.parametrize("site", ["site-packages", "dist-packages"])
def test_installed_code_counts_by_its_version_only(fancy, site):
    one = code_of(fancy(site=site).load)
    edited, newer = code_of(fancy(n=2, site=site).load), code_of(fancy(version="1.1", site=site).load)

    assert one.digest == edited.digest != newer.digest
    assert one.parts["package `fancy`"][1] == "1.0"
    assert {name for name in one.parts if one.parts[name] != newer.parts[name]} == {"package `fancy`"}


def test_code_that_is_not_installed_counts_itself(fancy):
    """An editable install has a version, and lies elsewhere."""
    assert code_of(fancy(site="src").load).digest != code_of(fancy(n=2, site="src").load).digest


def test_installed_code_without_a_version_counts_itself(fancy):
    assert code_of(fancy(metadata=False).load).digest != code_of(fancy(n=2, metadata=False).load).digest


def test_a_decorator_of_a_package_counts_by_version_with_its_arguments_and_what_it_wraps(fancy):
    def digest(**how):
        return code_of(fancy(**how).retried, name="f").digest

    assert digest() == digest(n=2)
    assert len({digest(), digest(version="1.1"), digest(times=4), digest(body=2)}) == 4


def test_what_a_decorator_of_a_package_remembers_is_no_change(fancy):
    retried = fancy().retried
    code = code_of(retried)
    retried(1)

    assert code.unchanged()
    assert code_of(retried).digest == code.digest


def test_packages_are_named_with_their_versions():
    code = code_of(lambda x: json.dumps(np.sum(x)))

    assert code.parts["package `numpy`"][1] == np.__version__
    assert code.parts["package `python`"][1] == "{}.{}".format(*sys.version_info)


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("json", PYTHON),
        ("builtins", PYTHON),
        ("collections.abc", PYTHON),
        ("math", PYTHON),
        ("numpy.linalg", ("numpy", np.__version__)),
        ("raycache.core", ("raycache", raycache.__version__)),
        (__name__, None),
        ("not_there", None),
    ],
)
def test_a_module_is_of_the_standard_library_installed_or_the_users_own(module, package):
    assert package_of(module) == package
    assert installed(module) == (package is not None)


def test_a_package_that_is_called_otherwise_than_its_module_is_found():
    """By a table, and by asking every distribution what it brings."""
    import dateutil.parser
    import sklearn

    assert package_of("sklearn.base") == ("sklearn", sklearn.__version__)
    assert package_of(dateutil.parser.__name__) == ("dateutil", importlib.metadata.version("python-dateutil"))


def test_main_is_the_users_own_whatever_started_the_process():
    assert not installed("__main__")
    assert not installed(None)


def test_a_function_of_a_package_that_a_decorator_has_renamed_is_still_the_packages(fancy):
    """functools.wraps gives the wrapper the user's module."""
    retried = fancy().retried

    assert retried.__module__ == "pipeline"
    assert "package `fancy`" in code_of(retried).parts


def test_a_class_made_at_run_time_by_installed_code_is_not_known_by_its_name():
    import dataclasses

    kinds = [dataclasses.make_dataclass("Row", fields) for fields in (["a"], ["b"], [("a", int, 1)])]

    assert len({fingerprint(each) for each in kinds}) == 3


def test_installed_functions_made_with_defaults_are_told_apart():
    digests = {code_of(functools.partial(np.sum, axis=axis)).digest for axis in (0, 1)}

    assert len(digests) == 2


GIVEN = """
import functools
def scaled(params, cache):
    def wrap(f):
        @functools.wraps(f)
        def inner(x): return f(x) * params["scale"]
        return inner
    return wrap
def cached(cache):
    def wrap(f):
        @functools.wraps(f)
        def inner(x):
            cache[x] = f(x)
            return cache[x]
        return inner
    return wrap
"""


@pytest.fixture
def decorators(tmp_path, monkeypatch):
    """An installed package with decorators that hold mutable values."""
    folder = tmp_path / "site-packages"
    (folder / "decorators-1.0.dist-info").mkdir(parents=True)
    (folder / "decorators-1.0.dist-info" / "METADATA").write_text("Name: decorators\nVersion: 1.0\n")
    (folder / "decorators.py").write_text(GIVEN)
    monkeypatch.syspath_prepend(folder)
    for each in (packages._version, packages._brought, packages._package_of_file, packages._package_of_module):
        each.cache_clear()
    yield importlib.import_module("decorators")
    sys.modules.pop("decorators", None)


def test_a_mutable_value_that_a_decorator_was_given_counts_and_is_watched(decorators, module):
    given = {"scale": 1}
    load = decorators.scaled(given, {})(module("def load(x):\n    return x\n").load)
    code = code_of(load)
    given["scale"] = 5

    assert not code.unchanged()
    assert code_of(load).digest != code.digest


def test_the_cache_of_a_decorator_is_no_change(decorators, module):
    load = decorators.cached({})(module("def load(x):\n    return x\n").load)
    code = code_of(load)
    load(1)

    assert code.unchanged()
    assert code_of(load).digest == code.digest


def test_annotations_count_where_a_package_has_wrapped_the_function(decorators, module):
    """As pydantic's validate_call goes by them; functions by themselves do not."""
    one, other = (module(f"def load(x: {kind}):\n    return x\n").load for kind in ("int", "str"))

    assert code_of(one).digest == code_of(other).digest
    assert code_of(decorators.cached({})(one)).digest != code_of(decorators.cached({})(other)).digest
