"""Methods: bound to an object or a class, which is an argument like others."""

from __future__ import annotations

import asyncio
import sys
import types
from dataclasses import dataclass

import pytest
from tally import looks

import raycache

ORDERS = ["memoize above", "memoize below"]


@dataclass
class Model:
    """Scales numbers."""

    factor: int


def methods(memo, tally, order, **options):
    """A class whose methods are memoized, the decorators in this order."""

    def both(kind):
        def decorate(function):
            return memo(kind(function), **options) if order == "memoize above" else kind(memo(function, **options))

        return decorate

    @dataclass
    class Scale:
        factor: int

        @memo(name="scale", **options)
        def scale(self, x):
            tally(x)
            return self.factor * x

        @both(staticmethod)
        def double(x):
            tally(x)
            return 2 * x

        @both(classmethod)
        def named(cls, x):
            tally(x)
            return f"{cls.__name__} {x}"

    return Scale


@pytest.fixture(params=ORDERS)
def scale(request, memo, tally, where):
    return methods(memo, tally, request.param, where=where)


def test_equal_objects_share_results_and_others_do_not(scale, tally):
    assert [scale(2).scale(5), scale(2).scale(5), scale(3).scale(5)] == [10, 10, 15]
    assert tally.seen == [5, 5]


def test_an_object_that_has_changed_has_other_results(scale):
    one = scale(2)
    first = one.scale(5)
    one.factor = 7

    assert (first, one.scale(5)) == (10, 35)


def test_a_static_method_is_called_of_class_and_object(scale, tally):
    assert [scale.double(4), scale(1).double(4)] == [8, 8]
    assert tally.seen == [4]


def test_a_class_method_knows_its_class(scale, tally):
    class Sub(scale):
        pass

    assert [scale.named(1), scale(1).named(1), Sub.named(1)] == ["Scale 1", "Scale 1", "Sub 1"]
    assert tally.seen == [1, 1]


def test_the_members_of_a_bound_method_are_those_of_the_object(scale, tally):
    one, other = scale(2), scale(3)
    one.scale(5)

    assert (one.scale.peek(5), other.scale.peek(5)) == (10, None)
    assert one.scale.key(5) == scale.scale.key(one, 5) != other.scale.key(5)
    assert (bool(one.scale.explain(5)), bool(other.scale.explain(5))) == (True, False)
    assert (other.scale.forget(5), one.scale.forget(5), one.scale.peek(5)) == (False, True, None)
    assert (one.scale.refresh(5), tally.seen) == (10, [5, 5])


def test_the_members_of_a_static_method_work_too(scale):
    scale.double(4)

    assert (scale.double.peek(4), scale.double.forget(4), scale.double.peek(4)) == (8, True, None)
    assert scale.double.map([1, 2]) == [2, 4]


@pytest.fixture(params=ORDERS if sys.version_info < (3, 13) else ORDERS[:1])
def named(request, memo, tally, where):
    """A memoized class method, whose members are told the class."""
    return methods(memo, tally, request.param, where=where).named


def test_the_members_of_a_class_method_work_too(named):
    named(1)

    assert (named.peek(1), named.forget(1), named.peek(1)) == ("Scale 1", True, None)
    assert named.map(["a"]) == ["Scale a"]


def test_members_below_classmethod_that_are_not_told_the_class_say_what_to_do(memo):
    """`classmethod` makes such methods from Python 3.13 on."""

    @memo
    def named(cls, x):
        return f"{cls.__name__} {x}"

    below = types.MethodType(named, Model)

    assert below(1) == "Model 1"
    with pytest.raises(TypeError, match=r"named\(\) missing .* 'x'; .* if @memoize stands above @classmethod"):
        below.peek(1)
    with pytest.raises(TypeError) as caught:
        named(cls=Model)
    assert "classmethod" not in str(caught.value)


def test_the_counters_are_those_of_the_function(scale):
    scale(2).scale(5)
    scale(3).scale(5)
    scale(3).scale(5)

    assert looks(scale(9).scale) == looks(scale.scale) == (1, 2)


def test_a_method_is_mapped_over_items(scale):
    assert scale(3).scale.map([1, 2, 3]) == [3, 6, 9]


def test_a_method_without_arguments_is_remembered_for_each_object(memo):
    class Number:
        def __init__(self, n):
            self.n = n

        @memo
        def squared(self):
            return self.n * self.n

    assert [Number(2).squared(), Number(3).squared(), Number(2).squared()] == [4, 9, 4]
    assert looks(Number.squared) == (1, 2)


def test_an_async_method_is_awaited(memo, where):
    class Source:
        @memo(where=where)
        async def get(self, x):
            return x + 1

    assert asyncio.run(Source().get(1)) == 2


def test_what_a_method_may_leave_out_of_its_object_is_said_by_a_key(memo, tally):
    @memo(key=lambda self, x: (self.factor, x))
    def scaled(self, x):
        tally(x)
        return self.factor * x

    class Scale:
        by = scaled

        def __init__(self, factor, connection):
            self.factor, self.connection = factor, connection

    assert [Scale(2, object()).by(3), Scale(2, object()).by(3)] == [6, 6]
    assert tally.seen == [3]


def test_an_object_without_a_fingerprint_is_refused_with_its_path(memo):
    class Holder:
        def __init__(self):
            self.source = iter([1])

        @memo
        def get(self):
            return 1

    with pytest.raises(raycache.UnhashableArgument, match=r"self\.source"):
        Holder().get()
