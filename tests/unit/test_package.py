"""The package as users import it."""

from __future__ import annotations

import importlib.metadata
import inspect

import pytest

import raycache
from raycache import errors

PUBLIC = [
    "Cache",
    "CacheInfo",
    "CacheUnavailable",
    "CapacityError",
    "Expiring",
    "Explanation",
    "GetterFailed",
    "Group",
    "GroupConflict",
    "InvalidKey",
    "InvalidOption",
    "LoadTimeout",
    "LoaderDied",
    "Memoized",
    "NotFound",
    "RaycacheError",
    "Report",
    "ShardInfo",
    "StaleCode",
    "Stats",
    "UncacheableValue",
    "UnhashableArgument",
    "UnknownGroup",
    "UnpicklableGetter",
    "ValueTooLarge",
    "VersionMismatch",
    "__version__",
    "connect",
    "load_ipython_extension",
    "memoize",
    "register_fingerprint",
    "unload_ipython_extension",
]
ERRORS = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.RaycacheError)]


def test_the_public_names_are_these_and_no_others():
    assert raycache.__all__ == PUBLIC
    assert raycache.__all__ == sorted(raycache.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_imported(name):
    assert getattr(raycache, name) is not None


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_public_has_a_line_of_its_own_and_stands_in_the_tree(error):
    assert getattr(raycache, error.__name__) is error
    assert error.__doc__
    assert error is errors.RaycacheError or error.__name__ in errors.__doc__


BUILTIN = {
    "NotFound": KeyError,
    "LoadTimeout": TimeoutError,
    "CacheUnavailable": ConnectionError,
    "VersionMismatch": errors.CacheUnavailable,
    "UnknownGroup": LookupError,
    "GroupConflict": ValueError,
    "CapacityError": ValueError,
    "ValueTooLarge": ValueError,
    "UncacheableValue": TypeError,
    "UnhashableArgument": TypeError,
    "UnpicklableGetter": TypeError,
    "InvalidKey": ValueError,
    "InvalidOption": ValueError,
}


@pytest.mark.parametrize(("name", "kind"), BUILTIN.items())
def test_errors_are_what_python_calls_such_errors_too(name, kind):
    assert issubclass(getattr(raycache, name), kind)


def test_the_text_of_a_missing_key_is_shown_as_it_is():
    assert str(raycache.NotFound("no user 'alice'")) == "no user 'alice'"


def test_the_version_is_that_of_the_distribution():
    assert raycache.__version__ == importlib.metadata.version("raycache")


@pytest.mark.parametrize("module", ["ray", "numpy", "pandas", "IPython", "tqdm", "click", "rich", "raycache.inline"])
def test_importing_the_package_does_not_import(python, module):
    assert python(f"import sys, raycache; print({module!r} in sys.modules)") == "False"


def test_an_inline_cache_needs_no_ray(python):
    program = "import sys, raycache\nsys.modules['ray'] = None\nwith raycache.connect(address='inline') as cache:\n"
    program += "    print(cache.group('g', str.upper).get('a'))"

    assert python(program) == "A"
