"""Executing notebooks: each in a kernel of its own, whose outputs are brought into a form that can be committed.

* A notebook that is written has run to its end, and everything that it shows is from this one run.
* Nothing of the machine and of the moment is in it beside what the cells show: see `normalized` and `complaints`.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

FOLDER = Path(__file__).parent
#: No cell takes nearly as long.
CELL_S = 120
#: A kernel whose cell failed is told to go after half of this, ends its Ray, and is killed after the other half.
END_S = 20
#: So that a notebook is read, and sent, in one go.
MOST_BYTES = 400_000
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_LANGUAGE = {"name": "python"}
#: What a reader should not meet in an output, and what it is called.
_UNWANTED = {
    "a warning": re.compile(r"\w*Warning\b"),
    "a line of Ray's log": re.compile(r"(INFO|WARNING|ERROR) \w+\.py:\d+|\(\w+ pid=\d+"),
    "a token": re.compile(r"\btoken\b", re.IGNORECASE),
    "an escape of a terminal": re.compile(r"\x1b"),
    "an address": re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"),
    "an id of Ray's": re.compile(r"\b[0-9a-f]{32,}\b"),
    "a temporary folder": re.compile(r"/tmp/\w+|/dev/shm/\w+"),
}


class NotebookFailed(Exception):
    """A cell raised, or the outputs cannot be committed; the text says which."""


def notebooks() -> list[Path]:
    """All notebooks of this folder."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """The notebook of this file with the outputs of a new run, as they are committed.

    Raises NotebookFailed.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_S,
        kernel_name=_KERNEL["name"],
        record_timing=False,
        coalesce_streams=True,
        config=Config({"KernelManager": {"shutdown_wait_time": END_S}}),
        extra_arguments=["--log-level=ERROR"],  # kernels warn that what is said on this machine is not encrypted
        resources={"metadata": {"path": os.fspath(path.parent)}},
    )
    try:
        client.execute(env=_environment())
    except CellExecutionError as error:
        raise NotebookFailed(f"{path.name}: {error}") from None
    found = [*complaints(normalized(notebook))]
    if found:
        raise NotebookFailed(f"{path.name} cannot be committed: {'; '.join(found)}")
    return notebook


def _environment() -> dict[str, str]:
    """Of a kernel: this process's, without the Ray that it may be in, as each notebook starts its own."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


# ------------------------------------------------------------------------------------------- what is committed


def normalized(notebook: Any) -> Any:
    """The notebook without what differs from run to run beside the outputs themselves. Changes it in place."""
    notebook.metadata = {"kernelspec": _KERNEL, "language_info": _LANGUAGE}
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            _normalize(output)
    return notebook


def _normalize(output: Any) -> None:
    if output.output_type == "stream":
        output.text = _settled(output.text)
    else:
        output.metadata = {}


def _settled(text: str) -> str:
    """A stream as it stands on a screen at the end: a progress bar writes each of its states over the one before."""
    ended = text.endswith("\n")
    lines = [line.rpartition("\r")[2] for line in text.removesuffix("\n").replace("\r\n", "\n").split("\n")]
    return "\n".join(lines) + ("\n" if ended else "")


def complaints(notebook: Any) -> Iterator[str]:
    """What keeps a notebook from being committed: failures, warnings, traces of a machine, too many bytes."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code" and cell.execution_count is None:
            yield f"cell {number} has not been executed"
        for output in cell.get("outputs", ()):
            yield from (f"cell {number} shows {what}" for what in _unwanted(output))
    if (size := len(nbformat.writes(notebook).encode())) > MOST_BYTES:
        yield f"it has {size:,} bytes, and {MOST_BYTES:,} are allowed; show fewer or smaller pictures"


def _unwanted(output: Any) -> Iterator[str]:
    if output.output_type == "error":
        yield f"an error: {output.ename}: {output.evalue}"
    text = shown(output)
    yield from (what for what, pattern in _UNWANTED.items() if pattern.search(text))
    yield from (f"a path of this machine, {path}" for path in _paths() if path in text)


def _paths() -> set[str]:
    places = {os.fspath(FOLDER.parent), sys.prefix, sysconfig.get_path("stdlib"), os.fspath(Path.home())}
    return places - {os.sep}


def shown(output: Any) -> str:
    """All text of an output: of a stream, or of every form of a result but its pictures."""
    if output.output_type == "stream":
        return str(output.text)
    return "\n".join(text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))
