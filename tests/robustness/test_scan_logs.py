"""A scan that is given a broken or an odd log: a clear error, or a plain result."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.exchange import COLUMNS, EXCHANGE_SCHEMA, REQUIRED
from tests.conftest import exchange, words
from tests.scans import (
    fails,
    having,
    is_as_it_was,
    run,
    scan_files,
    scan_log,
    to_log,
    verdicts,
    write_lines,
    write_parquet,
    written,
)

# A log that is broken


def cut_parquet(log: Path, folder: Path) -> Path:
    (folder / "cut.parquet").write_bytes(log.read_bytes()[:-2_000])
    return folder / "cut.parquet"


def torn_parquet(log: Path, folder: Path) -> Path:
    data = bytearray(log.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 4_000] = bytes(4_000)
    (folder / "torn.parquet").write_bytes(data)
    return folder / "torn.parquet"


def cut_gzip(log: Path, folder: Path) -> Path:
    whole = write_lines(pq.read_table(log).slice(0, 500), folder / "log.jsonl.gz").read_bytes()
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return folder / "cut.jsonl.gz"


def empty_file(_: Path, folder: Path) -> Path:
    (folder / "empty.jsonl").write_bytes(b"")
    return folder / "empty.jsonl"


def blank_file(_: Path, folder: Path) -> Path:
    (folder / "blank.jsonl").write_bytes(b"\n  \n\n")
    return folder / "blank.jsonl"


def empty_gzip(_: Path, folder: Path) -> Path:
    (folder / "empty.jsonl.gz").write_bytes(gzip.compress(b""))
    return folder / "empty.jsonl.gz"


def empty_table(_: Path, folder: Path) -> Path:
    return write_parquet(EXCHANGE_SCHEMA.empty_table(), folder / "empty-table.parquet")


def empty_folder(_: Path, folder: Path) -> Path:
    (folder / "empty-folder").mkdir()
    return folder / "empty-folder"


def missing_file(_: Path, folder: Path) -> Path:
    return folder / "missing.parquet"


def no_log(_: Path, folder: Path) -> Path:
    (folder / "notes.txt").write_text("this is no log\nat all\n")
    return folder / "notes.txt"


BROKEN: list[tuple[Callable[[Path, Path], Path], str]] = [
    (cut_parquet, "cut off or is broken inside. Write it again"),
    (torn_parquet, "broken inside"),
    (cut_gzip, "cut off or broken inside"),
    (empty_table, "Give a log that is not empty"),
    (empty_folder, "Give a folder that holds"),
    (missing_file, "does not exist. Give a file"),
    (no_log, "Name the format"),
]


@pytest.mark.parametrize(("make", "remedy"), BROKEN, ids=[make.__name__ for make, _ in BROKEN])
def test_a_broken_log_is_named_with_the_remedy(
    make: Callable[[Path, Path], Path], remedy: str, log: Path, key: Path, out: Path, tmp_path: Path
) -> None:
    path = make(log, tmp_path)
    said = fails("scan", path, "--out", out, "--key", key, folder=tmp_path)
    assert path.name in said
    assert remedy in said
    assert is_as_it_was(out)
    assert not list(out.glob(".stillwatch-*"))


@pytest.mark.parametrize("make", [empty_file, blank_file, empty_gzip])
def test_an_empty_log_is_called_empty(
    make: Callable[[Path, Path], Path], log: Path, key: Path, tmp_path: Path
) -> None:
    path = make(log, tmp_path)
    said = fails("scan", path, "--out", tmp_path / "out", "--key", key, folder=tmp_path)
    assert path.name in said
    assert "Give a log that is not empty" in said


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_named(column: str, log: Path, tmp_path: Path) -> None:
    path = write_parquet(pq.read_table(log).drop_columns([column]), tmp_path / "lacking.parquet")
    with pytest.raises(Exception, match=f"lacking.parquet.*{column}"):
        scan_files([path], tmp_path / "out")


def test_a_missing_column_is_one_line_on_the_command_line(log: Path, key: Path, tmp_path: Path) -> None:
    path = write_parquet(pq.read_table(log).drop_columns(["account_id"]), tmp_path / "lacking.parquet")
    said = fails("scan", path, "--out", tmp_path / "out", "--key", key, folder=tmp_path)
    assert "lacking.parquet" in said
    assert "account_id" in said


def cut_sketches(data: bytes) -> bytes:
    return data[:-2_000]


def torn_sketches(data: bytes) -> bytes:
    return data[: len(data) // 3] + bytes(4_000) + data[len(data) // 3 + 4_000 :]


@pytest.mark.parametrize("damage", [cut_sketches, torn_sketches])
def test_broken_sketches_are_named(
    damage: Callable[[bytes], bytes], log: Path, key: Path, out: Path, tmp_path: Path
) -> None:
    sketches = tmp_path / "sketches.parquet"
    assert run("fingerprint", log, "--out", sketches, "--key", key, folder=tmp_path).returncode == 0
    sketches.write_bytes(damage(sketches.read_bytes()))
    said = fails("scan", sketches, "--out", out, "--key", key, folder=tmp_path)
    assert "sketches.parquet" in said
    assert "cannot write" not in said
    assert is_as_it_was(out)


def test_one_broken_file_of_several_is_the_one_that_is_named(log: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write_parquet(pq.read_table(log), tmp_path / "logs" / "good.parquet")
    cut_parquet(log, tmp_path / "logs")
    said = fails("scan", tmp_path / "logs", "--out", tmp_path / "out", "--key", key, folder=tmp_path)
    assert "cut.parquet" in said
    assert "good.parquet" not in said


# Records that are malformed


@pytest.fixture
def malformed(log: Path, tmp_path: Path) -> Path:
    """400 good records, of which a secret text stands in 20 bad ones between them."""
    lines = write_lines(pq.read_table(log).slice(0, 400), tmp_path / "log.jsonl").read_text().splitlines()
    for number in range(20):
        lines.insert(20 * number, '{"account_id": "secret-text", "messages": ' + "[" * (number % 3))
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "log.jsonl"


def test_too_many_rejects_end_the_run(malformed: Path, key: Path, out: Path, tmp_path: Path) -> None:
    said = fails("scan", malformed, "--out", out, "--key", key, folder=tmp_path)
    assert "20 of 420 records could not be read (4.8%); 1.0% are allowed" in said
    assert "log.jsonl, row 1: " in said
    assert "secret-text" not in said
    assert is_as_it_was(out)


def test_too_many_rejects_can_be_looked_at_where_the_message_says(
    malformed: Path, key: Path, out: Path, tmp_path: Path
) -> None:
    said = fails("scan", malformed, "--out", out, "--key", key, folder=tmp_path)
    place = Path(said.split("(see ", 1)[1].split(")", 1)[0])
    rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert len(rows) == 20


def test_too_many_rejects_of_sketches_can_be_looked_at(malformed: Path, key: Path, tmp_path: Path) -> None:
    said = fails(
        "fingerprint", malformed, "--out", tmp_path / "sketches.parquet", "--key", key, folder=tmp_path
    )
    place = Path(said.split("(see ", 1)[1].split(")", 1)[0])
    assert len(place.read_text().splitlines()) == 20
    assert "secret-text" not in place.read_text()


def test_a_larger_share_may_be_allowed(malformed: Path, key: Path, tmp_path: Path) -> None:
    found = run(
        "scan", malformed, "--out", tmp_path / "out", "--key", key, "--reject-share", "0.05", folder=tmp_path
    )
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [20 * number + 1 for number in range(20)]
    assert "secret-text" not in (tmp_path / "out" / "rejected.jsonl").read_text()
    overview = json.loads((tmp_path / "out" / "overview.json").read_text())
    assert (overview["log"]["exchanges"], overview["log"]["rejected"]) == (400, 20)


def test_nothing_but_rejects_is_a_clear_error_even_where_all_are_allowed(key: Path, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"account_id": "a", "messages": 5}\n' * 30)
    fails(
        "scan", tmp_path / "log.jsonl", "--format", "native-jsonl", "--out", tmp_path / "out", "--key", key,
        "--reject-share", "1", folder=tmp_path,
    )  # fmt: skip


# A log that is odd


def free(count: int, accounts: int = 20) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    return [exchange(number, f"a{number % accounts:02d}", words(rng, 25)) for number in range(count)]


def scanned(rows: list[dict[str, Any]], folder: Path) -> dict[tuple[str, str | None], str]:
    result = scan_log(to_log(rows), folder)
    assert result.overview["log"]["exchanges"] == len(rows)
    assert (folder / "result" / "report.html").stat().st_size > 1_000
    return verdicts(result)


def test_one_exchange(tmp_path: Path) -> None:
    assert scanned([exchange(1, "one", "how do I boil an egg")], tmp_path) == {("one", None): "none"}


def test_one_account(tmp_path: Path) -> None:
    assert scanned(free(300, accounts=1), tmp_path) == {("a00", None): "none"}


def test_one_account_that_sends_one_text(tmp_path: Path) -> None:
    rows = [exchange(number, "one", "Grade the answer against the rubric below.") for number in range(200)]
    assert scanned(rows, tmp_path) == {("one", None): "none"}


def test_without_any_optional_column(log: Path, tmp_path: Path) -> None:
    optional = [column.name for column in COLUMNS if not column.required]
    path = write_parquet(pq.read_table(log).drop_columns(optional), tmp_path / "lacking.parquet")
    result = scan_files([path], tmp_path / "result")
    assert result.accounts["end_user_id"].null_count == result.accounts.num_rows
    assert {"end_user_id", "payment_fingerprint", "country"} <= set(result.overview["log"]["columns_missing"])
    # Weaker evidence may lose the campaign, but must not find another.
    full = scan_files([log], tmp_path / "full")
    assert having(result, "extraction") <= having(full, "extraction")


def test_end_users_that_are_named_now_and_then(tmp_path: Path) -> None:
    rows = free(400)
    for number, row in enumerate(rows):
        row["end_user_id"] = [None, "", "u1", "u\x00", "ü"][number % 5]
    found = scanned(rows, tmp_path)
    assert {account for account, _ in found} == {f"a{number:02d}" for number in range(20)}


def test_the_same_id_twice(tmp_path: Path) -> None:
    rows = [row | {"exchange_id": "same"} for row in free(200)]
    assert set(scanned(rows, tmp_path).values()) == {"none"}


def test_ids_that_occur_twice_are_counted(tmp_path: Path) -> None:
    rows = free(200)
    result = scan_log(to_log([*rows, *rows[:30]]), tmp_path)
    assert result.overview["log"]["duplicates"] == 30


def test_texts_that_are_empty(tmp_path: Path) -> None:
    rows = free(200)
    odd: list[Any] = [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": None}],
        [{"role": "system", "content": ""}, {"role": "user", "content": " \n\t\u200b"}],
        [{"role": "assistant", "content": "the reply alone"}],
    ]
    for number, row in enumerate(rows):
        row["messages"] = odd[number % len(odd)]
    assert set(scanned(rows, tmp_path).values()) == {"none"}


def test_a_prompt_of_five_megabytes(tmp_path: Path) -> None:
    long = words(np.random.default_rng(1), 600_000)
    assert len(long) > 5_000_000
    rows = [*free(100), exchange(999, "long", long)]
    result = scan_log(to_log(rows), tmp_path)
    assert verdicts(result)["long", None] == "none"
    (cap,) = result.overview["caps"]
    assert cap["cut"] == len(long) - cap["limit"]
    assert (tmp_path / "result" / "report.html").stat().st_size < 2_000_000


def test_names_and_texts_of_every_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = [
        "<script>alert(1)</script>",
        "a/b",
        "..",
        " a ",
        "名前",
        "a\nb",
        "'; drop table cells; --",
        "x" * 5_000,
    ]
    texts = ["\x00", "🙂" * 500, "</script><script>", "a\ud7ffb", "้" * 3000, "AAAA" * 9000]
    rows = [
        exchange(number, names[number % len(names)], f"{words(rng, 8)} {texts[number % len(texts)]}")
        for number in range(240)
    ]
    found = scanned(rows, tmp_path)
    assert {account for account, _ in found} == set(names)
    page = (tmp_path / "result" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page


def test_times_far_apart_and_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    log = to_log(free(200))
    earliest, latest = 946_684_800_000_000, 4_000_000_000_000_000
    once = pa.array([earliest] * 200, pa.timestamp("us", tz="UTC"))
    far = pa.array([earliest, latest] * 100, pa.timestamp("us", tz="UTC"))
    place = EXCHANGE_SCHEMA.get_field_index("started_at")
    field = EXCHANGE_SCHEMA.field("started_at")
    for times, folder in ((once, tmp_path / "once"), (far, tmp_path)):
        assert set(verdicts(scan_log(log.set_column(place, field, times), folder)).values()) == {"none"}


def test_a_log_of_a_quiet_hour_among_others(log: Path, fresh: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write_parquet(EXCHANGE_SCHEMA.empty_table(), tmp_path / "logs" / "a.parquet")
    write_parquet(pq.read_table(log), tmp_path / "logs" / "b.parquet")
    (tmp_path / "logs" / "c.jsonl").write_bytes(b"")
    scan_files([tmp_path / "logs"], tmp_path / "out")
    assert written(tmp_path / "out")["accounts.parquet"] == fresh["accounts.parquet"]


def test_a_log_of_a_quiet_hour_before_others(log: Path, fresh: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"")
    write_parquet(pq.read_table(log), tmp_path / "logs" / "b.parquet")
    scan_files([tmp_path / "logs"], tmp_path / "out")
    assert written(tmp_path / "out")["accounts.parquet"] == fresh["accounts.parquet"]
