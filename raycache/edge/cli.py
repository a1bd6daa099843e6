"""The command `raycache`: starts and ends a cache, looks into one that is up, and shows what one does in a demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from raycache._version import __version__
from raycache.cache import Cache
from raycache.core.keys import Key
from raycache.edge import bench, command, diagnose, lifecycle, serve, status, tables, text
from raycache.edge.command import Commands, echo, in_cache, line
from raycache.edge.demo import PASSES, Result, run
from raycache.edge.measure import python_files, standard_library
from raycache.errors import NotFound, RaycacheError

_ABSENT: Any = object()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="raycache")
def main() -> None:
    """raycache: a distributed, read-through cache for Python on Ray.

    `up` starts a cache in the Ray that runs here, `down` ends it, and `doctor` finds out what is wrong. `demo` shows
    what a cache does, on a local Ray of its own. The other commands look into a cache that is up, and start neither a
    Ray nor a cache.
    """


for _command in (*lifecycle.COMMANDS, status.status, diagnose.doctor, bench.bench, serve.serve):
    main.add_command(_command)


# ------------------------------------------------------------------------------------------- a cache that is up


_key_type = click.option(
    "--type",
    "kind",
    type=click.Choice(list(text.KEY_TYPES)),
    default="str",
    show_default=True,
    is_eager=True,  # read before the keys
    help="Type of the key. json: also booleans, and lists for tuples, like '[\"users\", 7]'.",
)


def _read_key(ctx: click.Context, param: click.Parameter, typed: str | tuple[str, ...]) -> Any:
    """The key that was typed, or the distinct ones."""
    kind = ctx.params["kind"]
    try:
        if isinstance(typed, str):
            return text.parse_key(typed, kind)
        return list(dict.fromkeys(text.parse_key(each, kind) for each in typed))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _read_value(ctx: click.Context, param: click.Parameter, typed: str) -> Any:
    try:
        return json.loads(typed) if ctx.params["from_json"] else typed
    except ValueError as error:
        raise click.BadParameter(f"{typed!r} is not JSON: {error}", ctx, param) from error


@main.command()
@click.argument("group")
@click.argument("key", callback=_read_key)
@_key_type
@click.option("--peek", is_flag=True, help="Do not load a key that is not in the cache.")
@in_cache
def get(cache: Cache, group: str, key: Key, peek: bool, **_: Any) -> None:
    """Print the value of KEY, loading it if need be.

    Text and bytes are printed as they are, other values as JSON, or as Python shows them where they have none.
    """
    there = cache.group(group)
    try:
        value = there.peek(key, _ABSENT) if peek else there.get(key)
    except RaycacheError:
        raise
    except Exception as error:  # the getter's own, or of a value whose class is not known here
        raise click.ClickException(f"{type(error).__name__}: {line(error)}") from error
    if value is _ABSENT:
        raise NotFound(f"{key!r} is not in the group {group!r}; without --peek it is loaded")
    shown = text.show_value(value)
    echo(shown, nl=isinstance(shown, str))


@main.command(name="set")
@click.argument("group")
@click.argument("key", callback=_read_key)
@click.argument("value", callback=_read_value)
@_key_type
@click.option("--ttl", help="How long the value lives, like 30s, 5m or 1h30m; by default as long as the group says.")
@click.option("--json", "from_json", is_flag=True, is_eager=True, help="VALUE is JSON; otherwise it is text.")
@in_cache
def set_(cache: Cache, group: str, key: Key, value: Any, ttl: str | None, **_: Any) -> None:
    """Put VALUE into the cache under KEY.

    The cache forgets it in time; then a get returns what the group's getter returns. A value that starts with a dash
    comes after `--`.
    """
    cache.group(group).set(key, value, ttl=ttl)


@main.command()
@click.argument("group")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...", callback=_read_key)
@_key_type
@in_cache
def rm(cache: Cache, group: str, keys: list[Key], **_: Any) -> None:
    """Remove keys from the cache, everywhere; says how many were there."""
    removed = cache.group(group).remove_many(keys)
    echo(f"removed {removed} of {len(keys)} {'key' if len(keys) == 1 else 'keys'}")


# ----------------------------------------------------------------------------------------------------- the demo


@main.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1, 16), help="Local Ray nodes.")
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Processes that ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def demo(folder: Path | None, nodes: int, workers: int, as_json: bool) -> None:
    """Measure all Python files below FOLDER, each once, for many that ask at once.

    Worker processes all ask for the measures of all files, each in a random order of its own, and then once more. The
    cache parses every file once. Without FOLDER: Python's own standard library. It runs on a local Ray of its own,
    which has ended when the command has.
    """
    if folder is None:
        folder, files = (root := standard_library()), python_files(root, without=("site-packages", "dist-packages"))
    else:
        files = python_files(folder := folder.absolute())
    if not files:
        raise click.UsageError(f"there are no *.py files below {folder}")
    command.quiet_ray()
    result = _with_progress(folder, files, nodes, workers)
    if as_json:
        echo(text.to_json(result.as_dict()))
    else:
        command.console().print(*tables.demo_tables(result), sep="\n")
    if not result.once:
        raise click.ClickException(
            f"the cache ran {result.stats.loads:,} loads for {result.files:,} distinct files; it should be one for each"
        )


def _with_progress(folder: Path, files: list[str], nodes: int, workers: int) -> Result:
    """Runs the demo behind a progress bar on standard error, which leaves standard output to the result."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        starting = f"starting {nodes} Ray {'node' if nodes == 1 else 'nodes'}"
        task = bar.add_task(starting, total=PASSES * workers * len(files))
        return run(
            folder,
            files,
            nodes=nodes,
            workers=workers,
            started=lambda: bar.update(task, description=f"{workers} workers ask for {len(files):,} files, twice"),
            progress=lambda files: bar.advance(task, files),
        )
