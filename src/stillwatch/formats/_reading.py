"""JSON texts to batches: the loop that a file and an HTTP body share."""

from __future__ import annotations

from collections import Counter

import msgspec

from stillwatch.formats import Complete, LineFormat, Piece, conform_stated
from stillwatch.formats._stated import MalformedError, NotAnExchangeError, StatedExchange


def records_of(text: bytes) -> list[bytes]:
    """Return the JSON texts of the records in one line or body: the elements of an array, or the text itself.

    >>> records_of(b'[{"a": 1}, {"a": 2}]')
    [b'{"a": 1}', b'{"a": 2}']
    """
    if not text.lstrip().startswith(b"["):
        return [text]
    try:
        return [bytes(record) for record in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedError("not a JSON array") from None


class Pending:
    """Exchanges that were read and wait to become a batch, with the row that each came from."""

    def __init__(self, format_: LineFormat, complete: Complete | None = None) -> None:
        self._format = format_
        self._complete = complete
        self._start()

    def _start(self) -> None:
        self._exchanges: list[StatedExchange] = []
        self._rows: list[int] = []
        self._rejected: list[tuple[int, str]] = []
        self._nulled: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many exchanges wait."""
        return len(self._exchanges)

    @property
    def rejects(self) -> int:
        """Malformed records since the last flush."""
        return len(self._rejected)

    def read(self, text: bytes, row: int) -> None:
        """Read one line, an object or an array of them; what is wrong with it is kept, not raised."""
        if not text.lstrip().startswith(b"["):
            self.read_record(text, row)
            return
        try:
            records = records_of(text)
        except MalformedError as error:
            self._rejected.append((row, str(error)))
            return
        for record in records:
            self.read_record(record, row)

    def read_record(self, text: bytes, row: int) -> None:
        """Read one JSON object."""
        try:
            reading = self._format.read(text)
        except MalformedError as error:
            self._rejected.append((row, str(error)))
        except NotAnExchangeError as error:
            self._skipped[str(error)] += 1
        except RecursionError:
            self._rejected.append((row, "nested too deeply"))
        else:
            self.bytes += len(text)
            for exchange in reading.exchanges:
                self._exchanges.append(exchange)
                self._rows.append(row)
            if reading.nulled:
                self._nulled.update(reading.nulled)

    def flush(self) -> Piece:
        """Return what waits as a batch, with the rows of the log that were rejected, and start anew."""
        checked = conform_stated(self._exchanges, self._complete)
        rejected = self._rejected + [(self._rows[index], reason) for index, reason in checked.rejected]
        self._nulled.update(checked.nulled)
        piece = Piece(
            checked.batch, tuple(sorted(rejected)), self._nulled, self._skipped, checked.zoneless
        )
        self._start()
        return piece


def read_body(format_: LineFormat, body: bytes, complete: Complete | None = None) -> Piece:
    """Read one HTTP body, an object or an array of them, as a file of the same records is read.

    A rejected row is the position of the record in the body, from 1.
    """
    pending = Pending(format_, complete)
    try:
        records = records_of(body)
    except MalformedError:
        # The whole body is one malformed record.
        pending.read(body, 1)
        records = []
    for position, record in enumerate(records, start=1):
        pending.read_record(record, position)
    return pending.flush()
