"""The secret key of a command, and a word where it was made just now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stillwatch.keys import Keys


def key_of(path: Path | None) -> Keys:
    """The key in a file that is named, or in the one that a user without a name for it has.

    A file that is named and not there is told of: a mistyped name makes a new key, under which everything has another name.
    Raises what :func:`stillwatch.keys.load` raises.
    """
    from stillwatch import keys

    new = path is not None and not path.exists()
    loaded = keys.load(path)
    if new:
        typer.echo(
            f"stillwatch: {path} is a new key; campaigns and families have other names under it than under any other",
            err=True,
        )
    return loaded
