"""What a log held that could not be used: named errors, and the records that were set aside and counted.

Nothing is dropped in silence. A record that cannot be read goes to ``rejected.jsonl`` with its file, its line
and a reason (never its text); too many of them end the run, since a log that is mostly unreadable would make
every later number wrong.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

DEFAULT_LIMIT = 0.01
EARLY_RECORDS, EARLY_MARGIN = 1_000, 16.0
"""Records from which a log may be given up before its end, and how many times as many as the bytes so far make expect it
may hold, of compressed tables beside lines, say: what is given up early would be refused at its end, whichever file came
first."""


class LogError(Exception):
    """A log cannot be read; the text says what was found, what is allowed and what to do.

    Attributes:
        file: the file that was being read, or None where the whole log is meant.
        row: line or row in that file, from 1, or None where the whole file is meant.
    """

    def __init__(self, text: str, *, file: object = None, row: int | None = None) -> None:
        super().__init__(text)
        self.file = None if file is None else str(file)
        self.row = row


class MissingLogError(LogError):
    """A path names nothing that exists, or a file that cannot be opened."""


class EmptyLogError(LogError):
    """The log holds no record."""


class DamagedLogError(LogError):
    """A file ends too early or is broken inside."""


class ChangedLogError(LogError):
    """A file was written to, or replaced, while it was read."""


class UnknownFormatError(LogError):
    """No known format recognises a file, or a format of that name does not exist."""


class MissingColumnError(LogError):
    """A table lacks a column that is required, or has it with a type that cannot be read."""


class TooManyRejectsError(LogError):
    """More records could not be read than the stated share allows."""


class RejectLog:
    """Counts what was read and what was not; writes ``rejected.jsonl`` aside and renames it at the end.

    A run that fails leaves an earlier list alone, unless it fails because of the records on the new one.

    Args:
        path: where the list goes, or None for none.
        limit: share of malformed records that ends the run, in [0, 1].
        stage: folder of a result that is being made; the list is written there and moved with the rest.

    Attributes:
        accepted: exchanges that were read.
        rejected: records that were malformed; each is one line of the file.
        nulled: by column, values that made no sense (a negative count, say) and became null.
        skipped: by reason, well-formed records that are no exchange of an account (an embedding, say).
        zoneless: times that named no zone and were read as UTC.
        unmapped: exchanges of which no key stands in the mapping of identities, when one was given.

    >>> with RejectLog(None, limit=0.5) as rejects:
    ...     rejects.accept(3)
    ...     rejects.reject("log.jsonl", 4, "not JSON")
    >>> rejects.rejected, rejects.seen, rejects.share
    (1, 4, 0.25)
    """

    def __init__(
        self, path: Path | str | None, *, limit: float = DEFAULT_LIMIT, stage: Path | None = None
    ) -> None:
        if not 0.0 <= limit <= 1.0:
            raise ValueError(f"the limit on rejected records is {limit}; give a share between 0 and 1")
        self.path = None if path is None else Path(path)
        self.limit = limit
        self.accepted = 0
        self.rejected = 0
        self.nulled: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.zoneless = 0
        self.unmapped = 0
        self._first: tuple[str, int, str] | None = None
        self._aside: Path | None = None
        self._file: IO[bytes] | None = None
        self._staged = stage is not None
        if self.path is not None:
            self._aside = (
                self.path.with_name(self.path.name + ".partial") if stage is None else stage / self.path.name
            )
            self._file = self._aside.open("wb")

    @property
    def seen(self) -> int:
        """Records that were read or rejected so far."""
        return self.accepted + self.rejected

    @property
    def share(self) -> float:
        """Share of the records seen that were rejected, in [0, 1]."""
        return self.rejected / self.seen if self.seen else 0.0

    def accept(self, count: int) -> None:
        """Count exchanges that were read."""
        self.accepted += count

    def reject(self, file: str, row: int, reason: str) -> None:
        """Set one malformed record aside: its place and the reason, not its text."""
        self.rejected += 1
        if self._first is None:
            self._first = (file, row, reason)
        if self._file is not None:
            line = msgspec.json.encode({"file": file, "row": row, "reason": reason})
            self._file.write(line + b"\n")

    def note(self, nulled: Mapping[str, int], skipped: Mapping[str, int], zoneless: int = 0) -> None:
        """Add to the counts of values that became null, of records that are no exchange, and of times without
        a zone."""
        self.nulled.update(nulled)
        self.skipped.update(skipped)
        self.zoneless += zoneless

    def check(self, read: float | None = None) -> None:
        """Raise :class:`TooManyRejectsError` past the limit; before the end, only where the rest would not mend it.

        ``read``: share of the log's bytes that was read, in [0, 1]; None at the end.
        """
        final = read is None
        nothing_left = final and self.rejected > 0 and not self.accepted
        most = self.seen if read is None else self.seen * EARLY_MARGIN / max(read, 1e-9)
        if not nothing_left and (
            (not final and self.seen < EARLY_RECORDS) or self.rejected <= self.limit * most
        ):
            return
        file, row, reason = self._first or ("", 0, "")
        written = f"see {self.path}" if self.path is not None else "give a file for the rejected records"
        found, remedy = f"{self.limit:.1%} are allowed", ", or allow a larger share"
        if self.share <= self.limit:
            found, remedy = "no exchange is left", ""
        raise TooManyRejectsError(
            f"{self.rejected:,} of {self.seen:,} records could not be read ({self.share:.1%}); "
            f"{found}. The first is {file}, row {row}: {reason}. "
            f"Repair the log or name its format ({written}){remedy}.",
            file=file,
            row=row,
        )

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error it is kept only where it shows the cause."""
        if self._file is None or self._aside is None or self.path is None:
            return
        try:
            self._file.close()
        finally:
            self._file = None
            if isinstance(error, TooManyRejectsError):
                beside = self.path.with_name(self.path.name + ".partial")
                shutil.move(self._aside, beside)  # perhaps to another disk
                beside.replace(self.path)
            elif error is not None:
                self._aside.unlink(missing_ok=True)
        if error is None and not self._staged:
            self._aside.replace(self.path)
