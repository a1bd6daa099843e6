"""Users as typed records: they expire after five minutes, are removed, and nobody waits longer than 500 ms.

    pip install 'raycache[gateway]'
    python examples/users.py

The clock is injected, so that five minutes take no time: the cache is an inline one, in this process and without Ray.
Programs on Ray say `raycache.connect()`, and go by the machine's clock.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from database import Database
from google.protobuf import json_format
from google.protobuf.message import Message
from journal import Journal
from user_message import UserMessage

import raycache

USERS = [("12345", "Ada", 36, True), ("67890", "Grace", 45, False)]


@dataclass(frozen=True)
class User:
    """A record as a dataclass."""

    id: str
    name: str
    age: int
    is_super: bool


class Clock:
    """A clock that can be put forward. It goes on by itself, too, as time-outs are measured by it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead_s

    def forward(self, seconds: float) -> None:
        self._ahead_s += seconds


class Users:
    """Getters over the database, one for each type of record. They wait while it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.answers = threading.Event()
        self.answers.set()

    def row(self, id: str) -> tuple[Any, ...]:
        self.answers.wait()
        row = self._database.run("SELECT id, name, age, is_super FROM users WHERE id = ?", id)
        if row is None:
            raise raycache.NotFound(f"data not found: {id}")
        return row

    def record(self, id: str) -> User:
        id, name, age, is_super = self.row(id)
        return User(id, name, age, bool(is_super))

    def message(self, id: str) -> Message:
        id, name, age, is_super = self.row(id)
        return UserMessage(id=id, name=name, age=age, is_super=bool(is_super))


def show(title: str, came: Any, journal: Journal) -> None:
    """Prints what a call gave, and what the database had to do for it."""
    print(f"{title}: {json_format.MessageToJson(came, indent=None) if isinstance(came, Message) else came}")
    journal.show()


def expire(group: raycache.Group, clock: Clock, journal: Journal) -> None:
    """A value is there until its five minutes are over."""
    for title, seconds in (("at first", 0), ("after 4 minutes", 240), ("after 5 minutes", 60)):
        clock.forward(seconds)
        show(title, group.get("12345"), journal)


def hurry(group: raycache.Group, users: Users, journal: Journal) -> None:
    """Who has waited for 500 ms gives up; the load goes on for others."""
    users.answers.clear()
    began = time.monotonic()
    try:
        group.get("67890", timeout="500ms")
    except raycache.LoadTimeout as error:
        show(f"after {time.monotonic() - began:.1f} s", f"LoadTimeout: {error}", journal)
    users.answers.set()
    show("later", group.get("67890"), journal)


def remove(group: raycache.Group, database: Database, journal: Journal) -> None:
    """A change in the database is seen when the key has been removed."""
    database.run("UPDATE users SET age = age + 1 WHERE id = ?", "12345")
    journal.show()
    show("in the cache", group.get("12345"), journal)
    show("removed", group.remove("12345"), journal)
    show("then", group.get("12345"), journal)


def main() -> None:
    clock = Clock()
    with (
        tempfile.TemporaryDirectory(prefix="users-") as folder,
        raycache.connect(address="inline", capacity="32 MiB", clock=clock) as cache,
    ):
        journal = Journal(Path(folder, "journal"))
        database = Database(Path(folder, "users.db"), journal)
        database.table("users", "id TEXT PRIMARY KEY, name TEXT, age INTEGER, is_super INTEGER", USERS)
        users = Users(database)
        for name, getter in {"users": users.record, "user-messages": users.message}.items():
            print(f"\nThe group {name!r}:")
            group = cache.group(name, getter, ttl="5m")
            expire(group, clock, journal)
            hurry(group, users, journal)
            remove(group, database, journal)


if __name__ == "__main__":
    main()
