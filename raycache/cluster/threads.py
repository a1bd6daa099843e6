"""What an actor's thread does again and again, whatever fails: without it the actor would be of no use.

While something fails it is tried less and less often, and of one kind of error only the first is logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

#: The pause after a failure: twice as long after every one in a row.
LEAST_PAUSE_S, MOST_PAUSE_S = 0.1, 1.0
#: After so long without it, an error of the same kind is news.
QUIET_S = 60.0


def again_and_again(work: Callable[[], None], what: str, stopped: Callable[[], bool]) -> None:
    """Starts a thread that does the work until the actor has stopped; `what` says in the log what fails."""
    name = f"raycache-{work.__name__.strip('_').replace('_', '-')}"
    threading.Thread(target=_repeat, args=(work, what, stopped), name=name, daemon=True).start()


def _repeat(work: Callable[[], None], what: str, stopped: Callable[[], bool]) -> None:
    last, kind, pause_s = 0.0, "", LEAST_PAUSE_S
    while not stopped():
        try:
            work()
            pause_s = LEAST_PAUSE_S
        except Exception as error:  # noqa: PERF203
            if stopped():
                return
            now = time.monotonic()
            if type(error).__name__ != kind or now - last > QUIET_S:
                _log.exception("raycache: %s failed; it is tried again, at least every second", what)
            last, kind = now, type(error).__name__
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, MOST_PAUSE_S)
