"""What all commands share: errors in one line, the cache that their options name, an output that is their own.

Whatever else prints while a command runs goes to standard error: Ray prints messages of the raylet on the standard
output of every process that has joined it, at any moment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console

from raycache.cache import Cache
from raycache.connecting import join
from raycache.core.messages import GetOptions
from raycache.errors import CacheUnavailable, RaycacheError
from raycache.options import CacheOptions

#: Of output that goes into a file or a pipe; rich would cut it off at 80.
PLAIN_WIDTH = 140
_ADDRESS_HELP = (
    "Ray to join: host:port (set RAY_AUTH_MODE=token if it wants one), else RAY_ADDRESS, else one found here."
)

name_option = click.option("--name", default="default", show_default=True, help="Name of the cache.")
address_option = click.option("--address", help=_ADDRESS_HELP)


class Commands(click.Group):
    """Shows what raycache raises in one line, and ends with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = sys.stdout
        # To the end of the process, as Ray's threads go on until then.
        sys.stdout = sys.stderr
        try:
            return super().invoke(ctx)
        except RaycacheError as error:
            raise click.ClickException(line(error)) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "ray":
                raise
            raise click.ClickException(f"Ray: {line(error)}") from error


def line(error: BaseException) -> str:
    """An error's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def echo(message: str | bytes, *, nl: bool = True) -> None:
    """Prints to the command's own standard output."""
    click.echo(message, file=click.get_current_context().obj, nl=nl)


def console() -> Console:
    """For tables on the command's own standard output."""
    out = click.get_current_context().obj
    return Console(file=out, width=None if out.isatty() else PLAIN_WIDTH, highlight=False)


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Shows on standard error, where that is a terminal, what is being done."""
    with Console(stderr=True).status(what):
        yield


def quiet_ray() -> None:
    """Keeps Ray's log out of the output; before ray is imported, which reads these."""
    for name in ("RAY_LOG_TO_DRIVER", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        os.environ.setdefault(name, "0")
    os.environ.setdefault("RAY_LOGGER_LEVEL", "error")


def running(address: str | None) -> str:
    """The address of a Ray that runs, by what the user gave; raises CacheUnavailable for those that never do."""
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    if where == "local":
        raise CacheUnavailable("the address 'local' means a new Ray, which has no cache; name that of a running one")
    if where == "inline":
        raise CacheUnavailable("the address 'inline' means a cache of one process alone; name that of a running Ray")
    return where


@contextlib.contextmanager
def joined(name: str, address: str | None) -> Iterator[Cache]:
    """A cache that is up."""
    running(address)
    quiet_ray()
    with contextlib.closing(join(name, address=address)) as cache:
        yield cache


def options_of(cache: Cache) -> CacheOptions:
    """What a cache was made with."""
    options: CacheOptions = cache._ask(GetOptions())
    return options


def in_cache(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the cache that its options name."""

    @name_option
    @address_option
    @functools.wraps(command)
    def in_cache(name: str, address: str | None, **options: Any) -> None:
        with joined(name, address) as cache:
            command(cache, **options)

    return in_cache
