"""For any values: equal ones have one fingerprint, different ones different fingerprints."""

from __future__ import annotations

import copy
import datetime
import pickle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from raycache.core.fingerprint.values import describe, fingerprint

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0]),
    st.complex_numbers(),
    st.text(st.characters()),
    st.text("ab", max_size=2),
    st.binary(max_size=3),
    st.decimals(allow_nan=False),  # a signaling NaN has no hash
    st.fractions(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=1))])),
    st.timedeltas(),
    st.uuids(),
    st.builds(range, st.integers(-3, 3), st.integers(-3, 3), st.sampled_from([1, 2, -1])),
)
HASHABLE = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    ATOMS | st.binary(max_size=3).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are of the same types and equal, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return matched([*one.items()], [*other.items()])
    if isinstance(one, (set, frozenset)):
        return matched([*one], [*other])
    if isinstance(one, (datetime.datetime, datetime.time)):
        return (repr(one), one.fold) == (repr(other), other.fold)
    if isinstance(one, range):
        return repr(one) == repr(other)
    return repr(one).replace("-nan", "nan") == repr(other).replace("-nan", "nan")


def matched(ones: list[Any], others: list[Any]) -> bool:
    """Whether each of the ones has a partner of its own among the others."""
    if len(ones) != len(others):
        return False
    left = others.copy()
    for one in ones:
        partner = next((i for i, other in enumerate(left) if same(one, other)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def shuffled(value: Any) -> Any:
    """An equal value of other objects, with dicts and sets in another order."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(map(shuffled, value))
    if kind is dict:
        return {shuffled(key): shuffled(each) for key, each in reversed(value.items())}
    if kind in (set, frozenset):
        return kind(map(shuffled, reversed([*value])))
    return copy.deepcopy(value)


@given(one=VALUES, other=VALUES)
def test_two_values_have_one_fingerprint_if_and_only_if_they_are_the_same(one, other):
    assert (fingerprint(one) == fingerprint(other)) == same(one, other)


@given(one=ATOMS, other=ATOMS)
def test_two_atoms_have_one_fingerprint_if_and_only_if_they_are_the_same(one, other):
    assert (fingerprint(one) == fingerprint(other)) == same(one, other)


@given(values=st.lists(st.lists(st.sampled_from(["", "a", b"", b"a", 0, 1, None, (), ("a",)]), max_size=3), max_size=3))
def test_where_a_value_ends_is_told(values):
    """A list of lists is neither the lists one after the other nor cut otherwise."""
    flat = [each for inner in values for each in inner]

    assert (fingerprint(values) == fingerprint(flat)) == same(values, flat)


@given(value=VALUES)
def test_order_and_identity_have_no_influence(value):
    assert fingerprint(shuffled(value)) == fingerprint(value)


@given(value=VALUES)
def test_a_value_that_has_travelled_keeps_its_fingerprint(value):
    assert fingerprint(pickle.loads(pickle.dumps(value))) == fingerprint(value)


@given(value=VALUES, copies=st.integers(1, 3))
@settings(max_examples=50)
def test_equal_parts_count_as_shared_ones(value, copies):
    assert fingerprint([value] * copies) == fingerprint([shuffled(value) for _ in range(copies)])


@given(value=VALUES)
def test_any_value_is_described_in_60_characters(value):
    assert 0 < len(describe(value)) <= 60
