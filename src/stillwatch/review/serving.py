"""The server: what a first start makes, and uvicorn around the application."""

from __future__ import annotations

import datetime as dt
import ipaddress
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from stillwatch.review import ServeError
from stillwatch.review.application import create_app
from stillwatch.review.settings import LOOPBACK, Settings
from stillwatch.store.loading import load
from stillwatch.store.scans import all_scans
from stillwatch.store.users import ONE_TIME_DAYS, add_first

if TYPE_CHECKING:
    from stillwatch.response.policy import Policy
    from stillwatch.review.outside import Provider
    from stillwatch.store.database import Store

FIRST = "admin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pages are served."""

    host: str
    port: int
    names: tuple[str, ...]
    """Names by which people reach them, besides those of loopback."""
    behind_proxy: bool


def check_place(place: Place) -> None:
    """Refuse to serve beyond this machine without TLS. Raises :class:`ServeError`."""
    try:
        near = ipaddress.ip_address(place.host).is_loopback
    except ValueError:
        near = place.host == "localhost"
    if not near and not place.behind_proxy:
        raise ServeError(
            f"{place.host} is reached from other machines, and these pages speak no TLS: put a proxy in front that "
            "does, then start with --behind-proxy and --name NAME; or keep to 127.0.0.1"
        )
    if place.behind_proxy and not place.names:
        raise ServeError("with --behind-proxy give --name NAME, the name by which people reach the proxy")


def settings_of(place: Place, policy: Policy, provider: Provider | None = None) -> Settings:
    """The settings that a place takes."""
    return Settings(policy, (*place.names, *LOOPBACK), place.behind_proxy, provider=provider)


def begin(store: Store, policy: Policy, *, demo: bool, say: Callable[[str], None]) -> None:
    """What a first start makes: an admin, and the demo where it is wanted and no scan was loaded."""
    now = dt.datetime.now(dt.UTC)
    password = add_first(store, FIRST, now)
    if password is not None:
        say(
            f"First start. Log in as {FIRST} with the password {password}\n"
            f"It is shown this once, is good once and for {ONE_TIME_DAYS} days."
        )
    if all_scans(store):
        return
    if not demo:
        say("No scan is loaded yet: `stillwatch review load DIR` loads one.")
        return
    say("Filling the empty store with the demo: two weeks of simulated traffic, a real scan ...")
    with tempfile.TemporaryDirectory(prefix="stillwatch-demo-") as name:
        load(store, demo_result(Path(name)), "first start", policy, now)


def demo_result(folder: Path) -> Path:
    """Simulate the demo's log and scan it; return the result."""
    from stillwatch import keys
    from stillwatch.arena import simulate
    from stillwatch.arena.demo import demo_recipe
    from stillwatch.scan import Options, scan
    from stillwatch.sketching import Source

    simulate(demo_recipe(1), folder / "log")
    scan(
        Source((folder / "log" / "exchanges.parquet",)), folder / "demo", keys.load(folder / "key"), Options()
    )
    return folder / "demo"


def server_of(store: Store, settings: Settings, host: str, port: int) -> uvicorn.Server:
    """The server over a store, ready to run."""
    # Addresses of pages name accounts, so requests are not logged here; the audit log has what matters.
    config = uvicorn.Config(
        create_app(store, settings),
        host=host,
        port=port,
        proxy_headers=settings.behind_proxy,
        server_header=False,
        access_log=False,
        log_level="warning",
    )
    return uvicorn.Server(config)
