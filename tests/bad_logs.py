"""Logs that are broken or odd, each with what a reader makes of it: the golden file, and the page made from it.

``python -m tests.bad_logs`` writes ``tests/golden/bad_logs.json`` anew; read what changed before you keep it.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stillwatch import sources
from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import all_formats
from stillwatch.rejects import LogError, RejectLog
from tests.conftest import exchange
from tests.scans import to_log, write_lines, write_parquet

GOLDEN = Path(__file__).parent / "golden" / "bad_logs.json"
RECORDS = 120
BATCH_ROWS = 50
NOBODY = 65534

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A log, by what a person would say of it."""

    make: Make
    """Writes it into a folder."""
    says: str
    """What the log holds, in words."""
    treatment: str = ""
    """What becomes of it, in words; empty for an error, which says so itself."""
    format: str = "auto"
    meanwhile: Callable[[Path], None] | None = None
    """What happens to the file once its first batch was read."""

    @property
    def name(self) -> str:
        return self.make.__name__.replace("_", "-")


def rows() -> list[dict[str, Any]]:
    return [exchange(number, f"a{number % 5}", f"question {number}") for number in range(RECORDS)]


def records(**odd: Any) -> list[dict[str, Any]]:
    """Records as JSON holds them; ``odd`` replaces fields of the eleventh."""
    found = [{**row, "started_at": row["started_at"].isoformat()} for row in rows()]
    found[10] |= odd
    return found


def lines(folder: Path, given: list[Any] | None = None, **odd: Any) -> Path:
    texts = [
        text if isinstance(text, bytes) else json.dumps(text).encode() for text in given or records(**odd)
    ]
    (folder / "log.jsonl").write_bytes(b"\n".join(texts) + b"\n")
    return folder / "log.jsonl"


def instead(folder: Path, text: bytes) -> Path:
    """The records, with a line of which the eleventh is this text."""
    given: list[Any] = list(records())
    given[10] = text
    return lines(folder, given)


def table(folder: Path, **columns: pa.Array) -> Path:
    log = to_log(rows())
    for name, values in columns.items():
        place = log.schema.get_field_index(name)
        log = log.set_column(place, pa.field(name, values.type), values)
    return write_parquet(log, folder / "log.parquet")


def packed(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def whole_gzip(folder: Path) -> bytes:
    return write_lines(to_log(rows() * 20), folder / "log.jsonl.gz").read_bytes()


# A log that cannot be read


def parquet_cut_off(folder: Path) -> Path:
    return packed(folder, "log.parquet", table(folder).read_bytes()[:-9])


def parquet_torn_inside(folder: Path) -> Path:
    data = bytearray(table(folder).read_bytes())
    data[200:400] = bytes(200)
    return packed(folder, "log.parquet", bytes(data))


def parquet_of_no_bytes(folder: Path) -> Path:
    return packed(folder, "log.parquet", b"")


def parquet_without_rows(folder: Path) -> Path:
    return write_parquet(EXCHANGE_SCHEMA.empty_table(), folder / "log.parquet")


def gzip_cut_off(folder: Path) -> Path:
    data = whole_gzip(folder)
    return packed(folder, "log.jsonl.gz", data[: len(data) // 2])


def gzip_bent_inside(folder: Path) -> Path:
    data = whole_gzip(folder)
    return packed(folder, "log.jsonl.gz", data[:500] + bytes(50) + data[550:])


def gzip_of_no_bytes(folder: Path) -> Path:
    return packed(folder, "log.jsonl.gz", b"")


def gzip_of_nothing(folder: Path) -> Path:
    return packed(folder, "log.jsonl.gz", gzip.compress(b"", mtime=0))


def zstd_cut_off(folder: Path) -> Path:
    data = pa.compress(gzip.decompress(whole_gzip(folder)), codec="zstd", asbytes=True)
    return packed(folder, "log.jsonl.zst", data[: len(data) // 2])


def column_missing(folder: Path) -> Path:
    return write_parquet(to_log(rows()).drop_columns(["account_id"]), folder / "log.parquet")


def column_of_a_wrong_type(folder: Path) -> Path:
    return table(folder, messages=pa.array(["a text"] * RECORDS))


def file_missing(folder: Path) -> Path:
    return folder / "log.jsonl"


def file_that_may_not_be_read(folder: Path) -> Path:
    lines(folder).chmod(0)
    return folder / "log.jsonl"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "log.jsonl")
    return folder / "log.jsonl"


def file_empty(folder: Path) -> Path:
    return packed(folder, "log.jsonl", b"")


def file_of_blank_lines(folder: Path) -> Path:
    return packed(folder, "log.jsonl", b"\n  \n\n")


def folder_empty(folder: Path) -> Path:
    return folder


def folder_with_another_file(folder: Path) -> Path:
    lines(folder)
    packed(folder, "notes.docx", b"notes")
    return folder


def csv_of_a_header_alone(folder: Path) -> Path:
    return packed(folder, "log.csv", b"exchange_id,account_id,started_at,model,messages\n")


def json_of_another_kind(folder: Path) -> Path:
    return packed(folder, "log.jsonl", b'{"hello": "world"}\n')


def no_json(folder: Path) -> Path:
    return packed(folder, "log.jsonl", b"It was a dark and stormy night.\n")


def format_unknown(folder: Path) -> Path:
    return lines(folder)


def many_malformed_records(folder: Path) -> Path:
    return lines(folder, [*records(), *[b"{"] * 30])


def nothing_but_other_records(folder: Path) -> Path:
    record = {"id": "1", "call_type": "aembedding", "startTime": 1767600000.0, "model": "m", "messages": "x"}
    record |= {"response": {}, "metadata": {"user_api_key_hash": "k"}, "status": "success"}
    return lines(folder, [record])


def file_that_grows(folder: Path) -> Path:
    return lines(folder)


def grow(path: Path) -> None:
    with path.open("ab") as log:
        log.write(json.dumps(records()[0]).encode() + b"\n")


def file_that_is_written_to(folder: Path) -> Path:
    return lines(folder)


def write_to(path: Path) -> None:
    seen = path.stat()
    with path.open("r+b") as log:
        log.write(b"{")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000))


def file_that_is_replaced(folder: Path) -> Path:
    return lines(folder)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


def file_that_goes_away(folder: Path) -> Path:
    return lines(folder)


# A log of which something is set aside, mended or counted


def line_that_is_no_json(folder: Path) -> Path:
    return instead(folder, b'{"account_id": "a", "mess')


def text_that_is_no_unicode(folder: Path) -> Path:
    return instead(folder, json.dumps(records()[10]).encode().replace(b"question", b"\xff\xfe"))


def text_that_is_no_unicode_in_parquet(folder: Path) -> Path:
    accounts = [b"\xff" if number == 10 else b"a%d" % (number % 5) for number in range(RECORDS)]
    raw = pa.array(accounts, pa.binary())
    return table(folder, account_id=pa.Array.from_buffers(pa.string(), RECORDS, raw.buffers()))


def text_cut_inside_an_emoji(folder: Path) -> Path:
    return instead(folder, json.dumps(records()[10]).replace("question", "\\ud83d").encode())


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def deep_json_where_the_messages_are(folder: Path) -> Path:
    text = json.dumps(records(messages="DEEP")[10]).encode()
    return instead(folder, text.replace(b'"DEEP"', nested(100_000)))


def deep_json_in_a_field_that_is_not_read(folder: Path) -> Path:
    text = json.dumps(records(extra="DEEP")[10]).encode()
    return instead(folder, text.replace(b'"DEEP"', nested(100)))


def temperature_that_is_no_number(folder: Path) -> Path:
    return lines(folder, temperature=float("nan"))


def temperature_that_is_no_number_in_parquet(folder: Path) -> Path:
    return table(folder, temperature=pa.array([float("nan")] + [0.5] * (RECORDS - 1)))


def negative_count(folder: Path) -> Path:
    return lines(folder, input_tokens=-7)


def count_written_as_text(folder: Path) -> Path:
    return lines(folder, output_tokens="12")


def clock_of_1970(folder: Path) -> Path:
    return lines(folder, started_at="1970-01-01T00:00:07Z")


def clock_of_1970_in_seconds(folder: Path) -> Path:
    return lines(folder, started_at=7)


def clock_of_1970_in_parquet(folder: Path) -> Path:
    times = [row["started_at"] for row in rows()]
    times[10] = times[10].replace(year=1970)
    return table(folder, started_at=pa.array(times, pa.timestamp("us", "UTC")))


def account_opened_in_1970(folder: Path) -> Path:
    return lines(folder, account_created_at="1970-01-01T00:00:00Z")


def time_zones_mixed(folder: Path) -> Path:
    zones = ("2026-01-05T10:00:00+05:30", "2026-01-05T04:30:00Z", "2026-01-05T04:30:00")
    given = records()
    for number, record in enumerate(given):
        record["started_at"] = zones[number % 3]
    return lines(folder, given)


def times_without_a_zone_in_parquet(folder: Path) -> Path:
    times = [row["started_at"].replace(tzinfo=None) for row in rows()]
    return table(folder, started_at=pa.array(times, pa.timestamp("us")))


def account_missing(folder: Path) -> Path:
    return lines(folder, account_id="")


def role_unknown(folder: Path) -> Path:
    return lines(folder, messages=[{"role": "wizard", "content": "x"}])


def ids_that_repeat(folder: Path) -> Path:
    return lines(folder, [*records(), *records()[:30]])


def prompt_of_50_megabytes(folder: Path) -> Path:
    return lines(folder, messages=[{"role": "user", "content": "a long question " * 3_300_000}])


def byte_order_mark_and_carriage_returns(folder: Path) -> Path:
    data = lines(folder).read_bytes()
    return packed(folder, "log.jsonl", b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))


def records_that_are_no_exchange(folder: Path) -> Path:
    chat = {
        "id": "2",
        "call_type": "acompletion",
        "startTime": 1767600000.0,
        "model": "m",
        "status": "success",
    }
    chat |= {"messages": [{"role": "user", "content": "x"}], "response": {}}
    chat |= {"metadata": {"user_api_key_hash": "k"}}
    return lines(folder, [chat, {**chat, "id": "3", "call_type": "aembedding"}])


SET_ASIDE = "set aside with its place and the reason, and counted"
LEFT_OUT = "the value becomes null and is counted; the exchange stays"
AS_IT_IS = "read as it is"

CASES = (
    Case(parquet_cut_off, "a Parquet file that was cut off"),
    Case(parquet_torn_inside, "a Parquet file that is torn inside"),
    Case(parquet_of_no_bytes, "a Parquet file of no bytes"),
    Case(parquet_without_rows, "a Parquet file of a header alone"),
    Case(gzip_cut_off, "a gzip file that was cut off"),
    Case(gzip_bent_inside, "a gzip file that is bent inside"),
    Case(gzip_of_no_bytes, "a gzip file of no bytes"),
    Case(gzip_of_nothing, "a gzip file of nothing"),
    Case(zstd_cut_off, "a zstd file that was cut off"),
    Case(column_missing, "a table that lacks a required column"),
    Case(column_of_a_wrong_type, "a table with a column of another type"),
    Case(file_missing, "a file that does not exist"),
    Case(file_that_may_not_be_read, "a file that may not be read"),
    Case(pipe, "a pipe"),
    Case(file_empty, "an empty file"),
    Case(file_of_blank_lines, "a file of blank lines"),
    Case(folder_empty, "an empty folder"),
    Case(folder_with_another_file, "a folder with a file of another kind"),
    Case(csv_of_a_header_alone, "a CSV file, here of a header alone"),
    Case(json_of_another_kind, "JSON of another kind"),
    Case(no_json, "a text that is no JSON"),
    Case(format_unknown, "`--format` with a name that is none", format="mystery"),
    Case(many_malformed_records, "more malformed records than `--reject-share` allows"),
    Case(nothing_but_other_records, "nothing but records that are no exchange"),
    Case(file_that_grows, "a file that grows while it is read", meanwhile=grow),
    Case(file_that_is_written_to, "a file that is written to while it is read", meanwhile=write_to),
    Case(file_that_is_replaced, "a file that is replaced while it is read", meanwhile=replace),
    Case(file_that_goes_away, "a file that is removed while it is read", meanwhile=Path.unlink),
    Case(line_that_is_no_json, "a line that is no JSON object", SET_ASIDE),
    Case(text_that_is_no_unicode, "a line that is not UTF-8", SET_ASIDE),
    Case(text_that_is_no_unicode_in_parquet, "a text that is not UTF-8, in Parquet", SET_ASIDE),
    Case(deep_json_where_the_messages_are, "JSON nested 100,000 deep where the messages are", SET_ASIDE),
    Case(deep_json_in_a_field_that_is_not_read, "JSON nested 100 deep in a field that is not read", AS_IT_IS),
    Case(account_missing, "a record without an account", SET_ASIDE),
    Case(role_unknown, "a message of an unknown role", SET_ASIDE),
    Case(clock_of_1970, "a clock of 1970", SET_ASIDE),
    Case(clock_of_1970_in_seconds, "a clock of 1970, as a number", SET_ASIDE),
    Case(clock_of_1970_in_parquet, "a clock of 1970, in Parquet", SET_ASIDE),
    Case(account_opened_in_1970, "an account that was opened in 1970", LEFT_OUT),
    Case(temperature_that_is_no_number, "a temperature of NaN", LEFT_OUT),
    Case(temperature_that_is_no_number_in_parquet, "a temperature of NaN, in Parquet", LEFT_OUT),
    Case(negative_count, "a negative count", LEFT_OUT),
    Case(count_written_as_text, "a count that is written as text", LEFT_OUT),
    Case(
        time_zones_mixed,
        "mixed time zones",
        "brought to UTC; a time without a zone is read as UTC and counted",
    ),
    Case(times_without_a_zone_in_parquet, "times without a zone, in Parquet", "read as UTC and counted"),
    Case(text_cut_inside_an_emoji, "a text cut in the middle of an emoji", "the half becomes U+FFFD"),
    Case(
        ids_that_repeat, "exchange ids that repeat", "each record is read and weighed; the scan counts them"
    ),
    Case(
        prompt_of_50_megabytes,
        "a prompt of 50 MB",
        "read; the scan weighs its beginning and counts what it cut",
    ),
    Case(byte_order_mark_and_carriage_returns, "a byte order mark and Windows line ends", AS_IT_IS),
    Case(
        records_that_are_no_exchange, "records that are no exchange (an embedding)", "passed over and counted"
    ),
)


def outcome(case: Case, folder: Path) -> dict[str, Any]:
    """What a reader makes of a case: the error word for word, or all that it counts."""
    path = case.make(folder)
    rejected = folder.with_name(folder.name + ".rejected.jsonl")
    found: dict[str, Any] = {"case": case.name, "log": case.says}
    try:
        rights = nullcontext() if case.meanwhile else reader_without_rights()
        with RejectLog(rejected) as rejects, rights:
            batches = sources.open_log([path], rejects=rejects, format=case.format, batch_rows=BATCH_ROWS)
            read = 0
            for number, batch in enumerate(batches):
                read += len(batch)
                if case.meanwhile and not number:
                    case.meanwhile(path)
    except LogError as error:
        text = str(error).replace(str(rejected), "REJECTED").replace(str(path), "LOG")
        return found | {"error": type(error).__name__, "says": text}
    reasons = Counter(json.loads(line)["reason"] for line in rejected.read_text().splitlines())
    counted = {
        "read": read, "rejected": dict(reasons), "skipped": dict(rejects.skipped),
        "nulled": dict(rejects.nulled), "zoneless": rejects.zoneless,
    }  # fmt: skip
    return found | {"treatment": case.treatment, **{name: value for name, value in counted.items() if value}}


@contextmanager
def reader_without_rights() -> Iterator[None]:
    """Read as nobody where the tests run as root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    all_formats()  # found in the package's folder, which may be nobody else's to read
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that anybody may read and write, without a name of its own in a golden text."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-bad-logs-") as name:
        Path(name).chmod(0o777)
        folder = Path(name) / "logs"
        folder.mkdir()
        folder.chmod(0o777)
        yield folder


def main() -> None:
    found = []
    for case in CASES:
        with open_folder() as folder:
            found.append(outcome(case, folder))
    GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
