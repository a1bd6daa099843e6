"""Which Ray this process is in: the one it has joined, one at an address, or a local one of its own."""

from __future__ import annotations

import os
import socket

import ray

from raycache.errors import CacheUnavailable

_PROBE_S = 3.0


def join(address: str | None, *, start: bool = True) -> bool:
    """Joins the Ray this process is in, else the address, else RAY_ADDRESS, else starts a local one.

    Args:
        address: "host:port" of a cluster's GCS, or "auto" for one that runs on this machine.
        start: whether a local Ray may be started when there is none.

    Returns:
        Whether it was started here.

    Raises:
        CacheUnavailable: there is none at the address, or none at all and none may be started.
    """
    if address is not None and address.startswith("ray://"):
        raise CacheUnavailable(
            f"address={address!r}: raycache does not work over Ray Client; run the program on the cluster "
            f"(ray job submit), or give the address of the GCS as 'host:6379'"
        )
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise CacheUnavailable(
                f"address={address!r}, but this process is in the Ray at {here} already; ray.shutdown() first, or "
                f"leave address out"
            )
        return False
    address = address or os.environ.get("RAY_ADDRESS") or ("local" if start else "auto")
    if address == "local":
        if not start:
            raise CacheUnavailable("address='local' would start a Ray of its own, and this joins one that is running")
        ray.init(address="local")
        return True
    _probe(address)
    try:
        ray.init(address=address)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise CacheUnavailable(
            f"no Ray could be joined at address={address!r}: {str(error).rstrip('.')}. Start one with `ray start "
            f"--head`, or name the right address with address= or RAY_ADDRESS; a cluster with tokens wants "
            f"RAY_AUTH_MODE=token here"
        ) from error
    return False


def _probe(address: str) -> None:
    """Ray would wait long for an address where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                # Ray's GCS speaks gRPC, and so HTTP/2: it answers the opening with a SETTINGS frame.
                connection.settimeout(_PROBE_S)
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
                if connection.recv(9)[3:4] != b"\4":
                    raise OSError("who listens there is no Ray")
    except OSError as error:
        raise CacheUnavailable(
            f"nothing answers at address={address!r} ({error}); start a Ray there with `ray start --head`, or name the "
            f"right address with address= or RAY_ADDRESS"
        ) from error
