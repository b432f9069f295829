"""``stillwatch serve`` as a program of its own, for what looks at its pages from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_checks import STILLWATCH
from running_program import free_port, running


@contextmanager
def pages(folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    """Serve the store ``review.db`` of a folder; yields the address, and the first admin's password where one is made."""
    address, name = f"http://127.0.0.1:{(port := free_port())}", "pages"
    command = [*STILLWATCH, "serve", "--port", str(port), "--store", str(folder / "review.db"), *more]
    home = folder / name
    home.mkdir()
    with running(command, home, f"{address}/health", {"PYTHONUNBUFFERED": "1", "XDG_CONFIG_HOME": str(home)}):
        said = "".join(file.read_text() for file in home.glob("*.log"))
        given = re.search(r"with the password (\S+)", said)
        yield address, given[1] if given else ""
