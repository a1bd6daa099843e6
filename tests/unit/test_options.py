"""Options: sizes and times as people write them, and errors that name the option and its value."""

from __future__ import annotations

import contextlib
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import InvalidOption
from raycache.options import CacheOptions, GroupOptions, group_options, parse_seconds, parse_size

SIZES = {
    "0": 0,
    "17": 17,
    "1 KiB": 1024,
    "1k": 1024,
    "200 kB": 200_000,
    "64 MiB": 64 << 20,
    "64mib": 64 << 20,
    " 64 M ": 64 << 20,
    "1.5 GiB": 3 << 29,
    "2 GB": 2_000_000_000,
    "1 TiB": 1 << 40,
    "12 b": 12,
}
SECONDS = {
    "5": 5.0,
    "5s": 5.0,
    "5m": 300.0,
    "1h30m": 5400.0,
    "1h 30m": 5400.0,
    "500ms": 0.5,
    "1.5H": 5400.0,
    "2d": 172_800.0,
    "1w": 604_800.0,
    "1m500ms": 60.5,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text, "capacity") == size


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items())
def test_times_are_read_as_people_write_them(text, seconds):
    assert parse_seconds(text, "ttl") == seconds


@given(size=st.integers(0, 2**62))
def test_a_number_of_bytes_is_taken_exactly(size):
    assert parse_size(size, "capacity") == size
    assert parse_size(str(size), "capacity") == size


@given(number=st.integers(0, 10_000), unit=st.sampled_from(["KiB", "MiB", "GiB"]), space=st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number, unit, space):
    assert parse_size(f"{number}{space}{unit}", "capacity") == number * parse_size(f"1 {unit}", "capacity")


@given(seconds=st.floats(0, 1e9) | st.integers(0, 10**9))
def test_a_number_of_seconds_is_taken_as_it_is(seconds):
    assert parse_seconds(seconds, "ttl") == seconds


@given(time=st.timedeltas(timedelta(0)))
def test_a_timedelta_is_its_seconds(time):
    assert parse_seconds(time, "ttl") == time.total_seconds()


@given(hours=st.integers(0, 99), minutes=st.integers(0, 99), seconds=st.integers(0, 99))
def test_a_time_of_several_parts_is_their_sum(hours, minutes, seconds):
    assert parse_seconds(f"{hours}h{minutes}m{seconds}s", "ttl") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize("size", ["", "MiB", "64 XB", "-1", -1, "1 2", 1.5, None, True, b"64", "1e3", "64 MiB!"])
def test_what_is_no_size_is_refused_with_option_and_value(size):
    with pytest.raises(InvalidOption) as refused:
        parse_size(size, "capacity")

    assert f"capacity={size!r}" in str(refused.value)


@pytest.mark.parametrize(
    "time", ["", "m", "5x", "-5", -1, -0.5, float("nan"), timedelta(-1), None, True, "1h30", "1 2"]
)
def test_what_is_no_time_is_refused_with_option_and_value(time):
    with pytest.raises(InvalidOption) as refused:
        parse_seconds(time, "negative_ttl")

    assert f"negative_ttl={time!r}" in str(refused.value)


@pytest.mark.parametrize("size", [10**400, "9" * 400], ids=["int", "str"])
def test_a_size_beyond_all_numbers_is_refused_as_an_option(size):
    with pytest.raises(InvalidOption, match="capacity="):
        parse_size(size, "capacity")


@pytest.mark.timeout(20)
def test_a_long_text_that_is_no_time_is_refused_at_once():
    """A pattern that tries every way to split digits into numbers would take years for this one."""
    with pytest.raises(InvalidOption, match="is not a time"):
        parse_seconds("1" * 200 + "!", "ttl")


@pytest.mark.parametrize(("parse", "option"), [(parse_seconds, "ttl"), (parse_size, "capacity")])
@given(text=st.text(max_size=15) | st.text("0123456789.smhkbi ", max_size=15))
def test_any_text_is_understood_or_an_invalid_option(parse, option, text):
    with contextlib.suppress(InvalidOption):
        assert parse(text, option) >= 0


def test_a_group_has_its_defaults_where_nothing_was_said():
    options = group_options(1 << 30, ttl=None, capacity=None)

    assert options == GroupOptions(capacity_bytes=64 << 20)
    assert group_options(1 << 20).capacity_bytes == 1 << 18


def test_a_group_takes_what_was_said():
    options = group_options(1 << 30, capacity="1 MiB", ttl="5m", max_ttl=timedelta(hours=1), negative_ttl=3, near=0)

    assert options == GroupOptions(
        capacity_bytes=1 << 20, ttl_s=300.0, max_ttl_s=3600.0, negative_ttl_s=3.0, near_bytes=0
    )


BAD = [
    {"policy": "LRU"},
    {"policy": 7},
    {"policy": ["lru"]},
    {"ttl_jitter": 1.0},
    {"ttl_jitter": -0.1},
    {"ttl_jitter": "much"},
    {"batch_size": 0},
    {"batch_size": "many"},
    {"batch_size": 2.5},
    {"load_timeout": 0},
    {"load_timeout": "soon"},
    {"capacity": "much"},
    {"near": -1},
    {"ttl": "later"},
    {"max_ttl": []},
    {"negative_ttl": {}},
]


@pytest.mark.parametrize("given", BAD, ids=str)
def test_an_option_of_a_group_that_makes_no_sense_is_refused_with_its_value(given):
    ((name, value),) = given.items()
    with pytest.raises(InvalidOption) as refused:
        group_options(1 << 30, **given)

    assert f"{name}=" in str(refused.value)
    assert str(value) in str(refused.value)


def test_a_policy_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(
        InvalidOption, match="policy='mru': there is no such policy; choose one of lru, s3fifo, sieve, gdsf"
    ):
        group_options(1 << 30, policy="mru")


BAD_OF_A_CACHE = [
    {"shards_per_node": 0},
    {"shards_per_node": "two"},
    {"max_loads": 0},
    {"max_loads": True},
    {"placement": "some"},
    {"placement": {}},
    {"placement": {"cache": 1}},
    {"placement": {1: "yes"}},
    {"placement": ["cache"]},
    {"placement": None},
    {"page_server": 1},
    {"hot": -0.1},
    {"hot": 1.1},
    {"hot": math.nan},
    {"hot": "half"},
    {"hot": True},
]


@pytest.mark.parametrize("given", BAD_OF_A_CACHE, ids=str)
def test_an_option_of_a_cache_that_makes_no_sense_is_refused_with_its_value(given):
    ((name, value),) = given.items()
    with pytest.raises(InvalidOption) as refused:
        CacheOptions(capacity_bytes=1000, **given)

    assert f"{name}=" in str(refused.value)
    assert str(value) in str(refused.value)


@pytest.mark.parametrize("seconds", [0.0, 0.49, -1.0, math.nan, 10.1, 1e9])
def test_a_lease_that_would_run_out_by_itself_or_that_no_removal_can_wait_for_is_refused(seconds):
    with pytest.raises(InvalidOption, match=rf"lease={seconds}: .* less than 0.5 s"):
        CacheOptions(capacity_bytes=1000, lease_s=seconds)


@pytest.mark.parametrize("seconds", [0.5, 10.0, math.inf])
def test_any_other_lease_is_taken(seconds):
    assert CacheOptions(capacity_bytes=1000, lease_s=seconds).lease_s == seconds


@pytest.mark.parametrize("placement", ["all", "workers", {"cache": "yes"}, {"cache": "yes", "zone": "a"}], ids=str)
def test_a_cache_lives_on_all_nodes_on_workers_or_on_those_with_labels(placement):
    assert CacheOptions(capacity_bytes=1000, placement=placement).placement == placement


def test_a_cache_lives_everywhere_with_leases_of_three_seconds_unless_told_otherwise():
    options = CacheOptions(capacity_bytes=1000)

    assert (options.placement, options.lease_s) == ("all", 3.0)


def test_copies_of_hot_keys_may_take_an_eighth_unless_told_otherwise():
    assert CacheOptions(capacity_bytes=1000).hot == 1 / 8
    assert [CacheOptions(capacity_bytes=1000, hot=share).hot for share in (0, 1)] == [0, 1]


def test_groups_name_the_options_in_which_they_differ():
    one, other = GroupOptions(capacity_bytes=1, ttl_s=5.0), GroupOptions(capacity_bytes=2)

    assert one.differences(other) == ["capacity_bytes: 1 here, 2 there", "ttl_s: 5.0 here, None there"]
    assert one.differences(one) == []


def test_invalid_options_are_type_and_value_errors():
    assert issubclass(InvalidOption, TypeError)
    assert issubclass(InvalidOption, ValueError)
