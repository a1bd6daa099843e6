"""A hit over HTTP and gRPC, from `raycache serve`, against a peer of groupcache in Go and an echo by grpc.aio.

All of them on loopback, each in a process of its own, asked for the same keys by the same client.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import raycache
from benchmarks.harness import Goal, Measurement, at_most
from benchmarks.peers import clients, groupcache_nodes, grpc_echo, servers
from benchmarks.peers.clients import Load
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, value_of
from raycache.edge.gateway import messages
from raycache.edge.rounds import quantile, take_turns

REST_NEAR, REST_PAGE = "REST, near hit", "REST, page hit"
PEER_NEAR, GO = "groupcache's protocol, near hit", "groupcache in Go"
GRPC_NEAR, GRPC_PAGE, ECHO = "gRPC, near hit", "gRPC, page hit", "echo by grpc.aio"
RATE = "requests per second and core"
#: Connections, and calls at once, of the throughput; times are those of one alone.
MANY = 16
KEYS, SLICE_S, WARM_UP = 1000, 1, 1
GET = f"/{messages.SERVICE}/Get"
#: How long a process that joins a Ray may take to serve.
_UP_S = 60.0
#: The groups, and which counter of theirs has to grow. Without near entries every get is a page hit.
_NEAR, _PAGES = "near", "pages"
_COUNTERS = {_NEAR: "near_hits", _PAGES: "page_hits"}
_TIERS = ("near_hits", "page_hits", "shard_hits", "loads_started", "loads_joined", "unavailable")


def _row(contender: str) -> str:
    return f"gateway: {contender}"


def _quick_enough(contender: str) -> Goal:
    return Goal(what=contender, bound=2000, at_least=True, unit=f" {RATE}", row=_row(contender))


RATES = {name: _quick_enough(name) for name in (REST_NEAR, REST_PAGE, PEER_NEAR)}
HTTP_TIMES = tuple(at_most(name, GO, 3, row=_row(name)) for name in RATES)
GRPC_TIMES = tuple(at_most(name, ECHO, 1.5, row=_row(name)) for name in (GRPC_NEAR, GRPC_PAGE))
GOALS = (*RATES.values(), *HTTP_TIMES, *GRPC_TIMES)


@dataclass(frozen=True)
class Contender:
    """A server that has the keys."""

    process: subprocess.Popen[str]
    load: Callable[[int], Load]  # by so many connections, or calls at once


@dataclass(frozen=True)
class Gateway:
    """`raycache serve`."""

    process: subprocess.Popen[str]
    http: str
    grpc: str

    def hits(self, group: str) -> dict[str, int]:
        """How many gets of a group were answered where, this process's included."""
        told = json.loads(_body(self.http, f"/v1/groups/{group}"))["stats"]
        return {tier: told[tier] for tier in _TIERS}


def run(setting: Setting) -> Iterator[Measurement]:
    with setting.a_cache("bench-gateway", capacity="64 MiB") as cache:
        keys = names(TEXT, 0, KEYS)
        cache.group(_NEAR, value_of).get_many(keys)
        cache.group(_PAGES, value_of, near=0).get_many(keys)
        with _gateway(setting.ray_address, cache) as gateway:
            for measured in (_over_http, _over_grpc):
                before = {group: gateway.hits(group) for group in _COUNTERS}
                yield measured(setting, gateway, keys)
                for group, tier in _COUNTERS.items():
                    _check_hits(tier, before[group], gateway.hits(group))


@contextlib.contextmanager
def _gateway(address: str, cache: raycache.Cache) -> Iterator[Gateway]:
    """As users run it."""
    http, grpc = servers.free_port(), servers.free_port()
    command = [str(Path(sys.executable).with_name("raycache")), "serve", "--address", address, "--name", cache.name]
    listening = ("--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}")
    with servers.running([*command, *listening], http, up_s=_UP_S) as process:
        yield Gateway(process, f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}")


def _over_http(setting: Setting, gateway: Gateway, keys: list[str]) -> Measurement:
    done = Measurement(
        case="gateway-http",
        operation=f"GET of a str of 100 bytes, {len(keys)} keys in turn, by wrk over loopback",
        sample=f"the median of {SLICE_S} s on one connection",
        ours=PEER_NEAR,
        apart=(REST_NEAR, REST_PAGE),
    )
    ours = {
        REST_NEAR: (f"/v1/groups/{_NEAR}/keys/", "near"),
        REST_PAGE: (f"/v1/groups/{_PAGES}/keys/", "page"),
        PEER_NEAR: (f"/_groupcache/{_NEAR}/", None),
    }
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        if not done.if_there("wrk", clients.wrk_program):
            done.not_run |= dict.fromkeys((*ours, GO), done.not_run.pop("wrk"))
        else:
            for name, (path, tier) in ours.items():
                contenders[name] = _by_wrk(gateway.process, gateway.http, path, keys, tier)
            for process, url in done.if_there(GO, lambda: stack.enter_context(groupcache_nodes.peer())).values():
                contenders[GO] = _by_wrk(process, url, groupcache_nodes.PATH, keys)
        _measure(setting, done, contenders)
    done.goals += [dataclasses.replace(goal, figure=done.amounts[RATE].get(name)) for name, goal in RATES.items()]
    done.judge(*HTTP_TIMES)
    return done


def _by_wrk(process: subprocess.Popen[str], url: str, path: str, keys: list[str], tier: str | None = None) -> Contender:
    """A server that has answered for each key, twice, and rightly."""
    for expected in (None, tier):
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        with contextlib.closing(connection):
            for key in keys:
                connection.request("GET", path + key)
                answer = connection.getresponse()
                assert value_of(key).encode() in answer.read(), f"{url}{path}{key} is not right"
                assert expected in (None, answer.getheader("x-cache")), f"{url}{path}{key} is no {expected} hit"
    prefix = path + keys[0].removesuffix("0")
    return Contender(process, lambda connections: clients.wrk(url, prefix, len(keys), connections, SLICE_S))


def _over_grpc(setting: Setting, gateway: Gateway, keys: list[str]) -> Measurement:
    done = Measurement(
        case="gateway-grpc",
        operation=f"pb.GroupCache/Get of a str of 100 bytes, {len(keys)} keys in turn, by grpc.aio over loopback",
        sample=f"the median of {SLICE_S} s, one call after the other",
        ours=GRPC_NEAR,
        apart=(GRPC_PAGE,),
    )
    asked = {group: [messages.Request(group=group, key=key).SerializeToString() for key in keys] for group in _COUNTERS}
    contenders: dict[str, Contender] = {}
    for name, group in ((GRPC_NEAR, _NEAR), (GRPC_PAGE, _PAGES)):
        answers = clients.grpc_answers(gateway.grpc, GET, asked[group])
        assert all(value_of(key).encode() in answer for key, answer in zip(keys, answers, strict=True))
        contenders[name] = _by_grpc(gateway.process, gateway.grpc, GET, asked[group])
    port = servers.free_port()
    command = [sys.executable, "-m", grpc_echo.__name__, str(port), str(len(answers[0]))]
    with servers.running(command, port) as process:
        contenders[ECHO] = _by_grpc(process, f"127.0.0.1:{port}", grpc_echo.METHOD, asked[_NEAR])
        _measure(setting, done, contenders)
    done.judge(*GRPC_TIMES)
    return done


def _by_grpc(process: subprocess.Popen[str], address: str, method: str, asked: list[bytes]) -> Contender:
    return Contender(process, lambda at_once: clients.grpc_load(address, method, asked, at_once, SLICE_S))


def _measure(setting: Setting, done: Measurement, contenders: dict[str, Contender]) -> None:
    """Each in turn: one connection, for the times; then many, for what the server does with a second of a core."""
    loads: dict[str, list[tuple[Load, float]]] = {name: [] for name in contenders}

    def load(name: str, number: int) -> float:
        server = contenders[name]
        alone, before = server.load(1), servers.cpu_s(server.process)
        loads[name].append((server.load(MANY), servers.cpu_s(server.process) - before))
        return alone.p50_s

    turns = {name: functools.partial(load, name) for name in contenders}
    done.samples = take_turns(turns, setting.rounds(5, 2), warm_up=WARM_UP)
    done.amounts = {RATE: {}, "requests per second": {}, f"us, median at {MANY} connections": {}}
    for name, taken in loads.items():
        many, cpu_s = zip(*taken[WARM_UP:], strict=True)
        requests, seconds = sum(each.requests for each in many), sum(each.seconds for each in many)
        p50_us = quantile([each.p50_s for each in many], 0.5) * 1e6
        for amounts, amount in zip(
            done.amounts.values(), (requests / sum(cpu_s), requests / seconds, p50_us), strict=True
        ):
            amounts[name] = amount


def _check_hits(tier: str, before: dict[str, int], after: dict[str, int]) -> None:
    """What was measured were these hits, but for the very first get of each key."""
    new = {each: after[each] - before[each] for each in after}
    others = sum(new.values()) - new[tier]
    assert others <= KEYS, f"these were not all {tier}: {new}"


def _body(url: str, path: str) -> bytes:
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()
