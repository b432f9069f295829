"""``stillwatch audit``: what was done, by whom, and whether the log of it is whole."""

from __future__ import annotations

import typer

from stillwatch.cli.review import STORE, opened_store

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The log of what people did, and whether it is whole."
)
BROKEN = 4
"""Exit code of ``verify`` where the log is not what it was."""


@app.command("verify")
def verify(
    store: str = STORE,
    kept: str | None = typer.Option(
        None, "--kept", metavar="NUMBER:HASH", help="What `stillwatch audit head` printed before."
    ),
) -> None:
    """Follow the chain of hashes; leaves with 4 where an entry was altered, removed or slipped in."""
    anchor = None
    if kept is not None:
        number, _, digest = kept.partition(":")
        if not number.isdecimal() or len(digest) != 64:
            raise typer.BadParameter(
                "write what `stillwatch audit head` printed, NUMBER:HASH", param_hint="--kept"
            )
        anchor = int(number), digest
    with opened_store(store) as opened:
        from stillwatch.store.audit import verify as follow

        found = follow(opened, anchor)
    if found.broken:
        typer.echo(f"stillwatch: {found.broken}", err=True)
        raise typer.Exit(BROKEN)
    typer.echo(f"{found.entries:,} entries, whole; the last is {found.entries}:{found.last}")


@app.command("head")
def head(store: str = STORE) -> None:
    """Print number and hash of the last entry; keep it where nobody who writes the database can."""
    with opened_store(store) as opened:
        from stillwatch.store.audit import verify as follow

        found = follow(opened)
    typer.echo(f"{found.entries}:{found.last}")


@app.command("list")
def list_entries(
    store: str = STORE,
    subject: str | None = typer.Option(None, "--subject", help="Of this case or `decision N` alone."),
    most: int = typer.Option(50, "--most", min=1, help="Entries at most, the newest."),
) -> None:
    """Print the newest entries."""
    from stillwatch.report.wording import printable

    with opened_store(store) as opened:
        from stillwatch.store.audit import entries

        for entry in entries(opened, subject, most=most, newest=True):
            when = f"{entry.number}  {entry.at:%Y-%m-%d %H:%M:%S}"
            told = "  ".join((when, entry.actor, entry.kind, entry.subject, entry.details))
            typer.echo(printable(told))
