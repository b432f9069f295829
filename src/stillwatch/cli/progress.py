"""A progress bar on standard error, where that is a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stillwatch.sources import Progress


@contextmanager
def reading(what: str) -> Iterator[Progress | None]:
    """Yield a function to call with the bytes that were read and the bytes that there are."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(
                task, completed=done, total=total, description=what if done < total else "Finding families"
            )

        yield show


@contextmanager
def counting() -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function to call with the parts that are done, all parts, and the name of the next."""
    if not sys.stderr.isatty():
        yield lambda done, total, name: print(f"{done}/{total} {name}".rstrip(), file=sys.stderr)  # noqa: T201
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)


@contextmanager
def looking_at() -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function to call with the looks that are done and all there are; nothing is shown but on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with counting() as show:
        yield lambda done, total: show(done, total, "Looking")
