"""Days that are scanned one after the other with a state give what one scan of all of them gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stillwatch import state
from stillwatch.arena import PRESETS, simulate
from stillwatch.cli import app
from stillwatch.examine import Options
from stillwatch.findings import Result
from stillwatch.keys import Keys
from stillwatch.rejects import EmptyLogError, TooManyRejectsError
from stillwatch.scan import scan
from stillwatch.sketching import Source
from stillwatch.state import State, StateError
from tests.scans import TEST_KEY, command, environment, scan_files, write_lines, written

QUIET = Options(sketch_only=True)
"""Examples are read from the text of the last log alone; without them all of the result is the same."""
DAY_US = 86_400_000_000


def take(log: Path, folder: Path, options: Options = QUIET, key: bytes = TEST_KEY) -> Result:
    """Scan a log with the state of a folder, and the result beside it."""
    return scan(Source((log,)), folder / "result", Keys(local=key), options, kept=folder / "state")


def cut(log: Path, folder: Path) -> list[Path]:
    """A log of two weeks as four files, called days."""
    folder.mkdir(exist_ok=True)
    table = pq.read_table(log)
    day = table["started_at"].cast(pa.int64()).to_numpy() // (4 * DAY_US)
    files = []
    for number in np.unique(day).tolist():
        files.append(folder / f"day-{number}.parquet")
        pq.write_table(table.filter(pa.array(day == number)), files[-1])
    return files


def unlike(one: Path, other: Path) -> set[str]:
    """Files of two results of which the bytes are not the same."""
    first, second = (
        {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in (one, other)
    )
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(PRESETS["tiny"], tmp_path_factory.mktemp("tiny")).exchanges_path


@pytest.fixture(scope="module")
def days(log: Path) -> list[Path]:
    return cut(log, log.parent / "days")


@pytest.fixture(scope="module")
def whole(days: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scan of all days."""
    out = tmp_path_factory.mktemp("whole") / "result"
    scan_files(days, out, QUIET)
    return out


@pytest.fixture(scope="module")
def kept(days: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state of all days, and the result of the last one."""
    folder = tmp_path_factory.mktemp("kept")
    for day in days:
        take(day, folder)
    return folder


@pytest.fixture
def two(kept: Path, days: list[Path], tmp_path: Path) -> Path:
    """A folder with the state of two days."""
    for day in days[:2]:
        take(day, tmp_path)
    return tmp_path


def test_days_one_after_the_other_give_the_bytes_of_one_scan_of_them_all(kept: Path, whole: Path) -> None:
    assert len(pq.read_table(whole / "matches.parquet")) > 0
    assert unlike(kept / "result", whole) == set()


def test_every_day_has_the_result_of_a_scan_of_the_days_so_far(days: list[Path], tmp_path: Path) -> None:
    for number, day in enumerate(days[:3], start=1):
        take(day, tmp_path)
        scan_files(days[:number], tmp_path / f"whole-{number}", QUIET)
        assert unlike(tmp_path / "result", tmp_path / f"whole-{number}") == set()


def test_days_that_were_taken_in_without_a_look_are_in_the_result_of_a_later_one(
    days: list[Path], whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(TEST_KEY)
    kept = ["--state", str(tmp_path / "state"), "--key", str(tmp_path / "key"), "--sketch-only"]
    rows = 0
    for day in days[:-1]:
        told = CliRunner().invoke(app, ["scan", str(day), *kept])
        assert told.exit_code == 0, told.output
        read = pq.ParquetFile(day).metadata.num_rows
        rows += read
        assert f"{read:,} exchanges were taken in; {tmp_path / 'state'} holds {rows:,}" in told.output
    assert not list((tmp_path / "state").glob("presence-*")), "nobody looked"
    told = CliRunner().invoke(app, ["scan", str(days[-1]), *kept, "--out", str(tmp_path / "result")])
    assert told.exit_code == 0, told.output
    assert unlike(tmp_path / "result", whole) == set()
    told = CliRunner().invoke(app, ["scan", str(days[-1]), "--key", str(tmp_path / "key")])
    assert told.exit_code == 2
    assert "name a folder for the result, or one with --state" in told.output


@pytest.mark.slow
def test_only_the_examples_are_of_the_last_day_alone(days: list[Path], tmp_path: Path) -> None:
    for day in days:
        take(day, tmp_path, Options())
    scan_files(days, tmp_path / "whole", Options())
    assert unlike(tmp_path / "result", tmp_path / "whole") == {"campaigns.json", "report.html"}
    found, expected = (
        json.loads((tmp_path / name / "campaigns.json").read_text()) for name in ("result", "whole")
    )
    last = set(pq.read_table(days[-1], columns=["exchange_id"])["exchange_id"].to_pylist())
    examples = [turn["exchange_id"] for campaign in found for turn in campaign.pop("exemplars")]
    assert examples
    assert set(examples) <= last
    assert any(campaign.pop("exemplars") for campaign in expected)
    assert found == expected


@pytest.mark.slow
def test_days_in_another_order_and_rows_that_come_late_give_the_result_of_that_log(
    log: Path, tmp_path: Path
) -> None:
    table = pq.read_table(log)
    rng = np.random.default_rng(5)
    day = table["started_at"].cast(pa.int64()).to_numpy() // (4 * DAY_US)
    arrived = day + np.where(rng.random(len(day)) < 0.1, rng.integers(1, 3, len(day)), 0)
    numbers = np.unique(arrived)
    files = []
    for number in rng.permutation(numbers).tolist():
        files.append(tmp_path / f"day-{number}.parquet")
        pq.write_table(table.filter(pa.array(arrived == number)), files[-1])
    for file in files:
        take(file, tmp_path)
    scan_files(files, tmp_path / "whole", QUIET)
    assert unlike(tmp_path / "result", tmp_path / "whole") == set()


def test_lines_that_cannot_be_read_add_up(log: Path, tmp_path: Path) -> None:
    table = pq.read_table(log).slice(0, 600)
    files = []
    for number in range(3):
        files.append(write_lines(table.slice(200 * number, 200), tmp_path / f"{number}.jsonl"))
        with files[-1].open("ab") as lines:
            lines.write(b"not JSON\n" * number + b'{"exchange_id": "x"}\n')
    options = replace(QUIET, reject_share=0.05)
    for file in files:
        result = take(file, tmp_path, options)
    assert result.overview["log"]["rejected"] == 6
    scan_files(files, tmp_path / "whole", options)
    assert unlike(tmp_path / "result", tmp_path / "whole") == set()
    assert len((tmp_path / "result" / "rejected.jsonl").read_bytes().splitlines()) == 6


def test_a_day_that_was_taken_in_before_counts_once_whatever_its_name(
    two: Path, days: list[Path], tmp_path: Path
) -> None:
    before, result = written(two / "state"), written(two / "result")
    copy = shutil.copy(days[1], tmp_path / "another name.parquet")
    for again in (days[1], Path(copy), days[0]):
        assert take(again, two).taken is not None
        assert written(two / "state") == before
        assert written(two / "result") == result
    (two / "key").write_bytes(TEST_KEY)
    told = CliRunner().invoke(
        app,
        [
            "scan",
            str(days[0]),
            "--out",
            str(two / "result"),
            "--state",
            str(two / "state"),
            "--key",
            str(two / "key"),
        ],
    )
    assert told.exit_code == 0, told.output
    assert "1 of the 1 files of the log had been taken in before" in told.output


def test_a_file_that_comes_twice_in_one_run_counts_once(days: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for day in days[:2]:
        shutil.copy(day, folder)
    shutil.copy(days[0], folder / "z.parquet")
    taken = take(folder, tmp_path).taken
    assert taken is not None
    assert (taken.files, taken.before) == (3, 1)
    scan_files(days[:2], tmp_path / "whole", QUIET)
    assert unlike(tmp_path / "result", tmp_path / "whole") == set()


@pytest.mark.parametrize("first", [True, False])
def test_accounts_are_named_alike_in_all_that_a_state_holds(
    first: bool, days: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "names.csv"
    table.write_text("key,account_id\na-1,one\n")

    def named(day: Path, identities: Path | None) -> Result:
        source = Source((day,), identities=identities)
        return scan(source, tmp_path / "result", Keys(local=TEST_KEY), QUIET, kept=tmp_path / "state")

    named(days[0], table if first else None)
    before = written(tmp_path / "state")
    with pytest.raises(StateError, match="one customer would count as two"):
        named(days[1], None if first else table)
    assert written(tmp_path / "state") == before
    if first:
        table.write_text("key,account_id\na-1,one\na-2,two\n")
        notices = named(days[1], table).overview["notices"]
        assert sum("what the state holds was read with 2 different tables" in one for one in notices) == 1


def test_a_state_of_before_the_names_were_kept_is_gone_on_with(days: list[Path], tmp_path: Path) -> None:
    take(days[0], tmp_path)
    manifest = tmp_path / "state" / "state.json"
    told = json.loads(manifest.read_bytes())
    del told["increments"][0]["identities"]
    manifest.write_text(json.dumps(told))
    table = tmp_path / "names.csv"
    table.write_text("key,account_id\na-1,one\n")
    source = Source((days[1],), identities=table)
    scan(source, tmp_path / "result", Keys(local=TEST_KEY), QUIET, kept=tmp_path / "state")


def test_of_a_folder_that_grows_the_new_files_are_taken_in(
    days: list[Path], whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for day in days:
        shutil.copy(day, folder)
        (folder / "empty.jsonl").touch()
        taken = take(folder, tmp_path).taken
        assert taken is not None
        assert taken.files - taken.before == 2, "this day, and an empty file that says nothing"
    assert unlike(tmp_path / "result", whole) == set()


def test_a_day_without_exchanges_is_an_error_and_changes_nothing(two: Path, tmp_path: Path) -> None:
    before = written(two / "state")
    empty = tmp_path / "empty.jsonl"
    for data in (b"", b"\n\n"):
        empty.write_bytes(data)
        with pytest.raises(EmptyLogError, match="holds no exchange"):
            take(empty, two)
    assert written(two / "state") == before
    assert not list((two / "state").glob(".stillwatch-*"))


def test_a_day_of_rubbish_is_refused_and_its_records_are_listed(two: Path, tmp_path: Path) -> None:
    before = written(two / "state")
    (tmp_path / "bad.jsonl").write_bytes(b'{"exchange_id": "x", "messages": 1}\n' * 50)
    with pytest.raises(TooManyRejectsError):
        scan(
            Source((tmp_path / "bad.jsonl",), format="native-jsonl"),
            two / "result",
            Keys(local=TEST_KEY),
            QUIET,
            kept=two / "state",
        )
    assert written(two / "state") == before
    assert len((two / "result" / "rejected.jsonl").read_bytes().splitlines()) == 50


def test_the_rule_and_the_bar_may_change_from_run_to_run(days: list[Path], tmp_path: Path) -> None:
    options = replace(QUIET, rule=replace(QUIET.rule, least_principals=5))
    for day in days[:2]:
        take(day, tmp_path)
    take(days[2], tmp_path, options)
    scan_files(days[:3], tmp_path / "whole", options)
    assert unlike(tmp_path / "result", tmp_path / "whole") == set()


def test_bitmaps_that_grow_with_the_state_change_nothing(
    days: list[Path], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def slots(memory: int, log_bytes: int) -> int:
        sizes.append(1 << 14 if log_bytes < 1_000_000 else 1 << 18)
        return sizes[-1]

    monkeypatch.setattr(state, "presence_slots", slots)
    for day in days:
        take(day, tmp_path)
    assert len(set(sizes)) == 2
    assert unlike(tmp_path / "result", whole) == set()


def test_another_key_is_refused_and_named(two: Path, days: list[Path]) -> None:
    other = b"another key, which is long enough"
    names = rf"{Keys(local=TEST_KEY).name}, this run has {Keys(local=other).name}"
    with pytest.raises(StateError, match=rf"was made with another key \({names}\): give that one with --key"):
        take(days[2], two, key=other)
    with pytest.raises(StateError, match=r"another circle key \(none, this run has .*--circle-key"):
        State(two / "state", Keys(TEST_KEY, b"the key of a whole circle"), 8, "1GB")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 99}, r"of version 99 of a state, and this release writes 1: go on with the release"),
        ({"sketch": 2}, r"another version of sketches \(2, this run has 3\): go on with the release that"),
        ({"objective": "0"}, r"another objective model \(0, this run has .*\): go on with the release that"),
    ],
)
def test_a_state_of_another_release_is_refused(
    change: dict[str, object], said: str, two: Path, days: list[Path]
) -> None:
    file = two / "state" / "state.json"
    found = json.loads(file.read_text())
    (found if "version" in change else found["bound"]).update(change)
    file.write_text(json.dumps(found))
    before = written(two / "state")
    with pytest.raises(StateError, match=said):
        take(days[2], two)
    assert written(two / "state") == before


@pytest.mark.parametrize("name", ["increment-000001/sketches.arrow", "presence-000002"])
def test_a_file_that_is_not_what_was_written_is_refused(name: str, two: Path, days: list[Path]) -> None:
    file = two / "state" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(StateError, match=rf"{name} is not what was written.*restore .* from a copy"):
        take(days[2], two)
    file.write_bytes(data[:-100])
    with pytest.raises(StateError, match=rf"{name} is not what was written"):
        take(days[2], two)
    file.unlink()
    with pytest.raises(StateError, match=rf"{name} is gone"):
        take(days[2], two)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 1}', b"\xff\xfe"])
def test_a_damaged_manifest_is_refused(data: bytes, two: Path, days: list[Path]) -> None:
    (two / "state" / "state.json").write_bytes(data)
    with pytest.raises(StateError, match=r"state\.json is damaged; restore"):
        take(days[2], two)
    assert (two / "state" / "increment-000002").is_dir(), "nothing is tidied away on the word of such a file"


def test_a_folder_that_is_no_state_is_left_alone(days: list[Path], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.tex").write_text("mine")
    with pytest.raises(StateError, match=r"holds other files and no state\.json: it is no state"):
        take(days[0], tmp_path)
    assert written(tmp_path / "state") == {"thesis.tex": b"mine"}
    with pytest.raises(StateError, match="is the folder of the result"):
        scan(Source((days[0],)), tmp_path / "out", Keys(local=TEST_KEY), QUIET, kept=tmp_path / "out")


def test_two_processes_on_one_state_are_one_too_many(two: Path, days: list[Path]) -> None:
    (two / "key").write_bytes(TEST_KEY)
    with State(two / "state", Keys(local=TEST_KEY), 8, "1GB"):
        found = subprocess.run(
            command("scan", days[2], "--out", two / "result", "--state", two / "state", "--key", two / "key"),
            env=environment(two), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert found.returncode == 2
    assert f"another process works on {two / 'state'}; wait until it has ended" in found.stderr
    take(days[2], two)
