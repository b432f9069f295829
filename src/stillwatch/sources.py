"""Logs as they lie on disk or in a store: files, folders and globs to batches of the exchange table, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import msgspec
import pyarrow as pa

from stillwatch.formats import Complete, LineFormat, MalformedError, Piece, all_formats, format_of
from stillwatch.formats._decode import BYTE_ORDER_MARK, mend
from stillwatch.formats._framing import HEAD_BYTES, framing_of, messages
from stillwatch.formats._pairs import Pairs
from stillwatch.formats._reading import Pending, read_body, read_leftovers, records_of
from stillwatch.formats._told import Told
from stillwatch.formats.native_parquet import FORMAT as NATIVE_TABLE
from stillwatch.formats.native_parquet import read_schema
from stillwatch.identities import read_identities
from stillwatch.listing import (
    COMPRESSED_SUFFIXES,
    PARQUET_SUFFIX,
    FileState,
    LogFile,
    list_files,
    opened,
    state_of,
    unchanged,
    unreadable,
)
from stillwatch.rejects import (
    DamagedLogError,
    EmptyLogError,
    RejectLog,
    UnknownFormatError,
)
from stillwatch.stored import StoredObject, is_of_store, refused

__all__ = [
    "SKETCH",
    "Progress",
    "empty",
    "is_blank",
    "is_parquet",
    "kind_of",
    "list_files",
    "open_log",
    "read_body",
]

SKETCH = "sketch"
SKETCH_METADATA = b"stillwatch.sketch"
APART = "Scan them apart, or sketch the log first with `stillwatch fingerprint`."
"""What to do with sketches and a log that were given together."""

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
PARQUET_MAGIC = b"PAR1"
CHUNK_BYTES = 4 << 20
# A record, or an array of records that is one document, is held in memory whole.
LARGEST_RECORD_BYTES = 256 << 20
BATCH_BYTES = 64 << 20
BATCH_ROWS = 32_768
SAMPLE_RECORDS = 100

Progress = Callable[[int, int], None]
"""Called with the bytes of the log that were read and the bytes that there are, both as they lie on disk."""


def kind_of(*paths: str | LogFile, format: str = "auto") -> str:
    """Return what a log is: ``"sketch"`` or the name of its format, as its first file that holds anything is.

    Raises:
        LogError: that file cannot be read or told, or none holds anything.
    """
    files = list_files(paths)
    for file in files:
        if is_parquet(file):
            return SKETCH if SKETCH_METADATA in (read_schema(file).metadata or {}) else NATIVE_TABLE.name
        if not is_blank(file):
            return _Lines(file).format_named(format).name
    raise empty(files[0])


def open_log(
    paths: Sequence[str | LogFile],
    *,
    rejects: RejectLog,
    format: str = "auto",
    identities: Path | None = None,
    batch_rows: int = BATCH_ROWS,
    progress: Progress | None = None,
    unread: frozenset[str] = frozenset(),
) -> Iterator[pa.RecordBatch]:
    """Yield the exchanges of a log as record batches of :data:`stillwatch.exchange.EXCHANGE_SCHEMA`.

    Args:
        paths: files, folders (read whole) and globs.
        rejects: takes the malformed records; its owner closes it.
        format: name of a format, or "auto" to find each file's by itself.
        identities: a mapping of identities, see :mod:`stillwatch.identities`.
        batch_rows: most rows of a batch; fewer where the texts are long.
        progress: called after every batch.
        unread: optional columns that nobody asks for; of Parquet they are not read, and null.

    Raises:
        LogError: the log cannot be read, or more of its records are malformed than ``rejects`` allows.
    """
    files = list_files(paths)
    mapping = None if identities is None else read_identities(identities)
    states = [state_of(file) for file in files]
    total = sum(state.size for state in states)
    complete: Complete | None = None if mapping is None else mapping.complete
    before = 0
    told = Told()
    with closing(Pairs()) as pairs:
        for file, state in zip(files, states, strict=True):
            for share, told_of in _read(file, state, format, complete, batch_rows, pairs, unread):
                piece = told.first_only(told_of)
                read = before + round(share * state.size)
                _account(piece, str(file), rejects)
                rejects.check(read / max(total, 1))
                if progress is not None:
                    progress(read, total)
                if len(piece.batch):
                    yield piece.batch
            unchanged(file, state)
            before += state.size
        for name, piece in read_leftovers(pairs, complete, batch_rows):
            _account(piece, name, rejects)
            if len(piece.batch):
                yield piece.batch
    if mapping is not None:
        rejects.unmapped += mapping.unmapped
    rejects.check()
    if not rejects.seen:
        raise empty(files[0], rejects.skipped)


def empty(file: LogFile, skipped: Mapping[str, int] | None = None) -> EmptyLogError:
    """Return the error for a log that holds no exchange."""
    what = ""
    if skipped:
        most = max(skipped, key=lambda reason: skipped[reason])
        what = f" but {sum(skipped.values()):,} records of other kinds ({most}: {skipped[most]:,})"
    return EmptyLogError(f"{file} holds no exchange{what}. Give a log that is not empty.", file=file)


def _account(piece: Piece, file: str, rejects: RejectLog) -> None:
    rejects.accept(len(piece.batch))
    for row, reason in piece.rejected:
        rejects.reject(file, row, reason)
    rejects.note(piece.nulled, piece.skipped, piece.zoneless)


def _read(
    file: LogFile,
    state: FileState,
    format_name: str,
    complete: Complete | None,
    batch_rows: int,
    pairs: Pairs,
    unread: frozenset[str],
) -> Iterator[tuple[float, Piece]]:
    """Yield one file in pieces; one that goes away or changes meanwhile is that, and not broken."""
    try:
        yield from _pieces(file, format_name, complete, batch_rows, pairs, unread)
    except (OSError, DamagedLogError) as error:
        unchanged(file, state)
        if isinstance(error, OSError):
            raise unreadable(file) from error
        if isinstance(file, StoredObject) and is_of_store(error.__cause__):
            raise refused(file, error.__cause__) from error
        raise


def _pieces(
    file: LogFile,
    format_name: str,
    complete: Complete | None,
    batch_rows: int,
    pairs: Pairs,
    unread: frozenset[str],
) -> Iterator[tuple[float, Piece]]:
    """Yield one file in pieces, each with the share of its bytes that was read by then."""
    if not is_parquet(file):
        lines = _Lines(file)
        if lines.blank:
            return
        yield from lines.pieces(lines.format_named(format_name), complete, batch_rows, pairs)
        return
    schema = read_schema(file)
    if SKETCH_METADATA in (schema.metadata or {}):
        raise UnknownFormatError(
            f"{file} holds sketches and no text, and sketches are not read together with a log. {APART}",
            file=file,
        )
    if format_name not in ("auto", NATIVE_TABLE.name):
        raise UnknownFormatError(
            f"{file} is Parquet and cannot be read as {format_name}. Leave the format to be found by itself.",
            file=file,
        )
    yield from NATIVE_TABLE.read_file(file, batch_rows, complete, unread)


def is_parquet(file: LogFile) -> bool:
    """Whether a file is Parquet, by its name or its first bytes."""
    if file.suffix.lower() == PARQUET_SUFFIX:
        return True
    with opened(file) as raw:
        return bool(raw.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC)


def is_blank(file: LogFile) -> bool:
    """Whether a file of lines holds nothing, as the log of a quiet hour does."""
    return _Lines(file).blank


class _Lines:
    """A file of JSON objects: lines, or one document that is an array; or of messages; plain or compressed.

    Attributes:
        blank: the file holds nothing, as the log of a quiet hour does.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.blank = False
        self._framing = framing_of(next(self._chunks(1), (0.0, b""))[1][:HEAD_BYTES])
        self._document = None if self._framing else self._whole_document()

    def format_named(self, name: str) -> LineFormat:
        """Return the named format, or with "auto" the one that recognises the first records."""
        if self._framing is not None:
            if name in ("auto", self._framing.format.name):
                return self._framing.format
            raise UnknownFormatError(
                f"{self._file} holds binary messages and cannot be read as {name}. "
                "Leave the format to be found by itself.",
                file=self._file,
            )
        if name != "auto":
            named = all_formats().get(name)
            if isinstance(named, LineFormat):
                return named
            raise UnknownFormatError(
                f"{self._file} cannot be read as {name}. Name one of {_line_format_names()}.",
                file=self._file,
            )
        seen = 0
        for number, record in enumerate(islice(self._sample(), SAMPLE_RECORDS), start=1):
            seen = number
            found = format_of(record)
            if found is not None:
                return found
        what = f"none of its first {seen} JSON objects is of a known format" if seen else "it holds no JSON"
        raise UnknownFormatError(
            f"{self._file}: {what}; known are {_line_format_names()}. "
            "Name the format, or write the log as one.",
            file=self._file,
        )

    def _sample(self) -> Iterator[dict[str, object]]:
        """Yield the JSON objects, one at a time: a line may be long, and the first of them tells."""
        for text in (text for _, texts in self._texts() for text in texts if text.strip()):
            with suppress(MalformedError):
                for record in records_of(text):
                    value = mend(record)
                    if isinstance(value, dict):
                        yield value

    def pieces(
        self, format_: LineFormat, complete: Complete | None, batch_rows: int, pairs: Pairs
    ) -> Iterator[tuple[float, Piece]]:
        """Yield the file in pieces, each with the share of its bytes that was read by then."""
        pending = Pending(format_, pairs, complete, folder=str(self._file.parent), file=str(self._file))
        first = 1
        try:
            for share, texts in self._texts():
                for row, text in enumerate(texts, start=first):
                    if self._framing is not None:
                        pending.read_message(text, row)
                    elif text and not text.isspace():
                        pending.read(text, row)
                    if (
                        len(pending) >= batch_rows
                        or pending.bytes >= BATCH_BYTES
                        or pending.rejects >= batch_rows
                    ):
                        yield share, pending.flush()
                first += len(texts)
        except MalformedError as error:
            pending.reject(first, str(error))
        yield 1.0, pending.flush()

    def _texts(self) -> Iterator[tuple[float, list[bytes]]]:
        """Yield the JSON texts: the lines, or the elements of a document; or the messages.

        Raises MalformedError for a message that is not there in full.
        """
        if self._framing is not None:
            yield from messages(self._chunks(max(1, state_of(self._file).size)), self._framing)
        elif self._document is None:
            yield from self._lines()
        else:
            yield 1.0, self._document

    def _lines(self) -> Iterator[tuple[float, list[bytes]]]:
        """Yield the lines in chunks, each with the share of the file that was read by then."""
        size = max(1, state_of(self._file).size)
        rest = b""
        row = 1
        for share, data in _ahead(self._chunks(size)):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            row += len(lines)
            yield share, lines
            if len(rest) > LARGEST_RECORD_BYTES:
                raise DamagedLogError(
                    f"{self._file}, row {row}: one record is longer than {LARGEST_RECORD_BYTES >> 20} MiB. "
                    "Write one JSON object a line.",
                    file=self._file,
                    row=row,
                )
        if rest:
            yield 1.0, [rest]

    def _chunks(self, size: int) -> Iterator[tuple[float, bytes]]:
        """Yield the decompressed bytes, each chunk with the share of the file that was read by then."""
        first = True
        try:
            with opened(self._file) as raw:
                codec = MAGIC.get(raw.read(2)) or MAGIC.get(self._head(raw))
                if codec is None and self._file.suffix.lower() in COMPRESSED_SUFFIXES and not raw.size():
                    raise OSError("even an empty log has a header once it is compressed")
                raw.seek(0)
                stream = raw if codec is None else pa.CompressedInputStream(raw, codec)
                while data := stream.read(CHUNK_BYTES):
                    yield raw.tell() / size, data.removeprefix(BYTE_ORDER_MARK) if first else data
                    first = False
        except (OSError, pa.ArrowInvalid) as error:
            raise DamagedLogError(
                f"{self._file} is cut off or broken inside: it cannot be read to its end. "
                "Write it again or leave it out.",
                file=self._file,
            ) from error

    @staticmethod
    def _head(raw: pa.NativeFile) -> bytes:
        raw.seek(0)
        head: bytes = raw.read(4)
        return head

    def _whole_document(self) -> list[bytes] | None:
        """Return the elements of a file that is one JSON document over several lines, or None."""
        texts = (text for _, lines in self._lines() for text in lines if text.strip())
        first = next(texts, b"")
        self.blank = not first
        if first.lstrip()[:1] not in (b"[", b"{") or _is_json(first):
            return None
        parts = [first]
        size = 0
        for text in texts:
            parts.append(text)
            size += len(text)
            if size > LARGEST_RECORD_BYTES:
                return None
        try:
            msgspec.json.decode(b"\n".join(parts), type=msgspec.Raw)
            return records_of(b"\n".join(parts))
        except (msgspec.MsgspecError, MalformedError, UnicodeDecodeError, RecursionError):
            return None


def _ahead(chunks: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Yield chunks, each read and decompressed while the one before it is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = pool.submit(next, chunks, None)
            yield chunk


def _is_json(text: bytes) -> bool:
    try:
        mend(text)
    except MalformedError:
        return False
    return True


def _line_format_names() -> str:
    return ", ".join(name for name, format_ in all_formats().items() if isinstance(format_, LineFormat))
