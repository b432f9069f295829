"""Files that a program appends to, followed line by line; what was read up to where is kept with what was read."""

from __future__ import annotations

import json
import logging
import os
import threading
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


class Tail:
    """Follows one file by its name, through being rotated or cut."""

    def __init__(
        self, path: Path, format_name: str, intake: Intake, metrics: Metrics, place: str | None
    ) -> None:
        """``place``: up to where it was read, as the journal keeps it."""
        self._path, self._format, self._intake, self._metrics = path, format_name, intake, metrics
        self.source = f"tail:{path.resolve()}"
        told = json.loads(place) if place else {"inode": 0, "offset": 0}
        self._inode, self._offset = int(told["inode"]), int(told["offset"])
        self._file: BinaryIO | None = None

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
        return self._next(rest=bool(data))

    def _take(self, lines: bytes, offset: int) -> None:
        place = json.dumps({"inode": self._inode, "offset": offset})
        taken = self._intake.take(lines, f"tail:{self._path.name}", self._format, {self.source: place})
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

    def _next(self, *, rest: bool) -> bool:
        """At the end of what is there: go on with a new file of that name, or with one that was cut."""
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._offset:
            self._offset = 0
            return True
        try:
            now = self._path.stat().st_ino
        except FileNotFoundError:
            return False
        if now == self._inode or rest:
            return False
        self._file.close()
        self._file, self._inode, self._offset = None, 0, 0
        return True
