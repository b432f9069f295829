"""The service put together and run: store, keys and tokens in, a listening process out."""

from __future__ import annotations

import datetime as dt
import gc
import ipaddress
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stillwatch.identities import read_identities
from stillwatch.live import LiveError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.types import ASGIApp

    from stillwatch.identities import Identities
    from stillwatch.keys import Keys
    from stillwatch.live.admission import Admission
    from stillwatch.live.metrics import Metrics
    from stillwatch.live.ticking import Looks, Ticking

BACKLOG = 2048
KEEP_S = 1.0
GRACE_S = 10
"""Seconds that open requests are given when the service is told to stop."""


class ServiceError(LiveError):
    """A service that cannot be started as it was asked for; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """A topic that is read."""

    servers: str
    topic: str
    group: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What the service is told."""

    store: str
    tokens: Path | None
    """None admits everybody, and only a loopback address is listened on."""
    host: str = "127.0.0.1"
    port: int = 8470
    identities: Path | None = None
    account_header: str = "x-stillwatch-account"
    end_user_header: str = "x-stillwatch-end-user"
    body_bytes: int = 8 << 20
    per_second: int = 20_000
    connections: int = 1000
    """Connections at a time; whoever comes then is told to come again."""
    ticking: Ticking | None = None
    """How what comes in is looked at; None takes nothing in."""
    format: str = "auto"
    """Format of what is tailed and of the topic."""
    tails: tuple[Path, ...] = ()
    kafka: Kafka | None = None


def address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:8470`` or ``[::1]:8470``. Raises :class:`ServiceError`.

    >>> address("[::1]:8470")
    ('::1', 8470)
    """
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ServiceError(f"{text!r} is no address to listen on; write HOST:PORT, such as 127.0.0.1:8470")
    return host, int(port)


def application(setting: Setting, keys: Keys) -> ASGIApp:
    """The application over an open store; what it runs beside begins and ends with it.

    Raises :class:`StoreError`, :class:`ServiceError`.
    """
    from starlette.applications import Starlette

    from stillwatch.live.admission import Admission, Limits
    from stillwatch.live.asking import Asking
    from stillwatch.live.following import Following
    from stillwatch.live.front import Front
    from stillwatch.live.matching import fragments_of
    from stillwatch.live.metrics import Metrics
    from stillwatch.live.service import Headers, Service
    from stillwatch.live.tokens import Tokens
    from stillwatch.store.database import open_store
    from stillwatch.store.reading import snapshot, version

    if setting.tokens is None and not _is_loopback(setting.host):
        raise ServiceError(
            f"without tokens the service listens on this machine alone, and {setting.host} is more; make a token with "
            "`stillwatch token add` and give --tokens"
        )
    tokens = None if setting.tokens is None else Tokens(setting.tokens)
    identities = None if setting.identities is None else read_identities(setting.identities)
    store = open_store(setting.store)
    metrics = Metrics()
    following = Following(
        lambda: version(store), lambda: snapshot(store, dt.datetime.now(dt.UTC)), keys.name, metrics, tokens
    )
    following.refresh()
    # Compiled loops are loaded now, and not while the first customer waits.
    fragments_of({"model": "-", "messages": [{"role": "user", "content": "-"}]}, keys)
    admission = Admission(tokens, Limits(setting.body_bytes, per_second=setting.per_second), metrics)
    asking = Asking(following, keys, metrics, None if identities is None else identities.names())
    service = Service(
        following, asking, admission, metrics, Headers(setting.account_header, setting.end_user_header)
    )
    beside = _Beside(setting, keys, identities, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(following.follow)
            tasks.start_soon(beside.keep)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
        await to_thread.run_sync(beside.stop)
        store.close()

    routes = [*service.routes(), *beside.routes(admission)]
    rest = Starlette(routes=routes, lifespan=lifespan)
    rest.router.redirect_slashes = False  # an answer would repeat what the request calls this host
    return Front(routes, rest)


class _Beside:
    """What runs beside the answers where exchanges are taken in: the journal, the looks, files and topics."""

    def __init__(self, setting: Setting, keys: Keys, identities: Identities | None, metrics: Metrics) -> None:
        self._setting, self._metrics = setting, metrics
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._looks: Looks | None = None
        if setting.ticking is None:
            return
        from stillwatch.live.intake import Intake
        from stillwatch.live.journal import Journal
        from stillwatch.live.ticking import Looks

        self._journal = Journal(setting.ticking.state, keys.name)
        complete = None if identities is None else identities.complete
        self._intake = Intake(self._journal, keys, setting.ticking.state, complete)
        self._looks = Looks(setting.ticking, metrics)

    def routes(self, admission: Admission) -> list[Route]:
        if self._looks is None:
            return []
        from stillwatch.live.ingest import Ingest

        return Ingest(self._intake, admission, self._metrics).routes()

    async def keep(self) -> None:
        """Start all of it, and start the looks again where they end."""
        if self._looks is None:
            return
        for run in self._sources():
            self._threads.append(threading.Thread(target=run, args=(self._stop,), daemon=True))
            self._threads[-1].start()
        while True:
            await to_thread.run_sync(self._looks.keep)
            await anyio.sleep(KEEP_S)

    def _sources(self) -> Iterator[Callable[[threading.Event], None]]:
        from stillwatch.live.tailing import Tail

        places = self._journal.places()
        for path in self._setting.tails:
            place = places.get(f"tail:{path.resolve()}")
            yield Tail(path, self._setting.format, self._intake, self._metrics, place).run
        if (kafka := self._setting.kafka) is not None:
            from stillwatch.live.kafka import Topic

            yield Topic(
                kafka.servers, kafka.topic, kafka.group, self._setting.format, self._intake, self._metrics
            ).run

    def stop(self) -> None:
        """End all of it; what was taken in is on disk before."""
        self._stop.set()
        for thread in self._threads:
            thread.join(GRACE_S)
        if self._looks is not None:
            self._looks.stop()
            self._journal.close()


def serve(setting: Setting, keys: Keys) -> None:
    """Run until told to stop; then no new requests are taken and the open ones are answered."""
    import uvicorn

    from stillwatch.live.connection import Connection
    from stillwatch.live.logs import log_to_standard_error

    log_to_standard_error()
    made = application(setting, keys)
    # What is there by now stays: a collection that looks through all of it would keep an answer waiting.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        made, host=setting.host, port=setting.port, log_config=None, access_log=False, server_header=False,
        proxy_headers=False, limit_concurrency=setting.connections, backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S, http=Connection, ws="none",
    )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
