"""``stillwatch watch``: the service that gateways ask what to do with a request."""

from __future__ import annotations

from pathlib import Path

import typer

from stillwatch.cli.review import STORE
from stillwatch.cli.scan import KEY

LISTEN = typer.Option("127.0.0.1:8470", "--listen", metavar="HOST:PORT", help="Address to listen on.")
TOKENS = typer.Option(
    None,
    "--tokens",
    metavar="FILE",
    envvar="STILLWATCH_TOKENS",
    help="Tokens of those who may ask, made with `stillwatch token add`. Without, this machine alone may, and all of it.",
)
IDENTITIES = typer.Option(
    None,
    "--identities",
    metavar="FILE",
    help="Mapping from what a gateway calls an account to the account; the one that scans are given.",
)
ACCOUNT_HEADER = typer.Option(
    "x-stillwatch-account", "--account-header", help="Header in which Envoy names the account."
)
END_USER_HEADER = typer.Option(
    "x-stillwatch-end-user", "--end-user-header", help="Header in which Envoy names the end user."
)
BODY = typer.Option(8 << 20, "--most-bytes", min=1024, help="Largest body of a request, in bytes.")
RATE = typer.Option(20_000, "--most-per-second", min=1, help="Requests of one token in a second at most.")


def watch(
    listen: str = LISTEN,
    store: str = STORE,
    tokens: Path | None = TOKENS,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    account_header: str = ACCOUNT_HEADER,
    end_user_header: str = END_USER_HEADER,
    most_bytes: int = BODY,
    most_per_second: int = RATE,
) -> None:
    """Answer gateways what to do with a request, by the decisions of the store."""
    from stillwatch import keys
    from stillwatch.live.serving import Setting, address, serve

    host, port = address(listen)
    serve(
        Setting(
            store,
            tokens,
            host,
            port,
            identities,
            account_header,
            end_user_header,
            most_bytes,
            most_per_second,
        ),
        keys.load(key),
    )
