"""Requests to an ASGI application without a server: paths and bodies as they would be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def call(
    app: Any, method: str, path: str, body: bytes = b"", *, root: str = "", parts: int = 1, **headers: str
) -> Answer:
    """The answer to one request; `path` is escaped, and `root` is what the application is mounted under."""
    sent: list[dict[str, Any]] = []
    size = max(-(-len(body) // parts), 1)
    chunks = [body[start : start + size] for start in range(0, max(len(body), 1), size)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0) if chunks else b"", "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(root + path),
        "raw_path": (root + path).encode(),
        "root_path": root,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    start, *rest = sent
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message["body"] for message in rest),
    )
