"""Clients that load a server for some seconds, over kept-open connections: wrk over HTTP, and grpc.aio."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.peers import install

_SCRIPT = Path(__file__).parent / "keys.lua"


@dataclass(frozen=True)
class Load:
    """What came of it."""

    requests: int
    seconds: float
    p50_s: float  # until an answer was there


def wrk_program() -> str:
    """Raises NotRun where there is none."""
    return install.program("wrk", "wrk")


def wrk(origin: str, path: str, count: int, connections: int, seconds: int) -> Load:
    """Gets PATH0, PATH1, ... PATH(count - 1) over and over, one at a time on each connection."""
    options = ("-t1", f"-c{connections}", f"-d{seconds}s", "-s", _SCRIPT)
    done = subprocess.run([wrk_program(), *options, origin, "--", path, str(count)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"wrk of {origin}{path} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if failed := told.pop("failed"):
        raise RuntimeError(f"{failed} of {told['requests']} requests of {origin}{path} failed")
    return Load(**told)


def grpc_load(address: str, method: str, messages: Sequence[bytes], at_once: int, seconds: float) -> Load:
    """Calls a method with these messages over and over, so many at once on one connection."""
    return asyncio.run(_grpc_load(address, method, messages, at_once, seconds))


async def _grpc_load(address: str, method: str, messages: Sequence[bytes], at_once: int, seconds: float) -> Load:
    taken: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call, each = channel.unary_unary(method), itertools.cycle(messages)
        await call(next(each))  # connected
        began = time.perf_counter()
        await asyncio.gather(*(_calls(call, each, began + seconds, taken) for _ in range(at_once)))
        return Load(len(taken), time.perf_counter() - began, statistics.median(taken))


async def _calls(call: Any, messages: Iterator[bytes], until: float, taken: list[float]) -> None:
    now = time.perf_counter()
    while now < until:
        before = now
        await call(next(messages))
        now = time.perf_counter()
        taken.append(now - before)


def grpc_answers(address: str, method: str, messages: Sequence[bytes]) -> list[bytes]:
    """What a method answers to each message."""

    async def answers() -> list[bytes]:
        async with grpc.aio.insecure_channel(address) as channel:
            return [await channel.unary_unary(method)(message) for message in messages]

    return asyncio.run(answers())
