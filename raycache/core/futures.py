"""Waiting for the standard library's futures: what the inline cache uses, and Ray where a value comes from a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from raycache.core.messages import Failed
from raycache.core.steps import Wait

Pending = concurrent.futures.Future


class Done(NamedTuple):
    """A future that has come."""

    value: Any


def pending() -> Pending[Any]:
    """A future that no one who waits for it can cancel."""
    future: Pending[Any] = Pending()
    future.set_running_or_notify_cancel()
    return future


def in_thread(work: Callable[[], Any]) -> Pending[Any]:
    """Runs something in a thread of its own, which does not keep the program from ending."""
    future = pending()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="raycache-load", daemon=True).start()
    return future


def wait(want: Wait, failed: Callable[[BaseException], Failed]) -> list[Any]:
    """What a `Wait` asks for, in this thread; `failed` names what an exception in a future means."""
    some = _to_wait_for(want)
    if some:
        when = concurrent.futures.ALL_COMPLETED if want.all else concurrent.futures.FIRST_COMPLETED
        concurrent.futures.wait(some, want.timeout_s, when)
    elif not want.futures:
        time.sleep(want.timeout_s or 0.0)
    return _results(want.futures, failed)


async def await_(want: Wait, failed: Callable[[BaseException], Failed]) -> list[Any]:
    """`wait`, in this event loop."""
    some = [asyncio.wrap_future(future) for future in _to_wait_for(want)]
    if some:
        when = asyncio.ALL_COMPLETED if want.all else asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(some, timeout=want.timeout_s, return_when=when)
        for future in done:
            future.exception()  # looked at: the result below has it
    elif not want.futures:
        await asyncio.sleep(want.timeout_s or 0.0)
    return _results(want.futures, failed)


def _to_wait_for(want: Wait) -> list[Pending[Any]]:
    open_ones = [future for future in want.futures if not isinstance(future, Done)]
    return open_ones if want.all or len(open_ones) == len(want.futures) else []


def _results(futures: Sequence[Any], failed: Callable[[BaseException], Failed]) -> list[Any]:
    results: list[Any] = []
    for future in futures:
        if isinstance(future, Done):
            results.append(future.value)
        elif not future.done():
            results.append(None)
        else:
            error = future.exception()
            results.append(future.result() if error is None else failed(error))
    return results
