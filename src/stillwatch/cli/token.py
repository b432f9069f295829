"""``stillwatch token``: who may ask the service, and take that back."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make and take back the tokens of `stillwatch watch`."
)

FILE = typer.Option(
    Path("stillwatch-tokens.json"),
    "--tokens",
    metavar="FILE",
    envvar="STILLWATCH_TOKENS",
    help="File of the tokens; it holds their hashes, and is made if need be.",
)
NAME = typer.Argument(..., metavar="NAME", help="Who gets it, such as litellm-1.")
MAY = typer.Option(["decide"], "--may", help="decide, ingest or metrics. May repeat.")


@app.command("add")
def add(name: str = NAME, may: list[str] = MAY, tokens: Path = FILE) -> None:
    """Make a token and print it; it is kept nowhere, so keep it now."""
    from stillwatch.live.tokens import May
    from stillwatch.live.tokens import add as run

    wrong = [word for word in may if word not in tuple(May)]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(May)}", param_hint="--may")
    typer.echo(run(tokens, name, [May(word) for word in may]))


@app.command("remove")
def remove(name: str = NAME, tokens: Path = FILE) -> None:
    """Take a token back; a service that runs notices within a second."""
    from stillwatch.live.tokens import remove as run

    run(tokens, name)
    typer.echo(f"{name} is taken back")


@app.command("list")
def list_tokens(tokens: Path = FILE) -> None:
    """List who has a token, and what for."""
    from stillwatch.live.tokens import read

    for name, token in sorted(read(tokens).items()):
        typer.echo(f"{name}  {', '.join(sorted(token.may))}")
