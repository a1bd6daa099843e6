"""The arguments of calls: bound as Python binds them, and what they come to."""

from __future__ import annotations

import inspect
import itertools
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import InvalidOption, UnhashableArgument
from raycache.core.fingerprint.arguments import Arguments
from raycache.core.fingerprint.values import fingerprint

MISSING = object()


def embed(text, model="small"):
    return locals()


def nothing():
    return locals()


def only(a, b=2, /):
    return locals()


def mixed(a, /, b, c=3, *, d, e=5):
    return locals()


def rest(a, *args, k=1):
    return locals()


def others(a, b=2, **kwargs):
    return locals()


def everything(a, b=2, /, c=3, *args, d, e=5, **kwargs):
    return locals()


def shadow(a, /, **kwargs):
    return locals()


def named(*, a, b=2):
    return locals()


FUNCTIONS = [embed, nothing, only, mixed, rest, others, everything, shadow, named]
ARGS = st.lists(st.integers(0, 3), max_size=5).map(tuple)
KWARGS = st.dictionaries(st.sampled_from("abcdekxz"), st.integers(0, 3), max_size=4)


def of(function: Any, **options: Any) -> Arguments:
    return Arguments(inspect.signature(function), name=function.__name__, **options)


@given(function=st.sampled_from(FUNCTIONS), args=ARGS, kwargs=KWARGS)
def test_arguments_are_bound_as_python_binds_them(function, args, kwargs):
    assert outcome(lambda: of(function).bind(args, kwargs)) == outcome(lambda: function(*args, **kwargs))


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (others, (1,), {"a": 2}),
        (others, (1, 2), {"b": 2, "x": 1}),
        (everything, (1, 2, 3, 4), {"c": 3, "d": 4}),
        (everything, (), {"a": 1, "d": 4}),
        (only, (1,), {"b": 2}),
        (mixed, (1,), {"b": 2}),
        (named, (1,), {"a": 1}),
        (nothing, (), {"x": 1}),
    ],
)
def test_a_call_that_python_refuses_is_refused(function, args, kwargs):
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) "):
        of(function).digest(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1,), {"a": 2}), ((1,), {"a": 2, "b": 3}), ((1,), {}), ((1,), {"args": 1, "kwargs": 2})]
)
def test_what_is_positional_only_may_be_named_among_the_others(args, kwargs):
    assert of(shadow).bind(args, kwargs) == {"a": 1, "kwargs": kwargs}


def outcome(bind: Any) -> Any:
    """The arguments by name, or that they are refused."""
    try:
        return bind()
    except TypeError:
        return TypeError


@given(calls=st.tuples(*[st.tuples(ARGS, KWARGS)] * 2), function=st.sampled_from(FUNCTIONS))
def test_two_calls_have_one_digest_if_and_only_if_they_mean_the_same(calls, function):
    bound, digests = [], []
    for args, kwargs in calls:
        try:
            bound.append(of(function).bind(args, kwargs))
        except TypeError:
            return
        digests.append(of(function).digest(args, kwargs))

    assert (digests[0] == digests[1]) == (bound[0] == bound[1])


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "embed() missing a required argument: 'text'"),
        ((1, 2, 3), {}, "embed() too many positional arguments"),
        ((1,), {"text": 1}, "embed() multiple values for argument 'text'"),
        ((1,), {"size": 1}, "embed() got an unexpected keyword argument 'size'"),
    ],
)
def test_a_wrong_call_is_a_type_error_that_says_what_is_wrong(args, kwargs, message):
    for ask in (of(embed).bind, of(embed).digest, of(embed).parts):
        with pytest.raises(TypeError) as refused:
            ask(args, kwargs)

        assert str(refused.value) == message


@pytest.mark.parametrize(
    "calls",
    [
        [((1, 2), {}), ((1,), {"model": 2}), ((), {"text": 1, "model": 2}), ((), {"model": 2, "text": 1})],
        [((1,), {}), ((1, "small"), {}), ((), {"text": 1, "model": "small"})],
        [(([1, 2],), {}), (([1, 2],), {"model": "small"})],
    ],
)
def test_calls_that_mean_the_same_have_one_digest(calls):
    arguments = of(embed)

    assert len({arguments.digest(*call) for call in calls}) == 1


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (
            embed,
            [((1,), {}), ((1, 2), {}), ((2, 1), {}), ((1.0,), {}), (("1",), {}), (((1, "small"),), {}), (([1],), {})],
        ),
        (rest, [((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((1, (2, 3)), {}), ((1, 2), {"k": 3}), ((1, ()), {})]),
        (others, [((1,), {}), ((1,), {"x": 1}), ((1,), {"y": 1}), ((1, {"x": 1}), {}), ((1,), {"x": 1, "y": 1})]),
        (nothing, [((), {})]),
    ],
)
def test_calls_that_differ_have_different_digests(function, calls):
    arguments = of(function)

    for one, other in itertools.combinations(calls, 2):
        assert arguments.digest(*one) != arguments.digest(*other), f"{one} and {other}"


def test_a_digest_has_16_bytes():
    assert len(of(embed).digest(("a",), {})) == len(of(nothing).digest((), {})) == 16


def test_the_names_of_keyword_arguments_come_in_no_order():
    arguments = of(others)

    assert arguments.digest((1,), {"x": 1, "y": 2}) == arguments.digest((1,), {"y": 2, "x": 1})


def test_arguments_are_bound_in_the_order_of_the_signature():
    bound = of(everything).bind((1,), {"x": 9, "d": 4, "c": 3})

    assert bound == {"a": 1, "b": 2, "c": 3, "args": (), "d": 4, "e": 5, "kwargs": {"x": 9}}
    assert list(bound) == list(inspect.signature(everything).parameters)


def test_binding_changes_nothing_of_the_callers():
    kwargs = {"x": 1, "verbose": True}
    of(others, ignore=["verbose"]).bind((1,), kwargs)

    assert kwargs == {"x": 1, "verbose": True}


def test_what_is_ignored_has_no_influence_and_may_be_anything():
    arguments = of(embed, ignore=["model"])

    assert arguments.bind(("a", 1), {}) == {"text": "a"}
    assert arguments.digest(("a", 1), {}) == arguments.digest(("a",), {"model": threading.Lock()})
    assert arguments.digest(("a",), {}) != arguments.digest(("b",), {})
    assert arguments.parts(("a", 1), {}).keys() == {"text"}


@pytest.mark.parametrize(
    ("function", "ignore", "args", "kwargs", "bound"),
    [
        (rest, ["args"], (1, 2, 3), {}, {"a": 1, "k": 1}),
        (others, ["kwargs"], (1,), {"x": 1}, {"a": 1, "b": 2}),
        (others, ["x"], (1,), {"x": 1, "y": 2}, {"a": 1, "b": 2, "kwargs": {"y": 2}}),
        (others, ["x", "kwargs"], (1,), {"x": 1}, {"a": 1, "b": 2}),
        (others, ["kwargs", "x"], (1,), {"x": 1}, {"a": 1, "b": 2}),
        (embed, "model", (1,), {}, {"text": 1}),
        (embed, {"text", "model"}, (1,), {}, {}),
    ],
)
def test_anything_of_a_call_can_be_ignored(function, ignore, args, kwargs, bound):
    assert of(function, ignore=ignore).bind(args, kwargs) == bound


def test_an_unknown_name_to_ignore_is_refused_with_the_parameters():
    with pytest.raises(InvalidOption, match=r"ignore='verbose': embed has no such parameter; it has: text, model"):
        of(embed, ignore=["model", "verbose"])
    with pytest.raises(InvalidOption, match="it has: none"):
        of(nothing, ignore=["x"])


def test_a_key_function_alone_decides():
    arguments = of(embed, key=lambda text, model="small": text.lower())

    assert arguments.digest(("A",), {}) == arguments.digest(("a",), {"model": threading.Lock()})
    assert arguments.digest(("a",), {}) == fingerprint("a")
    assert arguments.parts(("A",), {}) == {"key(...)": (fingerprint("a")[:8], "'a'")}


def test_a_key_function_and_ignore_exclude_each_other():
    with pytest.raises(InvalidOption, match="ignore= and key="):
        of(embed, key=len, ignore=["model"])


def test_a_key_without_a_fingerprint_is_refused():
    with pytest.raises(UnhashableArgument, match=r"`key\(\.\.\.\)\[0\]` is of type _thread\.lock"):
        of(embed, key=lambda *_: [threading.Lock()]).digest(("a",), {})


def test_an_argument_without_a_fingerprint_is_named_with_its_path():
    lock = threading.Lock()
    for arguments, args, kwargs, path in [
        (of(embed), ({"a": [lock]},), {}, r"text\['a'\]\[0\]"),
        (of(rest), (1, 2, lock), {}, r"args\[1\]"),
        (of(others), (1,), {"x": lock}, r"kwargs\['x'\]"),
    ]:
        for ask in (arguments.digest, arguments.parts):
            with pytest.raises(UnhashableArgument, match=f"^`{path}` is of type _thread.lock"):
                ask(args, kwargs)


def test_the_parts_say_what_each_argument_is():
    parts = of(embed).parts((np.zeros(3),), {})

    assert parts == {
        "text": (fingerprint(np.zeros(3))[:8], "array float64, shape (3,)"),
        "model": (fingerprint("small")[:8], "'small'"),
    }


def test_a_default_that_has_changed_since_is_seen():
    """A default is looked at in every call: it may be a list."""
    default = [1]
    arguments = Arguments(
        inspect.Signature([inspect.Parameter("a", inspect.Parameter.KEYWORD_ONLY, default=default)]), name="f"
    )
    before = arguments.digest((), {})
    default.append(2)

    assert arguments.digest((), {}) != before


@pytest.mark.parametrize("value", [np.zeros(3), np.array([1, 2]), float("nan"), MISSING.__class__])
def test_arguments_are_never_compared(value):
    """An array has no truth, and NaN is not itself."""
    bound = of(embed).bind((value,), {"model": value})

    assert bound["text"] is value
    assert bound["model"] is value
