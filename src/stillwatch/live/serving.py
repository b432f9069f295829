"""The service put together and run: store, keys and tokens in, a listening process out."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stillwatch.identities import read_identities
from stillwatch.store import StoreError, require_extra

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from stillwatch.keys import Keys

NEEDED = ("starlette", "uvicorn", "prometheus_client")
BACKLOG = 2048
GRACE_S = 10
"""Seconds that open requests are given when the service is told to stop."""


class ServiceError(Exception):
    """A service that cannot be started as it was asked for; the text says why and what to do."""


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


def application(setting: Setting, keys: Keys) -> Starlette:
    """The application over an open store. Raises :class:`StoreError`, :class:`ServiceError`."""
    _require()
    from stillwatch.live.admission import Admission, Limits
    from stillwatch.live.asking import Asking
    from stillwatch.live.following import Following
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
    names = None if setting.identities is None else read_identities(setting.identities).names()
    store = open_store(setting.store)
    metrics = Metrics()
    following = Following(
        lambda: version(store), lambda: snapshot(store, dt.datetime.now(dt.UTC)), keys.name, metrics, tokens
    )
    following.refresh()
    limits = Limits(body_bytes=setting.body_bytes, per_second=setting.per_second)
    service = Service(
        following, Asking(following, keys, metrics, names), Admission(tokens, limits, metrics), metrics,
        Headers(setting.account_header, setting.end_user_header),
    )  # fmt: skip
    return service.application()


def serve(setting: Setting, keys: Keys) -> None:
    """Run until told to stop; then no new requests are taken and the open ones are answered."""
    app = application(setting, keys)
    import uvicorn

    from stillwatch.live.logs import log_to_standard_error

    log_to_standard_error()
    uvicorn.run(
        app, host=setting.host, port=setting.port, log_config=None, access_log=False, server_header=False,
        limit_concurrency=setting.connections, backlog=BACKLOG, timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=64 << 10,
    )  # fmt: skip


def _require() -> None:
    require_extra()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise StoreError(
            f"the service needs {', '.join(missing)}, which the extra brings: pip install 'stillwatch[server]'"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
