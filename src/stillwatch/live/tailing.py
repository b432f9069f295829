"""Files that a program appends to, followed line by line; what was read up to where is kept with what was read."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stillwatch.live.journal import FullError

if TYPE_CHECKING:
    from stillwatch.live.intake import Intake
    from stillwatch.live.metrics import Metrics

LOG = logging.getLogger("stillwatch.live")
CHUNK_BYTES = 4 << 20
LONGEST_LINE = 64 << 20
EVERY_S = 0.5
QUIET_S = 5.0
"""Time for which a file that was renamed must not grow before it counts as left: its writer may hold it for a while."""


class Tail:
    """Follows one file by its name, through being rotated or cut."""

    def __init__(
        self, path: Path, format_name: str, intake: Intake, metrics: Metrics, place: str | None,
        quiet_s: float = QUIET_S,
    ) -> None:  # fmt: skip
        """``place``: up to where it was read, as the journal keeps it."""
        self._path, self._format, self._intake, self._metrics = path, format_name, intake, metrics
        self.source = f"tail:{path.resolve()}"
        told = json.loads(place) if place else {"inode": 0, "offset": 0}
        self._inode, self._offset = int(told["inode"]), int(told["offset"])
        self._file: BinaryIO | None = None
        self._later: list[BinaryIO] = []
        """Files that had the name since, in order."""
        self._quiet_s = quiet_s
        self._left: tuple[int, float] | None = None
        """Size of a file that was renamed, and since when it has that size."""

    def run(self, stop: threading.Event) -> None:
        """Follow until told to stop."""
        while not stop.is_set():
            try:
                more = self.step()
            except FullError as error:
                stop.wait(error.retry_after_s)
                continue
            except OSError as error:
                LOG.warning("a file cannot be read", extra={"told": {"error": error.strerror}})
                more = False
            if not more:
                stop.wait(EVERY_S)

    def step(self) -> bool:
        """Read what is there, on to the next whole line; returns whether there may be more."""
        if self._file is None and not self._open():
            return False
        assert self._file is not None
        self._file.seek(self._offset)
        data = self._file.read(CHUNK_BYTES)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == CHUNK_BYTES:
            data += self._file.read(LONGEST_LINE)
            end = data.find(b"\n") + 1 or (len(data) if len(data) > LONGEST_LINE else 0)
        if end:
            self._take(data[:end], self._offset + end)
            return True
        return self._next(data)

    def _take(self, lines: bytes, offset: int) -> None:
        place = json.dumps({"inode": self._inode, "offset": offset})
        source = f"tail:{self._path.name}@{self._offset}"  # rows count from there
        taken = self._intake.take(lines, source, self._format, {self.source: place})
        taken.done.result()
        self._offset = offset
        self._metrics.exchanges.labels("tail").inc(taken.accepted)
        self._metrics.rejected.labels("tail").inc(len(taken.rejected))
        self._metrics.skipped.labels("tail").inc(taken.skipped)

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        found = os.fstat(self._file.fileno())
        if found.st_ino != self._inode or found.st_size < self._offset:
            if self._inode:
                LOG.warning("a file was replaced while nobody looked; its last lines may be lost")
            self._inode, self._offset = found.st_ino, 0
        return True

    def _next(self, rest: bytes) -> bool:
        """At the end of what is there: go on with a new file of that name, or with one that was cut."""
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._offset:
            self._offset = 0
            return True
        self._find_later()
        if not self._later or not self._is_left():
            return False
        if rest:  # nobody will end this line, which may be whole
            self._take(rest, self._offset + len(rest))
        self._file.close()
        self._file, self._left = self._later.pop(0), None
        self._inode, self._offset = os.fstat(self._file.fileno()).st_ino, 0
        return True

    def _find_later(self) -> None:
        """Open the file that has the name by now, before it is renamed in its turn."""
        last = self._later[-1] if self._later else self._file
        assert last is not None
        with suppress(FileNotFoundError):
            if not os.path.samestat(self._path.stat(), os.fstat(last.fileno())):
                self._later.append(self._path.open("rb"))

    def _is_left(self) -> bool:
        """Whether a file that was renamed has not grown for a while."""
        assert self._file is not None
        size, now_s = os.fstat(self._file.fileno()).st_size, time.monotonic()
        if self._left is None or self._left[0] != size:
            self._left = size, now_s
        return now_s - self._left[1] >= self._quiet_s
