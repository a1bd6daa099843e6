"""A Python on a host, told what to run cell by cell, as the kernel of a notebook is."""

from __future__ import annotations

import json
import select
import subprocess
import time
from typing import Any

from lan import HOME, Host

PATIENCE_S = 60.0

#: What runs on the host: a line has a cell, and the answer is a line with the value of the cell's last expression.
_KERNEL = """
import ast, json, os, sys, traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.environ.update(RAY_LOG_TO_DRIVER="0", RAY_LOGGER_LEVEL="error")
for line in sys.stdin:
    try:
        *body, last = ast.parse(json.loads(line)).body
        if not isinstance(last, ast.Expr):
            body, last = [*body, last], ast.parse("None").body[0]
        exec(compile(ast.Module(body, []), "<cell>", "exec"), globals())
        answer = {"value": eval(compile(ast.Expression(last.value), "<cell>", "eval"), globals())}
    except BaseException:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), file=answers, flush=True)
"""


class Notebook:
    """Runs cells on a host. What it says comes by a pipe and not over the network: it can be asked while cut off."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._process = subprocess.Popen(
            host.inside(HOME / "raycache-env" / "bin" / "python", "-c", _KERNEL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, cell: str) -> None:
        """Begins to run a cell."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(cell) + "\n")
        self._process.stdin.flush()

    def result(self, patience_s: float = PATIENCE_S) -> Any:
        """The value of the cell that was begun."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience_s)
        assert ready, f"a cell on {self._host.name} has not ended within {patience_s:g} s"
        line = self._process.stdout.readline()
        assert line, f"the notebook on {self._host.name} has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"on {self._host.name}:\n{answer['error']}"
        return answer["value"]

    def __call__(self, cell: str, patience_s: float = PATIENCE_S) -> Any:
        self.start(cell)
        return self.result(patience_s)

    def until(self, cell: str, what: str, patience_s: float = PATIENCE_S) -> None:
        """Runs a cell again and again until its value is true."""
        deadline = time.monotonic() + patience_s
        while not (value := self(cell)):
            assert time.monotonic() < deadline, f"on {self._host.name}, not within {patience_s:g} s: {what} ({value})"
            time.sleep(0.1)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Notebooks:
    """`notebooks(host)`: the notebook on a host, in which the first cell has run."""

    def __init__(self, first_cell: str) -> None:
        self._first_cell = first_cell
        self._open: dict[str, Notebook] = {}

    def __call__(self, host: Host) -> Notebook:
        if host.name not in self._open:
            self._open[host.name] = Notebook(host)
            self._open[host.name](self._first_cell)
        return self._open[host.name]

    def end(self) -> None:
        while self._open:
            self._open.popitem()[1].end()
