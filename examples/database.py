"""A small sqlite database, which writes every statement that it runs into a journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from journal import Journal


class Database:
    """A file with tables. It is opened anew for each statement, so that any process may ask it."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path, self._journal = path, journal

    def table(self, name: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Makes a table."""
        rows = list(rows)
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(f"CREATE TABLE {name} ({columns})")
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def run(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row that it gives, if there is one."""
        self._journal.note(f"database: {statement} {list(values)}")
        with closing(sqlite3.connect(self._path)) as connection, connection:
            row: tuple[Any, ...] | None = connection.execute(statement, values).fetchone()
            return row
