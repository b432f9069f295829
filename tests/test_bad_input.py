"""What a person may give in error, on the command line and in files: a clear error, and nothing is lost."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.keys import KeyFileError, Keys, load
from stillwatch.listing import list_files
from stillwatch.rejects import DamagedLogError, EmptyLogError, LogError, MissingLogError, RejectLog
from stillwatch.sketching import SketchError, Source, sketch_log, write_sketches
from stillwatch.sources import SKETCH, kind_of, open_log
from tests.conftest import exchange
from tests.scans import TEST_KEY, fails, run, to_log, write_lines, write_parquet, written

KEYS = Keys(TEST_KEY)


def small_log() -> pa.Table:
    texts = (f"Grade the answer number {7919 * number} by the rubric." for number in range(60))
    return to_log([exchange(number, f"a{number % 5}", text) for number, text in enumerate(texts)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_parquet(small_log(), tmp_path / "log.parquet")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(TEST_KEY)
    return tmp_path / "key"


@pytest.fixture
def sketches(log: Path, tmp_path: Path) -> Path:
    with RejectLog(None) as rejects:
        write_sketches(Source((log,)), KEYS, tmp_path / "sketches.parquet", rejects)
    return tmp_path / "sketches.parquet"


def sketched(*paths: Path, format: str = "auto") -> pa.Table:
    with RejectLog(None) as rejects:
        return pa.Table.from_batches(list(sketch_log(Source(paths, format), KEYS, rejects)))


# Sketches


def test_one_wrong_bit_anywhere_in_sketches_is_an_error_or_changes_nothing(sketches: Path) -> None:
    whole, data = sketched(sketches), sketches.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    places = random.Random(3)
    body = [places.randrange(footer) for _ in range(250)]
    errors = []
    for place in [*body, *(places.randrange(footer, len(data)) for _ in range(250))]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << places.randrange(8)
        sketches.write_bytes(damaged)
        try:
            assert sketched(sketches).equals(whole), f"bit at {place}"
        except LogError as error:
            errors.append(str(error))
    assert len(errors) > 250
    assert all(str(sketches) in error for error in errors)


def test_sketches_and_a_log_are_not_read_together(sketches: Path, tmp_path: Path) -> None:
    lines = write_lines(small_log(), tmp_path / "more.jsonl")
    with pytest.raises(
        SketchError, match=r"more\.jsonl is no sketch.* Scan them apart, or sketch the log first"
    ):
        sketched(sketches, lines)
    with pytest.raises(LogError, match=r"sketches\.parquet holds sketches and no text"):
        sketched(lines, sketches)


def test_sketches_after_the_log_of_a_quiet_hour_are_read(sketches: Path, tmp_path: Path) -> None:
    (tmp_path / "quiet.jsonl").write_bytes(b"\n")
    assert sketched(tmp_path / "quiet.jsonl", sketches).num_rows == 60
    assert kind_of(tmp_path / "quiet.jsonl", sketches) == SKETCH


def test_sketches_of_nothing_are_an_empty_log(sketches: Path, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(sketches).slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(EmptyLogError, match=r"empty\.parquet holds no exchange"):
        sketched(tmp_path / "empty.parquet")


def test_sketches_that_fail_half_way_leave_no_file_that_looks_whole(tmp_path: Path) -> None:
    lines = write_lines(small_log(), tmp_path / "log.jsonl")
    lines.write_text(lines.read_text() + "{\n" * 30)
    with pytest.raises(LogError), RejectLog(None) as rejects:
        write_sketches(Source((lines,)), KEYS, tmp_path / "sketches.parquet", rejects)
    assert not (tmp_path / "sketches.parquet").exists()


def test_a_folder_in_place_of_the_sketches_is_named(log: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    said = fails("fingerprint", log, "--out", tmp_path / "out", "--key", key, folder=tmp_path)
    assert said.endswith("out: it is a folder; name a file in it with --out")


def test_a_file_in_place_of_the_folder_of_sketches_is_named(log: Path, key: Path, tmp_path: Path) -> None:
    said = fails("fingerprint", log, "--out", log / "sketches.parquet", "--key", key, folder=tmp_path)
    assert "choose another folder with --out" in said


def test_a_failed_sketching_keeps_what_was_there(key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "sketches.parquet").write_bytes(b"old")
    (out / "sketches.parquet.rejected.jsonl").write_bytes(b"{}\n")
    before = written(out)
    missing, sketches = tmp_path / "missing.parquet", out / "sketches.parquet"
    fails("fingerprint", missing, "--out", sketches, "--key", key, folder=tmp_path)
    assert written(out) == before
    assert sorted(path.name for path in out.iterdir()) == sorted(before)


# A log that would be written over


def test_a_log_is_not_written_over_by_its_sketches(log: Path, key: Path, tmp_path: Path) -> None:
    before = log.read_bytes()
    said = fails("fingerprint", log, "--out", log, "--key", key, folder=tmp_path)
    assert "would be written over; give another name with --out" in said
    assert log.read_bytes() == before


def test_a_log_is_not_written_over_by_its_result(key: Path, tmp_path: Path) -> None:
    log = write_parquet(small_log(), tmp_path / "accounts.parquet")
    before = log.read_bytes()
    said = fails("scan", tmp_path / "*.parquet", "--out", tmp_path, "--key", key, folder=tmp_path)
    assert "accounts.parquet is the log and would be written over" in said
    assert log.read_bytes() == before


# Files of a log


def test_a_file_that_was_never_filled_is_not_a_quiet_hour(log: Path, tmp_path: Path) -> None:
    for name in ("half.parquet", "half.jsonl.gz"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DamagedLogError, match=name):
            list(open_log([log, tmp_path / name], rejects=RejectLog(None)))
    (tmp_path / "quiet.jsonl.gz").write_bytes(gzip.compress(b""))
    assert sum(len(b) for b in open_log([log, tmp_path / "quiet.jsonl.gz"], rejects=RejectLog(None))) == 60


def test_a_link_that_leads_nowhere_is_named(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "day-1.parquet").symlink_to(log)
    assert [file.name for file in list_files([tmp_path / "logs"])] == ["day-1.parquet"]
    (tmp_path / "logs" / "day-2.parquet").symlink_to(tmp_path / "gone")
    for given in ("logs", "logs/*.parquet", "logs/day-2.parquet"):
        with pytest.raises(MissingLogError, match=r"day-2\.parquet"):
            list_files([tmp_path / given])


def test_linked_folders_are_read_and_their_circles_end(log: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_parquet(pq.read_table(log), tmp_path / "elsewhere" / "day-1.parquet")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "january").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "logs")
    assert [file.name for file in list_files([tmp_path / "logs"])] == ["day-1.parquet"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs" / "closed").mkdir(parents=True)
    write_parquet(pq.read_table(log), tmp_path / "logs" / "day-1.parquet")
    (tmp_path / "logs" / "closed").chmod(0)
    with pytest.raises(MissingLogError, match=r"closed cannot be opened"):
        list_files([tmp_path / "logs"])


def test_a_name_that_is_too_long_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MissingLogError, match="cannot be opened"):
        list_files([tmp_path / ("x" * 300)])


def test_a_format_that_is_named_is_not_guessed(tmp_path: Path) -> None:
    odd = {
        "account_id": "a",
        "request": {},
        **exchange(1, "a", "hello"),
        "started_at": "2026-02-01T10:00:00Z",
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(odd))
    with pytest.raises(LogError, match="known format"):
        sketched(tmp_path / "log.jsonl")
    assert sketched(tmp_path / "log.jsonl", format="native-jsonl").num_rows == 1


def test_a_log_of_other_records_says_how_many_it_holds(tmp_path: Path) -> None:
    record = {"id": "1", "call_type": "aembedding", "startTime": 1767600000.0, "model": "m", "messages": "x"}
    record |= {"response": {}, "metadata": {"user_api_key_hash": "k"}, "status": "success"}
    (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(EmptyLogError, match="holds no exchange but 1 records of other kinds"):
        list(open_log([tmp_path / "log.jsonl"], rejects=RejectLog(None), format="litellm"))


def test_a_table_with_a_torn_page_is_an_error_where_it_has_checksums(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(
        small_log(),
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=False,
    )
    data = bytearray(path.read_bytes())
    data[data.index(b"Grade the answer")] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedLogError, match=r"log\.parquet"):
        list(open_log([path], rejects=RejectLog(None)))


def test_a_text_that_is_no_unicode_costs_its_record(tmp_path: Path) -> None:
    log = small_log()
    ids = pa.array([b"\xff" if number == 7 else b"a%d" % (number % 5) for number in range(60)], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 60, ids.buffers())
    place = EXCHANGE_SCHEMA.get_field_index("account_id")
    path = write_parquet(
        log.set_column(place, EXCHANGE_SCHEMA.field(place), broken), tmp_path / "log.parquet"
    )
    with RejectLog(None, limit=0.1) as rejects:
        batches = list(sketch_log(Source((path,)), KEYS, rejects))
    assert sum(batch.num_rows for batch in batches) == 59
    assert rejects.rejected == 1


# Options


@pytest.mark.parametrize("option", ["--prior", "--reject-share"])
def test_a_number_that_is_none_is_refused(option: str, log: Path, key: Path, tmp_path: Path) -> None:
    found = run("scan", log, "--out", tmp_path / "out", "--key", key, option, "nan", folder=tmp_path)
    assert found.returncode == 2
    assert "Invalid value for" in found.stderr
    assert option in found.stderr
    assert not (tmp_path / "out").exists()


def test_a_size_that_is_none_is_refused(log: Path, key: Path, tmp_path: Path) -> None:
    arguments = ("--out", tmp_path / "out", "--key", key, "--memory", "plenty")
    said = fails("scan", log, *arguments, folder=tmp_path)
    assert "'plenty' is no amount of memory; give one such as 2GB with --memory" in said
    assert not (tmp_path / "out").exists()


def test_a_key_file_that_is_too_short_is_named(log: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"")
    with pytest.raises(KeyFileError, match=r"key: the local key holds 0 bytes"):
        load(tmp_path / "key")
    said = fails("scan", log, "--out", tmp_path / "out", "--key", tmp_path / "key", folder=tmp_path)
    assert "remove the file to have a new key made" in said


def test_a_folder_in_place_of_the_key_file_is_named(log: Path, tmp_path: Path) -> None:
    said = fails("scan", log, "--out", tmp_path / "out", "--key", tmp_path, folder=tmp_path)
    assert f"cannot read the key file {tmp_path}" in said


# Simulation


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, data in (("missing.toml", None), ("latin.toml", b"\xff"), ("odd.toml", b"innocent = 5\n")):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        recipe = tmp_path / name
        assert name in fails("simulate", "--out", tmp_path / "out", "--recipe", recipe, folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_prompts_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "hello"}\n' * 50)[:-9])
    for name in ("missing.txt", "cut.jsonl.gz"):
        arguments = ("--out", tmp_path / "out", "--preset", "tiny", "--prompts", tmp_path / name)
        assert name in fails("simulate", *arguments, folder=tmp_path)


def test_a_file_in_place_of_the_folder_of_a_simulation_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    said = fails("simulate", "--out", tmp_path / "out", "--preset", "tiny", folder=tmp_path)
    assert "out: File exists; choose another folder with --out" in said


def test_a_simulation_that_cannot_be_written_leaves_no_half(tmp_path: Path) -> None:
    before = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    said = fails("simulate", "--out", tmp_path / "out", "--preset", "tiny", folder=tmp_path, before=before)
    assert "cannot write the log into" in said
    assert not (tmp_path / "out").exists()
