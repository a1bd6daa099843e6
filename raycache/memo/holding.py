"""Tokens that this process holds while it computes: one thread tells the shards every second that it is still alive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

from raycache.core.client import Client
from raycache.core.fetch import Claimed
from raycache.core.fills import RENEW_S


class Holding:
    """The tokens of one client. Its thread lives as long as there are any."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tokens: dict[bytes, Claimed] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._running = False

    @contextlib.contextmanager
    def held(self, claimed: Mapping[bytes, Claimed]) -> Iterator[None]:
        """Renews these tokens for as long as the block takes."""
        with self._lock:
            self._tokens |= claimed
            if not self._running:
                self._running = True
                threading.Thread(target=self._renew, name="raycache-renew", daemon=True).start()
        try:
            yield
        finally:
            self.done(claimed)

    def done(self, keys: Mapping[bytes, Claimed]) -> None:
        """These need no more renewal."""
        with self._lock:
            for key in keys:
                if self._tokens.get(key) is keys[key]:
                    del self._tokens[key]
            if not self._tokens:
                self._changed.notify_all()

    def _renew(self) -> None:
        while True:
            with self._lock:
                if self._tokens:
                    self._changed.wait(RENEW_S)
                tokens = list(self._tokens.items())
                if not tokens:
                    self._running = False
                    return
            with contextlib.suppress(Exception):  # the next second is another try
                self._client.renew(tokens)
