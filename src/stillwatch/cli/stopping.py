"""What ends a command from outside: it tidies up first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class _Asked(BaseException):
    """The process was asked to end."""


@contextmanager
def tidily() -> Iterator[None]:
    """End what runs inside on SIGTERM as on an interrupt, so that nothing of a result that is being made stays, and then the
    process by that signal. A second one ends it at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only there signals are heard
        return

    def end(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise _Asked

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Asked:
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
