"""``stillwatch connect``: what to paste into a program so that it leaves a log that can be scanned."""

from __future__ import annotations

from importlib.resources import files

import typer

PROGRAM = typer.Argument(
    None, metavar="[PROGRAM]", help="Name of the program; without it, the names are listed."
)
SUFFIX = ".md"


def programs() -> dict[str, str]:
    """Return what to paste, by name of the program."""
    texts = {
        file.name.removesuffix(SUFFIX): file.read_text(encoding="utf-8")
        for file in files("stillwatch.connections").iterdir()
        if file.name.endswith(SUFFIX)
    }
    return dict(sorted(texts.items()))


def connect(program: str | None = PROGRAM) -> None:
    """Print what to paste into PROGRAM to get a log out of it, and the command that scans that log."""
    known = programs()
    if program is None:
        for name, text in known.items():
            typer.echo(f"{name:10}  {text.splitlines()[0].removeprefix('# ')}")
        return
    if program not in known:
        raise typer.BadParameter(
            f"{program!r} is not known; known are {', '.join(known)}", param_hint="PROGRAM"
        )
    typer.echo(known[program].rstrip())
