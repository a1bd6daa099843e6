"""`python -m notebooks [NOTEBOOK ...] [--check]`.

The exit status is 1 when a cell failed, or when what came out cannot be committed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import nbformat

from notebooks.execute import NotebookFailed, executed, notebooks


@click.command()
@click.argument(
    "paths", metavar="[NOTEBOOK]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--check", is_flag=True, help="Execute them and leave the files as they are.")
def main(paths: tuple[Path, ...], check: bool) -> None:
    """Executes notebooks in place, by default all of this folder, each in a kernel and a Ray of its own."""
    failed = 0
    for path in paths or notebooks():
        began = time.monotonic()
        try:
            notebook = executed(path)
        except NotebookFailed as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        if not check:
            nbformat.write(notebook, path)
        print(f"{path.name}: {'executed' if check else 'written'}, {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
