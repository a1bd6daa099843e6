"""The gateway's own server: HTTP by uvicorn and gRPC by grpc.aio in one event loop, from start to graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvicorn
import uvloop

from raycache.edge.gateway.app import Application
from raycache.edge.gateway.connections import Connection
from raycache.edge.gateway.limits import Limits
from raycache.errors import InvalidOption

#: How often it is looked whether clients are late.
LOOK_S = 1.0
#: Connections that the kernel accepts before the gateway does.
BACKLOG = 1024


class Address(NamedTuple):
    """Where to listen."""

    host: str  # "" for all addresses of the machine
    port: int  # 0: any that is free

    @classmethod
    def parse(cls, text: str, option: str) -> Address:
        """Raises InvalidOption for what is not HOST:PORT, :PORT or PORT alone, which is loopback's."""
        host, colon, port = text.rpartition(":")
        if (
            not (port.isascii() and port.isdecimal())
            or len(port) > 5
            or int(port) > 65535
            or (":" in host) != host.startswith("[")
        ):
            raise InvalidOption(
                f"{option}={text!r:.100} is no address; write 127.0.0.1:8080, [::1]:8080, :8080 for all addresses of "
                f"this machine, or 8080 for loopback alone"
            )
        return cls(host.strip("[]") if colon else "127.0.0.1", int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or '0.0.0.0'}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only programs of this machine come here."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM) if self.host else []
        except OSError as error:
            raise InvalidOption(f"{self.host!r:.100} is no address of this machine: {error}") from None
        return bool(found) and all(ipaddress.ip_address(str(each[4][0])).is_loopback for each in found)


@dataclass(frozen=True)
class Tls:
    """Files in PEM: the certificate with its chain, and its key."""

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        """Raises InvalidOption for files that no server could start with."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key, password="")  # nobody is asked for one
        except OSError as error:  # that of TLS is one
            raise InvalidOption(
                f"--tls-cert={self.certificate} and --tls-key={self.key} cannot be used: {error}; give a certificate "
                f"and its key, both in PEM and without a password"
            ) from None


class _Http(uvicorn.Server):
    """uvicorn without its signals, and with an eye on its connections, from their handshakes on."""

    def __init__(self, config: uvicorn.Config, handshake_s: float) -> None:
        super().__init__(config)
        self._handshake_s = handshake_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are of the whole gateway

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """In place of uvicorn's, which leaves handshakes of TLS the minute that asyncio has for them."""

        def connection() -> asyncio.Protocol:
            return self.config.http_protocol_class(config=self.config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        bound = self._handshake_s if self.config.ssl is not None else None
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                connection, sock=each, ssl=self.config.ssl, ssl_handshake_timeout=bound, backlog=BACKLOG
            )
            for each in sockets or ()
        ]
        self.started = True

    async def look(self) -> None:
        """Goes on for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look(now)


#: Ends what was started: takes nothing new, and gives what goes on so many seconds.
End = Callable[[float], Awaitable[None]]


class Server:
    """Serves an application over HTTP, and what it serves over gRPC."""

    def __init__(
        self, limits: Limits, http: Address | None = None, grpc: Address | None = None, tls: Tls | None = None
    ) -> None:
        """Raises InvalidOption for an address that is not loopback's without a token."""
        for address in (http, grpc):
            if address is not None and not address.loopback and limits.token is None:
                raise InvalidOption(
                    f"{address} can be reached from other machines, where everybody could read and change the cache; "
                    f"give --token-file=FILE or RAYCACHE_TOKEN, or an address like 127.0.0.1:{address.port}"
                )
        self._limits, self._tls = limits, tls
        self._http, self._grpc = http, grpc
        self._ends: list[End] = []
        #: What listens, by protocol, when it has started.
        self.addresses: dict[str, Address] = {}

    def run(self, app: Application, ready: Callable[[dict[str, Address]], None]) -> None:
        """Serves until SIGINT or SIGTERM, and until all that was asked before is answered, or its time is over.

        A second signal ends the process at once.
        """
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(self._run(app, ready))
        finally:
            with contextlib.closing(loop):
                loop.run_until_complete(loop.shutdown_asyncgens())

    async def _run(self, app: Application, ready: Callable[[dict[str, Address]], None]) -> None:
        stopping = _signalled()
        try:
            await self.start(app)
            ready(self.addresses)
            await stopping.wait()
        finally:
            await self.stop()

    async def start(self, app: Application) -> None:
        """Begins to serve; raises InvalidOption where it cannot listen."""
        if self._grpc is not None:
            self._ends.append(await self._start_grpc(app, self._grpc))
        if self._http is not None:
            self._ends.append(await self._start_http(app, _listening(self._http)))

    async def stop(self) -> None:
        """Takes no new requests, and gives those that are being answered the time of the limits."""
        ends, self._ends = self._ends, []
        await asyncio.gather(*(end(self._limits.stop_s) for end in ends))

    async def _start_http(self, app: Application, listening: socket.socket) -> End:
        http = _Http(self._config(app), self._limits.head_s)
        serving = asyncio.create_task(http.serve([listening]))
        looking = asyncio.create_task(http.look())
        self.addresses["http"] = Address(*listening.getsockname()[:2])

        async def end(_: float) -> None:
            http.should_exit = True
            await serving
            looking.cancel()
            if cancelled := list(http.server_state.tasks):  # they say so to their clients
                await asyncio.wait(cancelled, timeout=LOOK_S)

        return end

    async def _start_grpc(self, app: Application, address: Address) -> End:
        # Only where it is wanted: it takes a tenth of a second, and has threads.
        import grpc

        from raycache.edge.gateway import geekcache

        server, health = geekcache.server(app.served, self._limits, app.requests)
        try:
            if self._tls is None:
                port = server.add_insecure_port(str(address))
            else:
                pair = self._tls.key.read_bytes(), self._tls.certificate.read_bytes()
                port = server.add_secure_port(str(address), grpc.ssl_server_credentials([pair]))
        except RuntimeError as error:
            raise InvalidOption(f"nothing can listen at {address}: {error}") from None
        await server.start()
        self.addresses["grpc"] = address._replace(port=port)

        async def end(grace_s: float) -> None:
            health.stop()
            await server.stop(grace_s)

        return end

    def _config(self, app: Application) -> uvicorn.Config:
        limits = self._limits
        return uvicorn.Config(
            app,
            http=type("_Connection", (Connection,), {"limits": limits}),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what clients do wrong is theirs, and the guard logs what we do
            access_log=False,
            server_header=False,
            timeout_keep_alive=limits.idle_s,  # type: ignore[arg-type]  # parts of seconds will do
            timeout_graceful_shutdown=limits.stop_s,  # type: ignore[arg-type]
            ssl_certfile=None if self._tls is None else self._tls.certificate,
            ssl_keyfile=None if self._tls is None else self._tls.key,
        )


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InvalidOption(f"nothing can listen at {address}: {error}") from None


def _signalled() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second one does what it usually does."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopping.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, stop)
    return stopping
