"""Expiries by the second: what is due is what a sorted list would say is due, however entries come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raycache.core.expiries import Expiries

TIMES = st.floats(0, 6).map(lambda time: round(time, 2))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([b"a", b"b", b"c", b"d"]), TIMES),
        st.tuples(st.just("remove"), st.sampled_from([b"a", b"b", b"c", b"d"]), st.none()),
        st.tuples(st.just("wait"), st.none(), st.floats(0, 2)),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_what_is_due_is_due_at_its_time_and_not_before(steps):
    expiries, there, now = Expiries(), {}, 0.0

    def times(keys):
        return {key: there[key] for key in keys if key in there}

    for step, key, number in steps:
        if step == "put":
            there[key] = number
            expiries.add(key, number)
        elif step == "remove":
            there.pop(key, None)
        else:
            now += number
            due = {key for key in expiries.due(now, times) if there.get(key, now + 1) <= now}

            assert due == {key for key, expires in there.items() if expires <= now}
            for key in due:
                del there[key]
    expiries.due(10.0, times)
    assert len(expiries) == 0


def test_what_was_replaced_is_told_of_once_its_old_time_has_come():
    """And it does not stay twice for its new one."""
    expiries = Expiries()
    for time in (1.5, 3.5):
        expiries.add(b"a", time)

    assert expiries.due(1.9, lambda keys: dict.fromkeys(keys, 3.5)) == []
    assert len(expiries) == 1
    assert expiries.due(3.5, lambda keys: dict.fromkeys(keys, 3.5)) == [b"a"]
