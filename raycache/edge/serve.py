"""The command `raycache serve`: the groups of a cache over HTTP and gRPC, until it is told to stop."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raycache.connecting import connect
from raycache.edge import command
from raycache.errors import InvalidOption
from raycache.options import parse_seconds, parse_size

if TYPE_CHECKING:
    from raycache.edge.gateway.limits import Limits
    from raycache.edge.gateway.server import Address

#: Where it listens if nothing is said.
HTTP = "127.0.0.1:8080"
TOKEN = "RAYCACHE_TOKEN"

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def _parsed(parse: Callable[[str, str], float]) -> Callable[..., float | None]:
    """A callback for an option with a unit."""
    return lambda ctx, param, typed: None if typed is None else parse(typed, param.opts[0])


@click.command()
@command.name_option
@command.address_option
@click.option("--http", metavar="ADDR", help=f"HOST:PORT for HTTP; {HTTP} if there is no --grpc either.")
@click.option("--grpc", metavar="ADDR", help="HOST:PORT for gRPC.")
@click.option("--groups", metavar="MODULE:NAME", help="A mapping of group names to getters or options of cache.group.")
@click.option(
    "--key-escaping",
    "escaping",
    type=click.Choice(["path", "query"]),
    default="path",
    show_default=True,
    help="How clients of groupcache's HTTP protocol write a space: %20 or +.",
)
@click.option("--token-file", type=_FILE, help=f"File with the bearer token; else {TOKEN}.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Without a token only loopback's names are answered over HTTP; one more, as of a proxy. May be repeated.",
)
@click.option("--tls-cert", type=_FILE, help="Certificate and chain, in PEM.")
@click.option("--tls-key", type=_FILE, help="Its key, in PEM.")
@click.option("--max-body", "body_bytes", callback=_parsed(parse_size), help="Of a request, like 8MiB.")
@click.option("--max-connections", "connections", type=click.IntRange(1), help="HTTP connections; 1024.")
@click.option("--max-requests", "concurrency", type=click.IntRange(1), help="Requests at once; 256.")
@click.option("--timeout", "timeout_s", callback=_parsed(parse_seconds), help="How long a get waits for a load; 30s.")
@click.option(
    "--stop-timeout", "stop_s", callback=_parsed(parse_seconds), help="How long requests may take to end; 10s."
)
@click.option("--access-log", is_flag=True, help="One JSON document on standard output for each HTTP request.")
def serve(
    name: str,
    address: str | None,
    http: str | None,
    grpc: str | None,
    groups: str | None,
    escaping: Any,
    token_file: Path | None,
    hosts: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    access_log: bool,
    **bounds: Any,
) -> None:
    """Serve the groups of a cache over HTTP and gRPC, to programs in any language.

    Runs until SIGTERM or Ctrl-C; what was asked before is answered. Only programs of this machine can connect, unless
    an ADDR says otherwise and there is a token: `:8080` means all addresses of this machine.
    """
    try:
        from raycache.edge.gateway.app import application
        from raycache.edge.gateway.server import Address, Server, Tls
    except ModuleNotFoundError as error:
        raise click.ClickException(f"the gateway needs {error.name}: pip install 'raycache[gateway]'") from error
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    limits = _limits(token_file, bounds)
    tls = None if tls_cert is None or tls_key is None else Tls(tls_cert, tls_key)
    http = HTTP if http is None and grpc is None else http
    listen = [
        None if typed is None else Address.parse(typed, option)
        for option, typed in (("--http", http), ("--grpc", grpc))
    ]
    server = Server(limits, listen[0], listen[1], tls)
    definitions = None if groups is None else _mapping(groups)
    where = command.running(address)
    command.quiet_ray()
    if access_log:
        _log_to(click.get_current_context().obj)
    with command.busy("joining the cache"):
        cache = connect(name, address=where)
    with contextlib.closing(cache):
        app = application(
            cache,
            definitions,
            limits=limits,
            escaping=escaping,
            hosts=_hosts(limits, listen[0], hosts),
            access_log=access_log,
        )
        server.run(app, lambda addresses: _tell(addresses, tls is not None))


def _tell(addresses: Mapping[str, Address], secure: bool) -> None:
    for protocol, address in addresses.items():
        scheme = "https" if secure and protocol == "http" else protocol
        command.echo(f"serving {scheme}://{address}")
    click.get_current_context().obj.flush()


def _limits(token_file: Path | None, bounds: Mapping[str, Any]) -> Limits:
    from raycache.edge.gateway.limits import Limits

    token = os.environ.get(TOKEN) if token_file is None else token_file.read_text().strip()
    return Limits(token=token, **{bound: value for bound, value in bounds.items() if value is not None})


def _hosts(limits: Limits, http: Address | None, allowed: Sequence[str]) -> Sequence[str] | None:
    """The gateway's names, beside loopback's; with a token, which other sites do not have, it has any."""
    if limits.token is not None:
        return None
    return allowed if http is None else [*allowed, http.host]


def _mapping(named: str) -> Mapping[str, Any]:
    """What MODULE:NAME names; modules of the current folder count, too."""
    module, _, name = named.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidOption(f"--groups={named!r:.100} names nothing: {error}; write MODULE:NAME") from error
    if not isinstance(found, Mapping):
        raise InvalidOption(f"--groups={named!r:.100} is {found!r:.100}, and no mapping of group names to getters")
    return found


def _log_to(stream: Any) -> None:
    """The access log: each line one document, as it is."""
    log = logging.getLogger("raycache.access")
    log.addHandler(logging.StreamHandler(stream))
    log.setLevel(logging.INFO)
    log.propagate = False
