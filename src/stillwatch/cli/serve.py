"""``stillwatch serve``: the pages on which people decide."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import typer

from stillwatch.cli.review import POLICY, STORE, opened_policy

HOST = typer.Option(
    "127.0.0.1", "--host", help="Address to listen on; beyond this machine only behind a proxy."
)
PORT = typer.Option(8710, "--port", min=0, max=65535, help="Port to listen on.")
BEHIND = typer.Option(
    False,
    "--behind-proxy",
    help="A proxy on this machine does TLS in front: cookies go over TLS alone, and the proxy says who asks.",
)
NAMES = typer.Option(
    [], "--name", metavar="NAME", help="Host name that people type for the proxy. May repeat."
)
DEMO = typer.Option(
    None,
    "--demo/--no-demo",
    help="Fill a store without a scan with the demo; by default a file that is made by this start is filled.",
)
OIDC = typer.Option(
    None,
    "--oidc",
    metavar="FILE",
    help="TOML: a provider of OpenID Connect where people log in, and their roles.",
)


def serve(
    store: str = STORE,
    policy: Path | None = POLICY,
    host: str = HOST,
    port: int = PORT,
    behind_proxy: bool = BEHIND,
    names: list[str] = NAMES,
    demo: bool | None = DEMO,
    oidc: Path | None = OIDC,
) -> None:
    """Serve the pages of review: the queue, a case and its evidence, decisions, search, the audit log."""
    from stillwatch.review import require_server

    require_server()
    from stillwatch.review.outside import read_provider
    from stillwatch.review.serving import Place, begin, check_place, server_of, settings_of
    from stillwatch.store.database import open_store

    place = Place(host, port, tuple(names), behind_proxy)
    check_place(place)
    limits = opened_policy(policy)
    provider = read_provider(oidc) if oidc else None
    if provider is not None:
        _ = provider.secret  # said before anything is opened
    is_new = "://" not in store and not Path(store).expanduser().exists()
    with closing(open_store(store)) as opened:
        begin(opened, limits, demo=is_new if demo is None else demo, say=typer.echo)
        typer.echo(f"http://{host}:{port}" if not behind_proxy else f"https://{names[0]}, over {host}:{port}")
        server_of(opened, settings_of(place, limits, provider), host, port).run()
