"""Calls of gRPC that cannot be held for nothing: their message comes in time, and so many are answered at once.

grpc waits for a message for ever, and has one bound for the calls of all services together. Here every service has a
bound of its own, so that calls that need no token keep nobody else from being answered.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc


class Refused(Exception):
    """The call cannot be answered: a status and its text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Room:
    """For so many calls at once; `with room:` raises Refused where there are as many. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0

    def __enter__(self) -> None:
        if self._taken >= self._most:
            what = f"{self._taken} calls are being answered, which is the most; try again"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, what)
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1


async def message(context: Any, within_s: float) -> bytes:
    """The message of a call. With a timer, as `asyncio.wait_for` has a task of its own, a tenth of all a call takes.

    Raises Refused where none comes in time, or none at all.
    """
    late, task = False, asyncio.current_task()

    def end() -> None:
        nonlocal late
        late = True
        if task is not None:
            task.cancel()

    timer = asyncio.get_running_loop().call_later(within_s, end)
    try:
        data = await context.read()
    except asyncio.CancelledError:
        if not late:  # the client has gone
            raise
        what = f"the message of the call did not come within {within_s:g} s"
        raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, what) from None
    finally:
        timer.cancel()
    if data is grpc.aio.EOF:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")
    return bytes(data)
