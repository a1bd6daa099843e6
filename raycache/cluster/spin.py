"""Spinning: looking for an answer that is about to come, in place of sleeping until it is there.

To wake a thread on an idle core takes longer than the answer itself. (Between two Python processes on loopback, in a
virtual machine: an echo that is slept for 59 us, one that is looked for 22.) Every look lets go of the GIL.

Invariants: nothing is looked for where there is but one core, which whoever answers needs; nor for a while after looks
that were in vain, for more answers after every one in a row: an answer comes late also where server and client have
been put on one core.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

#: How long after its request an answer is looked for. A read of one key has come after 25 to 60 us from the same
#: machine or a near one, and what has not come by then costs no more than twice what it costs to sleep and be woken.
SPIN_S = 100e-6
#: Answers at most that are slept for at once after looks in vain.
MOST_SKIPPED = 63


class Spin:
    """What is known of one connection's answers. For one thread at a time."""

    def __init__(self, look: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        """`look` says whether there is something within so many milliseconds."""
        self._look, self._clock = look, clock
        self._pays = len(os.sched_getaffinity(0)) > 1
        self._skipped = self._skips = 0  # after the last look in vain, and how many of these are left

    def found(self, until: float) -> bool:
        """Whether something has come by then, as far as it pays to look."""
        if not self._pays or self._clock() >= until:
            return False
        if self._skips:
            self._skips -= 1
            return False
        while not self._look(0):
            if self._clock() >= until:
                self._skips = self._skipped = min(2 * self._skipped + 1, MOST_SKIPPED)
                return False
        self._skipped = 0
        return True
