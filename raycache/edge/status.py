"""`raycache status`: the shards and groups of a cache, once or again and again.

While it watches, a look that fails is shown as such, with since when; what was seen last stays on the screen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any, NoReturn

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape

from raycache._version import __version__
from raycache.cache import Cache
from raycache.connecting import join
from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats
from raycache.edge import command, tables, text
from raycache.edge.command import line
from raycache.errors import CacheUnavailable
from raycache.units import ago_text, time_text

#: A look that takes longer than this is one that gets no answer.
PATIENCE_S = 3.0
_NO_GROUPS = "No groups; cache.group(name, getter=...) in a program registers one."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen of a cache at one time."""

    at: float
    cache: str
    shards: list[ShardInfo]
    groups: dict[str, Stats] | None  # None: not all shards could be asked
    trouble: CacheUnavailable | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cache": self.cache,
            "version": __version__,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
            "groups": None if self.groups is None else {name: each.as_dict() for name, each in self.groups.items()},
            "total": None if self.groups is None else sum(self.groups.values(), Stats()).as_dict(),
            "error": None if self.trouble is None else line(self.trouble),
        }


def look(cache: Cache) -> Look:
    """Looks at a cache; raises CacheUnavailable where not even the shards are known."""
    shards = sorted(cache.shards(), key=lambda shard: shard.id)
    groups: dict[str, Stats] | None = None
    trouble: CacheUnavailable | None = None
    try:
        groups = cache.stats_by_group()
    except CacheUnavailable as error:  # the shards are shown all the same: which of them is it?
        trouble = error
    return Look(at=time.monotonic(), cache=cache.name, shards=shards, groups=groups, trouble=trouble)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables; with --watch one a line.")
@click.option(
    "--watch",
    "every_s",
    is_flag=False,
    flag_value=2.0,
    type=click.FloatRange(min=0.1),
    metavar="[SECONDS]",
    help="Look again every so many seconds (2), until Ctrl-C, and show what happens per second.",
)
@command.name_option
@command.address_option
def status(name: str, address: str | None, as_json: bool, every_s: float | None) -> None:
    """Show the shards and groups of a cache."""
    with command.joined(name, address) as cache:
        if every_s is not None:
            # Joined again for every look: the cache may have been ended and made anew.
            watch(Watch(cache.name, lambda: look(join(name))), every_s, as_json)
            return
        seen = look(cache)
    if as_json:
        command.echo(text.to_json(seen.as_dict()))
    else:
        command.console().print(*_tables(seen), sep="\n")
    if seen.trouble is not None:
        raise seen.trouble


def _tables(seen: Look) -> list[RenderableType]:
    groups = [] if seen.groups is None else [tables.groups_table(seen.groups) if seen.groups else _NO_GROUPS]
    return [tables.shards_table(seen.shards), *groups]


# -------------------------------------------------------------------------------------------------- watching


class Watch:
    """The last look at a cache, what changed since the one before, and what is wrong now."""

    def __init__(self, cache: str, take: Callable[[], Look], clock: Callable[[], float] = time.monotonic) -> None:
        self._cache, self._take, self._clock = cache, take, clock
        self.last: Look | None = None
        self._rates: RenderableType = ""
        self._counted: Look | None = None  # the last one with groups
        self._asked_at: float | None = None  # while a look is taken
        self._failed_at: float | None = None  # of the first look in a row that failed
        self.trouble: str | None = None

    def refresh(self) -> None:
        """Looks again; what fails is kept in `trouble`."""
        self._asked_at = self._clock()
        try:
            seen = self._take()
        except Exception as error:  # of Ray too, while that is away: the next look is another try
            self._fails(error)
        else:
            self.last = seen
            self._count(seen)
            self._fails(seen.trouble)
        finally:
            self._asked_at = None

    def _fails(self, error: Exception | None) -> None:
        self.trouble = None if error is None else line(error)
        if error is None:
            self._failed_at = None
        elif self._failed_at is None:
            self._failed_at = self._asked_at

    def _count(self, seen: Look) -> None:
        if seen.groups is None:
            return
        before, self._counted = self._counted, seen
        if not seen.groups:
            self._rates = _NO_GROUPS
        elif before is None or before.groups is None:
            self._rates = tables.groups_table(seen.groups)
        else:
            self._rates = tables.rates_table(before.groups, seen.groups, max(seen.at - before.at, 1e-3))

    def __rich__(self) -> RenderableType:
        shown = [] if self.last is None else [tables.shards_table(self.last.shards), self._rates]
        now = time.strftime("%H:%M:%S")
        return Group(f"{now} [bold]{escape(self._cache)}[/]: {self._state()}", *shown)

    def _state(self) -> str:
        if self.trouble is not None and self._failed_at is not None:
            since = time_text(self._clock() - self._failed_at)
            return f"[bold red]trouble for {since}[/]: {escape(self.trouble)}"
        waited = 0.0 if self._asked_at is None else self._clock() - self._asked_at
        if waited > PATIENCE_S:
            return f"[bold red]no answer for {time_text(waited)}[/]"
        if self.last is None:
            return "asking"
        shards, seen = len(self.last.shards), ago_text(self._clock() - self.last.at)
        return f"{shards} {'shard' if shards == 1 else 'shards'}, seen {seen}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what was seen last, and what is wrong now."""
        last = {"cache": self._cache} if self.last is None else self.last.as_dict()
        return last | {"error": self.trouble}


def watch(watched: Watch, every_s: float, as_json: bool) -> None:
    """Looks until Ctrl-C; on a terminal the screen is kept up to date, elsewhere every look is a block of its own."""
    console = command.console()
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal and not as_json:
            _live(watched, every_s, console)
        while True:
            watched.refresh()
            if as_json:
                command.echo(text.to_json(watched.as_dict(), indent=None))
            else:
                console.print(watched)
            pause(every_s)


def _live(watched: Watch, every_s: float, console: Console) -> NoReturn:
    with Live(get_renderable=watched.__rich__, console=console):
        while True:
            watched.refresh()
            pause(every_s)


def pause(seconds: float) -> None:
    """The time between two looks; Ctrl-C ends it."""
    time.sleep(seconds)
