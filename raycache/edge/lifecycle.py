"""The commands that start and end a cache, and change where it lives: up, down, drain, scale."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from raycache.cache import Cache
from raycache.connecting import connect
from raycache.core.messages import ShardInfo
from raycache.edge import command, tables
from raycache.edge.command import busy, echo, in_cache, options_of
from raycache.errors import CacheUnavailable
from raycache.options import CacheOptions, parse_seconds, parse_size
from raycache.units import size_text, time_text

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: How often it is looked whether nodes have come.
_POLL_S = 0.2
#: What starting shards has at least, when waiting for nodes took all the time there was.
_LEAST_S = 10.0


def _seconds(ctx: click.Context, param: click.Parameter, typed: str | None) -> float | None:
    return None if typed is None else parse_seconds(typed, f"--{param.name}".removesuffix("_s"))


def _bytes(ctx: click.Context, param: click.Parameter, typed: str | None) -> int | None:
    return None if typed is None else parse_size(typed, f"--{param.name}".removesuffix("_bytes"))


def _placement(ctx: click.Context, param: click.Parameter, typed: str | None) -> str | dict[str, str] | None:
    """What `connect` takes: "all", "workers", or the labels that a node must have."""
    if typed in (None, "all", "workers"):
        return typed
    labels = dict(part.partition("=")[::2] for part in str(typed).split(","))
    if not all(key and value for key, value in labels.items()):
        raise click.BadParameter(f"{typed!r} is not all, workers, or labels like zone=a,disk=fast", ctx, param)
    return labels


def _timeout(default: str, what: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--timeout", "timeout_s", default=default, show_default=True, callback=_seconds, help=f"How long {what}."
    )


# ------------------------------------------------------------------------------------------------------ up


@click.command()
@command.name_option
@command.address_option
@click.option("--capacity", "capacity_bytes", callback=_bytes, help="Bytes per shard, like 2GiB.")
@click.option("--shards-per-node", type=click.IntRange(1), help="How many shards a node has; 1 by default.")
@click.option("--lease", "lease_s", callback=_seconds, help="How long a shard may go unheard before others go on.")
@click.option("--placement", callback=_placement, help="Nodes with shards: all, workers, or those with KEY=VALUE.")
@click.option(
    "--page-server/--no-page-server", default=None, help="Whether shards listen on a port for gets from other nodes."
)
@click.option("--hot", type=click.FloatRange(0, 1), help="Share of it for copies of other nodes' hot keys; 0.125.")
@click.option("--nodes", type=click.IntRange(1), help="Wait until Ray has so many nodes.")
@_timeout("2m", "to wait for nodes and shards")
def up(name: str, address: str | None, nodes: int | None, timeout_s: float, **options: Any) -> None:
    """Start a cache in a Ray that runs, on all its nodes, and wait until it serves.

    A cache that is up already is left as it is, and gets shards on nodes that have come since.
    """
    deadline = time.monotonic() + timeout_s
    given = {option: value for option, value in options.items() if value is not None}
    where = command.running(address)
    command.quiet_ray()
    with busy("joining Ray"):
        cache = connect(name, address=where, **{_CONNECT.get(each, each): value for each, value in given.items()})
    with contextlib.closing(cache):
        for warning in _unlike(given, options_of(cache)):
            click.echo(f"Warning: {warning}", err=True)
        missing = None if nodes is None else _await_nodes(nodes, deadline, timeout_s)
        with busy("starting shards"):
            shards = cache.spread(max(deadline - time.monotonic(), _LEAST_S))
    command.console().print(tables.shards_table(sorted(shards, key=lambda shard: shard.id)))
    if missing is not None:
        raise missing


#: Options of a cache by the names that `connect` has for them.
_CONNECT = {"capacity_bytes": "capacity", "lease_s": "lease"}


def _unlike(given: dict[str, Any], options: CacheOptions) -> list[str]:
    """Of the options that were given those that a cache does not have which was up before."""
    return [
        f"the cache is up already, with {_CONNECT.get(name, name)}={_shown(name, getattr(options, name))}, and keeps "
        f"that; end it with `raycache down` first to have {_shown(name, value)}"
        for name, value in given.items()
        if getattr(options, name) != value
    ]


def _shown(name: str, value: Any) -> str:
    units: dict[str, Callable[[float], str]] = {"capacity_bytes": size_text, "lease_s": time_text}
    return units[name](value) if name in units else str(value)


def _await_nodes(number: int, deadline: float, timeout_s: float) -> CacheUnavailable | None:
    """Waits until Ray has so many nodes; what to say when they do not come."""
    with busy(f"waiting for {number} nodes"):
        while len(there := node_addresses()) < number:
            if time.monotonic() > deadline:
                return CacheUnavailable(
                    f"Ray has {len(there)} of {number} nodes after {time_text(timeout_s)} ({', '.join(there)}), and "
                    f"the cache is up on those; start the others with `ray start --address=HOST:PORT` (their log is "
                    f"in /tmp/ray/session_latest/logs), or wait for fewer with --nodes"
                )
            time.sleep(_POLL_S)
    return None


def node_addresses() -> list[str]:
    """Of the nodes that Ray has."""
    from raycache.cluster import nodes

    return [node.address for node in nodes.alive()]


# ------------------------------------------------------------------------------------- down, drain, scale


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_cache
def down(cache: Cache, yes: bool) -> None:
    """End a cache: its shards, and all that is in them.

    Asks first where standard input is a terminal.
    """
    if not yes and on_terminal():
        there = _entries(cache.shards())
        where = "1 shard" if len(there) == 1 else f"{len(there)} shards"
        what = f"the cache {cache.name!r} with {sum(there.values()):,} entries in {where}"
        click.confirm(f"End {what}?", abort=True, err=True)
    with busy("ending the cache"):
        cache.destroy()
    echo(f"the cache {cache.name!r} has ended")


def on_terminal() -> bool:
    """Whether somebody may answer."""
    return sys.stdin.isatty()


@click.command()
@click.argument("node", metavar="NODE|SHARD")
@_timeout("60s", "to hand entries over")
@in_cache
def drain(cache: Cache, node: str, timeout_s: float) -> None:
    """Hand over the entries of a node or a shard, and end its shards.

    NODE is Ray's id of it, or how that begins, or its address. Do this before a node is taken away.
    """
    before = _entries(cache.shards())
    with busy(f"handing over the entries of {node}"):
        left = cache.drain(node, timeout=timeout_s)
    after = _entries(cache.shards())
    for shard in left:
        echo(f"{shard} has left; it had {before.get(shard, 0):,} entries")
    for shard, entries in after.items():
        if shard not in left:
            echo(f"{shard} has {entries:,} entries, {entries - before.get(shard, 0):+,}")


@click.command()
@click.option("--shards-per-node", type=click.IntRange(1), required=True, help="How many shards a node is to have.")
@_timeout("2m", "to wait for the shards")
@in_cache
def scale(cache: Cache, shards_per_node: int, timeout_s: float) -> None:
    """Change how many shards each node has; entries move, and nothing is loaded anew."""
    with busy("starting and ending shards"):
        cache.scale(shards_per_node)
        shards = cache.spread(timeout_s)
    command.console().print(tables.shards_table(sorted(shards, key=lambda shard: shard.id)))


def _entries(shards: Iterable[ShardInfo]) -> dict[str, int]:
    return {shard.id: shard.entries for shard in shards}


COMMANDS = (up, down, drain, scale)
