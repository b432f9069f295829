"""``stillwatch review forget`` and ``expire``: a person's data removed, by account and by age."""

from __future__ import annotations

from pathlib import Path

import typer

from stillwatch.cli.review import BY, END_USER, STORE, now, opened_store, who

POLICY_FILE = typer.Option(..., "--policy", metavar="FILE", help="policy.toml with [retention].")
PERSON = typer.Argument(..., metavar="ACCOUNT", help="The account.")


def forget(
    account: str = PERSON, end_user: str | None = END_USER, store: str = STORE, by: str | None = BY
) -> None:
    """Remove a person's data: an account with its end users, or one end user. The audit log stays whole."""
    from stillwatch.store.retention import forget as run

    with opened_store(store) as opened:
        done = run(opened, account, end_user, who(by), now())
    typer.echo(f"{done.rows:,} rows removed, {done.renamed:,} by another word now")
    if done.typed:
        typer.echo(
            f"{done.typed:,} entries of the audit log hold the name in a reason that somebody typed, and cannot be changed"
        )


def expire(policy: Path = POLICY_FILE, store: str = STORE, by: str | None = BY) -> None:
    """Remove what is older than the policy's [retention] keeps it; run it once a day."""
    from stillwatch.response.policy import read_policy
    from stillwatch.store.retention import expire as run

    with opened_store(store) as opened:
        done = run(opened, read_policy(policy), who(by), now())
    typer.echo(
        ", ".join(f"{count:,} {what}" for what, count in done.items()) or "the policy keeps everything"
    )
