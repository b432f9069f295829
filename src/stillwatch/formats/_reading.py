"""JSON texts to batches: the loop that a file and an HTTP body share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter

import msgspec
import numpy as np

from stillwatch.formats import (
    Complete,
    LineFormat,
    PairedFormat,
    Piece,
    conform_stated,
    line_formats,
    message_formats,
)
from stillwatch.formats._batches import WITHOUT_A_TIME
from stillwatch.formats._conform import joined
from stillwatch.formats._decode import mend
from stillwatch.formats._framing import unpacked
from stillwatch.formats._pairs import NO_REQUEST, Leftover, Pairs, Place
from stillwatch.formats._stated import MalformedError, NotAnExchangeError, Reading, StatedExchange
from stillwatch.formats._told import Told

LONE_HALF = "half of an exchange whose other half was not handed in with it; hand both in together"


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
        # One NaN must not cost the other records of the array.
        mended = mend(text)
    if not isinstance(mended, list):
        raise MalformedError("not a JSON array")
    return [msgspec.json.encode(record) for record in mended]


class Pending:
    """Exchanges that were read and wait to become a batch, with the row that each came from.

    Args:
        format_: reads the records.
        complete: fills in what the log leaves out.
        pairs: keeps the halves of exchanges until their other halves come.
        folder: where the file lies; halves of one folder belong together.
        file: the file, for what is said of its rows once it was read.
    """

    def __init__(
        self,
        format_: LineFormat,
        pairs: Pairs,
        complete: Complete | None = None,
        *,
        folder: str = "",
        file: str = "",
    ) -> None:
        self._format = format_
        # Once: to ask whether an object has a protocol takes longer than to read a record.
        self._paired = format_ if isinstance(format_, PairedFormat) else None
        self._complete = complete
        self._pairs = pairs
        self._folder, self._file = folder, file
        self._start()

    def _start(self) -> None:
        self._exchanges: list[StatedExchange] = []
        self._rows: list[int] = []
        # Shorter than the rows where the last records are an exchange each.
        self._places: list[str] = []
        self._calls: list[int] = []
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

    def read_message(self, message: bytes, row: int) -> None:
        """Read one binary message, which may be compressed."""
        try:
            text = unpacked(message)
        except MalformedError as error:
            self.reject(row, str(error))
        else:
            self.read_record(text, row)

    def reject(self, row: int, reason: str) -> None:
        """Set a record aside that cannot be read."""
        self._rejected.append((row, reason))

    def read_record(self, text: bytes, row: int) -> None:
        """Read one JSON object, or one message; a half of an exchange waits for its other half."""
        self._read(self._format.read, text, row)

    def _read(self, read: Callable[[bytes], Reading], text: bytes, row: int, *, lost: bool = False) -> None:
        size = len(text)
        try:
            reading = read(text)
            if reading.half is not None:
                place = Place(self._folder, self._file, row)
                met = self._pairs.match(self._format.name, reading.half, text, place)
                if met is None:
                    return
                size = sum(map(len, met))
                reading = self._read_pair(*met)
        except MalformedError as error:
            self._rejected.append((row, str(error)))
        except NotAnExchangeError as error:
            self._skip(str(error), row, lost=lost)
        except RecursionError:
            self._rejected.append((row, "nested too deeply"))
        else:
            self.bytes += size
            if reading.places:
                self._places += [""] * (len(self._rows) - len(self._places))
                self._places += [f"{place}: " for place in reading.places]
            for exchange in reading.exchanges:
                self._exchanges.append(exchange)
                self._rows.append(row)
            if reading.nulled:
                self._nulled.update(reading.nulled)
            self._calls += reading.calls
            if reading.skipped:
                self._skipped.update(reading.skipped)
            if reading.rejected:
                self._rejected += [(row, reason) for reason in reading.rejected]

    def _read_pair(self, request: bytes, reply: bytes | None) -> Reading:
        if self._paired is None:
            raise TypeError(f"{self._format.name} reads no pairs")
        return self._paired.read_pair(request, reply)

    def read_leftover(self, half: Leftover, *, lost: bool = False) -> None:
        """Read what is known of a half that its own folder had no other half of.

        ``lost``: whether its other half will never be there, so that a half that is no exchange is malformed.
        """
        if half.reason is not None:
            self._rejected.append((half.row, half.reason))
        elif half.request is not None:
            self._read(
                lambda request: self._read_pair(request, half.reply), half.request, half.row, lost=lost
            )
        else:
            self._skip(NO_REQUEST, half.row, lost=lost)

    def _skip(self, reason: str, row: int, *, lost: bool) -> None:
        if lost and reason in (NO_REQUEST, WITHOUT_A_TIME):
            self._rejected.append((row, LONE_HALF))
        else:
            self._skipped[reason] += 1

    def flush(self) -> Piece:
        """Return what waits as a batch, with the rows of the log that were rejected, and start anew."""
        checked = conform_stated(self._exchanges, self._complete)
        places = self._places + [""] * (len(self._rows) - len(self._places))
        rejected = self._rejected + [
            (self._rows[index], places[index] + reason) for index, reason in checked.rejected
        ]
        self._nulled.update(checked.nulled)
        calls = None
        if self._calls:
            calls = np.delete(np.array(self._calls, np.uint64), [index for index, _ in checked.rejected])
        in_order = tuple(sorted(rejected, key=itemgetter(0)))
        piece = Piece(checked.batch, in_order, self._nulled, self._skipped, calls, checked.zoneless)
        self._start()
        return piece


def read_leftovers(pairs: Pairs, complete: Complete | None, most: int) -> Iterator[tuple[str, Piece]]:
    """Yield what the halves that are left give, in pieces of at most so many, each with the file it is of."""
    for (name, file), halves in groupby(pairs.leftovers(), key=lambda half: (half.format, half.file)):
        (format_,) = (found for found in line_formats() if found.name == name)
        pending = Pending(format_, pairs, complete)
        for count, half in enumerate(halves, start=1):
            pending.read_leftover(half)
            if count % most == 0:
                yield file, pending.flush()
        yield file, pending.flush()


def read_body(format_: LineFormat, body: bytes, complete: Complete | None = None) -> Piece:
    """Read one HTTP body, an object, an array of them or a message, as a file of the same records is read.

    A rejected row is the position of the record in the body, from 1.
    """
    try:
        records = [body] if is_message(format_, body) else records_of(body)
    except MalformedError:
        # The whole body is one malformed record.
        records = [body]
    return read_records(
        ((position, format_, record) for position, record in enumerate(records, start=1)), complete
    )


def read_records(records: Iterable[tuple[int, LineFormat, bytes]], complete: Complete | None = None) -> Piece:
    """Read lines and messages that were handed in together, each with its number and its format.

    A rejected row is the number of the record. A half of an exchange whose other half is not among them is lost with
    them, so it is rejected where it is no exchange by itself.
    """
    with closing(Pairs()) as pairs:
        pending: dict[str, Pending] = {}
        for number, format_, record in records:
            if format_.name not in pending:
                pending[format_.name] = Pending(format_, pairs, complete)
            if is_message(format_, record):
                pending[format_.name].read_message(record, number)
            else:
                pending[format_.name].read(record, number)
        for half in pairs.leftovers():
            pending[half.format].read_leftover(half, lost=True)
        told = Told()
        return joined([told.first_only(one.flush()) for one in pending.values()])


def is_message(format_: LineFormat, record: bytes) -> bool:
    """Whether a record is a binary message of this format, and no text."""
    return any(form is format_ and form.recognises_message(record) for form in message_formats())
