"""Bytes, seconds and counts as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import units


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (1536 << 10, "1.5 MiB"), (3000 << 40, "3,000.0 TiB")],
)
def test_sizes_are_shown_in_binary_units(number, shown):
    assert units.size_text(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.00035, "350 µs"),
        (0.0123, "12 ms"),
        (0.9999, "1.00 s"),
        (1.5, "1.50 s"),
        (125, "2 min 5 s"),
        (7260, "2 h 1 min"),
        (120, "2 min"),
        (86400, "1 d"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
        (math.inf, "∞"),
    ],
)
def test_times_are_shown_in_their_unit(seconds, shown):
    assert units.time_text(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-0.2, "just now"),
        (0.3, "just now"),
        (12.4, "12 s ago"),
        (119, "119 s ago"),
        (200, "3 min ago"),
        (3 * 3600, "3 h ago"),
        (75 * 3600, "3 d ago"),
    ],
)
def test_how_long_ago_is_told_in_whole_units(seconds, shown):
    assert units.ago_text(seconds) == shown


@given(seconds=st.floats(0, 1e9))
def test_a_time_is_never_shown_as_sixty_of_a_unit(seconds):
    numbers = [number for number in units.time_text(seconds).split() if number.isdigit()]

    assert "60" not in numbers[1:]


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(0, 0, "-"), (0, 3, "0.0%"), (1, 3, "33.3%"), (1789, 1790, "99.9%"), (2, 2, "100.0%")]
)
def test_a_share_of_nothing_is_a_dash(part, whole, shown):
    assert units.share_text(part, whole) == shown


def test_counts_have_their_thousands_apart():
    assert units.count_text(1790) == "1,790"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(152.4e-9, "152 ns"), (4.306e-6, "4.31 us"), (0.0036, "3.6 ms"), (1.0, "1 s"), (0.0, "0 ns")]
)
def test_a_measured_time_has_three_digits(seconds, shown):
    assert units.measured_text(seconds) == shown
