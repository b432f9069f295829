"""``stillwatch webhooks``: other programs told when an action begins and ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from stillwatch.cli.policy import POLICY
from stillwatch.cli.review import AS_JSON, STORE, now, opened_store

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Tell other programs when an action begins and ends."
)
EVERY = typer.Option(
    None, "--every", metavar="TIME", help="Go on, and look again after so long, such as 10s; else once."
)


@app.command("send")
def send(policy: Path = POLICY, store: str = STORE, every: str | None = EVERY) -> None:
    """Post what is due to the [[webhooks]] of the policy; what nobody took is tried again, longer apart each time."""
    from stillwatch.response import ResponseError
    from stillwatch.response.policy import read_policy, span
    from stillwatch.store.sending import send_due

    told = read_policy(policy).webhooks
    if not told:
        raise ResponseError(f"{policy} has no webhooks; write at least one [[webhooks]]")
    pause = span(every).total_seconds() if every else None
    with opened_store(store) as opened:
        while True:
            sent = send_due(opened, told, now)
            if sent.delivered or sent.failed or sent.given_up or pause is None:
                typer.echo(
                    f"{sent.delivered:,} delivered, {sent.failed:,} to be tried again, {sent.given_up:,} given up"
                )
            if pause is None:
                break
            time.sleep(max(pause, 1.0))


@app.command("list")
def list_deliveries(store: str = STORE, as_json: bool = AS_JSON) -> None:
    """Count messages by webhook and state, with what went wrong."""
    from stillwatch.store.sending import delivery_counts

    with opened_store(store) as opened:
        rows = delivery_counts(opened)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        wrong = f", {row['wrong']}" if row["wrong"] else ""
        typer.echo(
            f"{row['webhook']}: {row['messages']:,} {row['state']}, at most {row['attempts']} attempts{wrong}"
        )


@app.command("retry")
def retry(store: str = STORE) -> None:
    """Let what was given up, and what waits for its next attempt, be tried at once."""
    from stillwatch.store.sending import try_again

    with opened_store(store) as opened:
        typer.echo(f"{try_again(opened, now()):,} to be tried again")
