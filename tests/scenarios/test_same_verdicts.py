"""One log, one result: whatever the key, the order of rows, the cut into files, the format, or the sketching."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.examine import Options
from stillwatch.findings import Result
from stillwatch.keys import Keys
from stillwatch.rejects import RejectLog
from stillwatch.sketching import SketchError, Source, write_sketches
from tests.scans import (
    TEST_KEY,
    operated,
    scan_files,
    verdicts,
    write_lines,
    write_parquet,
    written,
)


@pytest.fixture(scope="module")
def log() -> pa.Table:
    """A campaign of two objectives among innocents of all kinds, end users of a reseller's key too."""
    return generate(RECIPE)[0]


RECIPE = Recipe(
    seed=9601,
    innocents=500,
    exchanges=9_000,
    operators=(
        Operator(
            name="one", accounts=50, camouflage=0.6, objectives=("elicited_reasoning", "rubric_grading")
        ),
        Operator(name="two", accounts=30, camouflage=0.5, venue="reseller", objectives=("maths_drill",)),
    ),
)


@pytest.fixture(scope="module")
def home(log: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log and its result."""
    folder = tmp_path_factory.mktemp("same")
    scan_files([write_parquet(log, folder / "log.parquet")], folder / "result")
    return folder


@pytest.fixture(scope="module")
def expected(home: Path) -> dict[str, bytes]:
    return written(home / "result")


def of_accounts(folder: Path) -> list[dict[str, object]]:
    """Everything that is said of accounts but the names of campaigns, which depend on the key."""
    rows: list[dict[str, object]] = pq.read_table(folder / "accounts.parquet").to_pylist()
    return [{name: value for name, value in row.items() if name != "campaign_id"} for row in rows]


def test_the_log_has_what_these_tests_are_about(home: Path, log: pa.Table) -> None:
    table = pq.read_table(home / "result" / "accounts.parquet")
    assert {"extraction", "none"} <= set(table["verdict"].to_pylist())
    assert table["end_user_id"].null_count < table.num_rows
    assert pq.read_table(home / "result" / "matches.parquet").num_rows > 500


def test_again_it_is_the_same_bytes(home: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    scan_files([home / "log.parquet"], tmp_path / "result")
    assert written(tmp_path / "result") == expected


def test_into_a_folder_with_an_older_result_it_is_the_same_bytes(
    home: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    older = generate(Recipe(seed=9602, innocents=60, exchanges=600))[0]
    scan_files([write_parquet(older, tmp_path / "older.parquet")], tmp_path / "result")
    scan_files([home / "log.parquet"], tmp_path / "result")
    assert written(tmp_path / "result") == expected


def test_sketches_give_the_same_verdicts(home: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    with RejectLog(None) as rejects:
        write_sketches(
            Source((home / "log.parquet",)), Keys(TEST_KEY), tmp_path / "sketches.parquet", rejects
        )
    result = scan_files([tmp_path / "sketches.parquet"], tmp_path / "result")
    found = written(tmp_path / "result")
    for name in ("accounts.parquet", "families.parquet", "matches.parquet"):
        assert found[name] == expected[name], name
    assert all(campaign["exemplars"] == [] for campaign in result.campaigns)


def test_sketches_of_several_files_give_the_same_verdicts(
    log: pa.Table, expected: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "sketches").mkdir()
    for number, part in enumerate(parts_of(log, [0.3, 0.35])):
        path = write_parquet(part, tmp_path / f"part-{number}.parquet")
        with RejectLog(None) as rejects:
            write_sketches(Source((path,)), Keys(TEST_KEY), tmp_path / "sketches" / path.name, rejects)
    scan_files([tmp_path / "sketches"], tmp_path / "result")
    assert written(tmp_path / "result")["accounts.parquet"] == expected["accounts.parquet"]


def test_sketches_of_another_key_are_refused(home: Path, tmp_path: Path) -> None:
    with RejectLog(None) as rejects:
        path = tmp_path / "sketches.parquet"
        write_sketches(Source((home / "log.parquet",)), Keys(b"quite another key"), path, rejects)
    with pytest.raises(SketchError, match="another key"):
        scan_files([path], tmp_path / "result")


def parts_of(log: pa.Table, shares: list[float]) -> list[pa.Table]:
    """The log in consecutive parts; ``shares`` are those of all but the last."""
    cuts = [0, *(int(log.num_rows * share) for share in np.cumsum(shares)), log.num_rows]
    return [log.slice(first, last - first) for first, last in pairwise(cuts)]


def shuffled(log: pa.Table, seed: int) -> pa.Table:
    return log.take(pa.array(np.random.default_rng(seed).permutation(log.num_rows)))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_does_not_matter(
    log: pa.Table, expected: dict[str, bytes], seed: int, tmp_path: Path
) -> None:
    scan_files([write_parquet(shuffled(log, seed), tmp_path / "log.parquet")], tmp_path / "result")
    assert written(tmp_path / "result") == expected


def test_the_cut_into_files_does_not_matter(
    log: pa.Table, expected: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    parts = parts_of(shuffled(log, 3), [0.5, 0.01, 0.2])
    for number, part in enumerate(parts):
        # The last come first.
        write_parquet(part, tmp_path / "log" / f"part-{len(parts) - number}.parquet")
    scan_files([tmp_path / "log"], tmp_path / "result")
    found = written(tmp_path / "result")
    for name in ("accounts.parquet", "families.parquet", "matches.parquet", "campaigns.json"):
        assert found[name] == expected[name], name


def test_json_lines_give_the_same_accounts(log: pa.Table, expected: dict[str, bytes], tmp_path: Path) -> None:
    scan_files([write_lines(log, tmp_path / "log.jsonl.gz")], tmp_path / "result")
    found = written(tmp_path / "result")
    for name in ("accounts.parquet", "families.parquet", "matches.parquet", "campaigns.json"):
        assert found[name] == expected[name], name


@pytest.mark.parametrize("number", range(5))
def test_another_key_accuses_the_same(number: int, home: Path, tmp_path: Path) -> None:
    result = with_key(number, home, tmp_path)
    assert _accusations(verdicts(result)) == _accusations(verdicts_of(home))


def test_another_key_gives_the_same_verdicts_on_everybody(home: Path, tmp_path: Path) -> None:
    assert all(verdicts(with_key(number, home, tmp_path)) == verdicts_of(home) for number in range(5))


def _accusations(found: Any) -> set[Any]:
    """Who is accused. Which innocent cause an everyday phrase gets does differ with the key: winnowing keeps others."""
    return {name for name, verdict in found.items() if verdict == "extraction"}


@pytest.mark.slow
def test_twenty_keys_accuse_the_same(tmp_path: Path) -> None:
    operator = Operator(accounts=40, camouflage=0.5)
    log, truth = generate(Recipe(seed=9603, text="b", innocents=300, exchanges=5_000, operators=(operator,)))
    write_parquet(log, tmp_path / "log.parquet")
    found = [verdicts(with_key(number, tmp_path, tmp_path)) for number in range(20)]
    assert [_accusations(one) for one in found] == [_accusations(found[0])] * 20
    assert {name for name, verdict in found[0].items() if verdict == "extraction"} == operated(truth)[
        "operator-1"
    ]


def with_key(number: int, home: Path, folder: Path) -> Result:
    return scan_files(
        [home / "log.parquet"], folder / f"key-{number}", Options(), b"key number %04d" % number + bytes(16)
    )


def verdicts_of(home: Path) -> dict[tuple[str, str | None], str]:
    rows = pq.read_table(home / "result" / "accounts.parquet").to_pylist()
    return {(row["account_id"], row["end_user_id"]): row["verdict"] for row in rows}
