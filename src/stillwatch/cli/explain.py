"""``stillwatch explain``: why a campaign, family, account or end user was judged as it was."""

from __future__ import annotations

from pathlib import Path

import typer

DIRECTORY = typer.Argument(..., metavar="DIR", help="Folder that a scan wrote.")
NAME = typer.Argument(..., metavar="ID", help="A campaign, a family, an account, or ACCOUNT/END_USER.")


def explain(directory: Path = DIRECTORY, name: str = NAME) -> None:
    """Print the reasons of a verdict, and what speaks against it."""
    from stillwatch.report.explain import explain as reasons

    typer.echo(reasons(directory, name))
