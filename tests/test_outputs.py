"""What a scan writes: the contract that outside tools rely on, and that all files tell one story."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.examine import Options
from stillwatch.outputs import ACCOUNTS, FAMILIES, MATCHES, OutputError, staged
from stillwatch.registry import Licence, Registry
from stillwatch.report.page import render
from stillwatch.report.pictures import pictures
from stillwatch.verdict import Verdict
from tests.conftest import exchange
from tests.scans import WRITTEN, members, scan_files, to_log, write_parquet, written

VERDICTS = {str(verdict) for verdict in Verdict}
SHOWN = {"extraction", "undetermined"}


class Read:
    """A log, and the result of its scan as read back from the files alone."""

    def __init__(self, log: pa.Table, folder: Path) -> None:
        self.log = log
        self.folder = folder
        self.accounts: list[dict[str, Any]] = pq.read_table(folder / "accounts.parquet").to_pylist()
        self.families: list[dict[str, Any]] = pq.read_table(folder / "families.parquet").to_pylist()
        self.matches: list[dict[str, Any]] = pq.read_table(folder / "matches.parquet").to_pylist()
        self.campaigns: list[dict[str, Any]] = json.loads((folder / "campaigns.json").read_text())
        self.overview: dict[str, Any] = json.loads((folder / "overview.json").read_text())
        self.page = (folder / "report.html").read_text(encoding="utf-8")

    def of(self, verdict: str) -> set[tuple[str, str | None]]:
        return {(row["account_id"], row["end_user_id"]) for row in self.accounts if row["verdict"] == verdict}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Two campaigns, one of them through a reseller's key, and a licensed firm, among innocents of all kinds."""
    operators = (
        Operator(
            name="one", accounts=50, camouflage=0.6, objectives=("elicited_reasoning", "rubric_grading")
        ),
        Operator(name="two", accounts=40, camouflage=0.4, venue="reseller", objectives=("maths_drill",)),
    )
    folder = tmp_path_factory.mktemp("outputs")
    log, truth = generate(Recipe(seed=9701, innocents=500, exchanges=9_000, operators=operators))
    firm = truth.filter(pc.equal(truth["population"], "integrator"))["account_id"][0].as_py()
    options = Options(registry=Registry((Licence(None, frozenset({firm}), (), None, None),)))
    scan_files([write_parquet(log, folder / "log.parquet")], folder / "result", options)
    return Read(log, folder / "result")


def test_all_files_are_there_and_nothing_is_left_over(read: Read) -> None:
    found = {path.name for path in read.folder.iterdir()}
    assert set(WRITTEN) <= found
    assert found - set(WRITTEN) <= {"overview.json", "pictures", "rejected.jsonl", "templates.parquet"}


@pytest.mark.parametrize(
    ("name", "schema"),
    [("accounts.parquet", ACCOUNTS), ("families.parquet", FAMILIES), ("matches.parquet", MATCHES)],
)
def test_tables_have_their_schema(read: Read, name: str, schema: pa.Schema) -> None:
    assert pq.read_schema(read.folder / name).equals(schema)


def test_the_schema_of_accounts_is_the_one_that_was_promised() -> None:
    times = pa.timestamp("us", tz="UTC")
    assert list(zip(ACCOUNTS.names, ACCOUNTS.types, strict=True)) == [
        ("account_id", pa.string()), ("end_user_id", pa.string()), ("verdict", pa.string()),
        ("campaign_id", pa.string()), ("probability", pa.float64()), ("evidence_bits", pa.float64()),
        ("exchanges", pa.int64()), ("extraction_exchanges", pa.int64()),
        ("first_seen", times), ("last_seen", times), ("reasons", pa.list_(pa.string())),
    ]  # fmt: skip
    assert MATCHES.names == ["exchange_id", "family_id", "campaign_id"]


def test_there_is_one_row_an_account_in_order_of_id(read: Read) -> None:
    own = [row["account_id"] for row in read.accounts if row["end_user_id"] is None]
    assert own == sorted(set(read.log["account_id"].to_pylist()))


def test_rows_are_in_order_of_account_then_end_user(read: Read) -> None:
    names = [(row["account_id"], row["end_user_id"]) for row in read.accounts]
    assert names == sorted(names, key=lambda name: (name[0], name[1] is not None, name[1] or ""))
    assert len(set(names)) == len(names)


def test_end_users_have_a_row_only_with_a_verdict(read: Read) -> None:
    users = [row for row in read.accounts if row["end_user_id"] is not None]
    assert users
    assert all(row["verdict"] != "none" for row in users)
    pairs = set(zip(read.log["account_id"].to_pylist(), read.log["end_user_id"].to_pylist(), strict=True))
    assert {(row["account_id"], row["end_user_id"]) for row in users} <= pairs


def test_every_value_is_within_its_range(read: Read) -> None:
    for row in read.accounts:
        assert row["verdict"] in VERDICTS
        assert 0.0 <= row["probability"] <= 1.0
        assert 0 <= row["extraction_exchanges"] <= row["exchanges"]
        assert row["first_seen"] <= row["last_seen"]
        assert (row["verdict"] == "none") == (row["reasons"] == [])
        assert (row["extraction_exchanges"] > 0) == (row["verdict"] == "extraction")
    assert {row["verdict"] for row in read.accounts} >= {"extraction", "licensed", "none"}


def test_counts_and_times_of_accounts_are_those_of_the_log(read: Read) -> None:
    grouped = read.log.group_by("account_id").aggregate(
        [("exchange_id", "count"), ("started_at", "min"), ("started_at", "max")]
    )
    expected = {row["account_id"]: row for row in grouped.to_pylist()}
    for row in read.accounts:
        if row["end_user_id"] is None:
            own = expected[row["account_id"]]
            assert row["exchanges"] == own["exchange_id_count"]
            assert (row["first_seen"], row["last_seen"]) == (own["started_at_min"], own["started_at_max"])
    assert sum(row["exchanges"] for row in read.accounts if row["end_user_id"] is None) == read.log.num_rows


def test_both_campaigns_are_there(read: Read) -> None:
    """Otherwise the tests below would hold of nothing."""
    found = [campaign for campaign in read.campaigns if campaign["verdict"] == "extraction"]
    assert len(found) == 2
    assert len({user is None for campaign in found for _, user in members(campaign)}) == 2


def test_every_campaign_id_is_of_a_campaign_with_that_verdict(read: Read) -> None:
    verdict_of = {campaign["campaign_id"]: campaign["verdict"] for campaign in read.campaigns}
    assert len(verdict_of) == len(read.campaigns)
    for row in [*read.accounts, *read.families]:
        assert (row["campaign_id"] is not None) == (row["verdict"] in SHOWN)
        if row["campaign_id"] is not None:
            assert verdict_of[row["campaign_id"]] == row["verdict"]


def test_whoever_is_accused_is_in_the_campaign_and_the_reverse(read: Read) -> None:
    users_of = Counter(row["account_id"] for row in read.accounts if row["end_user_id"] is not None)
    for campaign in read.campaigns:
        named = {
            (row["account_id"], row["end_user_id"])
            for row in read.accounts
            if row["campaign_id"] == campaign["campaign_id"]
            # The row of a key stands for its users, who are listed.
            and not (row["end_user_id"] is None and users_of[row["account_id"]])
        }
        if campaign["verdict"] == "extraction":
            assert members(campaign) == named
        else:  # who is accused elsewhere is not shown as undetermined here
            assert named <= members(campaign)
            assert members(campaign) - named <= read.of("extraction") | read.of("undetermined")


def test_counts_of_a_campaign_agree(read: Read) -> None:
    rows = {(row["account_id"], row["end_user_id"]): row for row in read.accounts}
    families = {row["family_id"]: row for row in read.families}
    for campaign in read.campaigns:
        listed = campaign["principals"]
        assert campaign["principals_cut"] == 0
        assert campaign["scale"]["principals"] == len(listed)
        assert campaign["scale"]["accounts"] == len({row["account_id"] for row in listed})
        assert (
            sum(model["exchanges"] for model in campaign["scale"]["models"]) == campaign["scale"]["exchanges"]
        )
        assert (
            sum(sum(line["counts"]) for line in campaign["timeline"]["series"])
            == campaign["scale"]["exchanges"]
        )
        for family in campaign["families"]:
            assert families[family["family_id"]]["campaign_id"] == campaign["campaign_id"]
        assert Counter(row["campaign_id"] for row in read.families)[campaign["campaign_id"]] == len(
            campaign["families"]
        )
        if campaign["verdict"] == "extraction":
            for principal in listed:
                row = rows[principal["account_id"], principal["end_user_id"]]
                assert row["exchanges"] == principal["exchanges"]
                assert row["extraction_exchanges"] == principal["extraction_exchanges"]
                assert row["probability"] == pytest.approx(campaign["probability"])


def test_evidence_adds_up(read: Read) -> None:
    for campaign in read.campaigns:
        assert sum(item["bits"] for item in campaign["evidence"]) == pytest.approx(campaign["evidence_bits"])


def test_the_overview_counts_what_is_there(read: Read) -> None:
    log = read.overview["log"]
    pairs = set(zip(read.log["account_id"].to_pylist(), read.log["end_user_id"].to_pylist(), strict=True))
    assert log["exchanges"] == read.log.num_rows
    assert log["accounts"] == len(pc.unique(read.log["account_id"]))
    assert log["principals"] == len(pairs)
    assert read.overview["families"]["total"] == len(read.families)
    assert read.overview["families"]["by_verdict"] == Counter(row["verdict"] for row in read.families)
    assert read.overview["accounts_by_verdict"] == Counter(
        row["verdict"] for row in read.accounts if row["end_user_id"] is None
    )


def test_matches_are_exchanges_of_extraction_campaigns_by_their_principals(read: Read) -> None:
    assert read.matches
    accused = {row["campaign_id"]: row for row in read.campaigns if row["verdict"] == "extraction"}
    families = {row["family_id"]: row["campaign_id"] for row in read.families}
    columns = (read.log[name].to_pylist() for name in ("exchange_id", "account_id", "end_user_id"))
    sender = {name: (account, user) for name, account, user in zip(*columns, strict=True)}
    for row in read.matches:
        assert families[row["family_id"]] == row["campaign_id"]
        assert sender[row["exchange_id"]] in members(accused[row["campaign_id"]])
    ids = [(row["exchange_id"], row["campaign_id"]) for row in read.matches]
    assert ids == sorted(set(ids))
    assert {row["campaign_id"] for row in read.matches} == set(accused)


def test_json_is_strict(read: Read) -> None:
    def refuse(value: str) -> None:
        raise AssertionError(value)

    for name in ("campaigns.json", "overview.json"):
        text = (read.folder / name).read_text(encoding="utf-8")
        json.loads(text, parse_constant=refuse)
        assert text.endswith("\n")


class References(HTMLParser):
    """What a browser would load for a page, where its links go, and its policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if held.get("http-equiv") == "Content-Security-Policy":
            self.policy = held["content"] or ""
        places = [held[name] or "" for name in ("src", "srcset", "data", "poster", "action") if name in held]
        self.loaded += places + ([held["href"] or ""] if tag == "link" else [])
        self.links += [held["href"] or ""] if tag == "a" else []


def test_the_report_is_one_file_that_asks_for_nothing(read: Read) -> None:
    references = References(read.page)
    assert all(place.startswith("data:") for place in references.loaded)
    files = {path.name for path in read.folder.iterdir()}
    assert all(place.startswith("#") or place in files for place in references.links)
    assert "default-src 'none'" in references.policy
    assert not re.search(r"url\((?!['\"]?data:)|@import", read.page)


def test_the_report_names_every_campaign_and_shows_no_filling(read: Read) -> None:
    for campaign in read.campaigns:
        assert campaign["campaign_id"] in read.page
    for campaign in read.campaigns:
        masked = [run for turn in campaign["exemplars"] for run in turn["spans"] if not run["shared"]]
        assert all(re.fullmatch(r" ?▇▇▇( \(\d+ words?\) )?", run["text"]) for run in masked)
    assert any(campaign["exemplars"] for campaign in read.campaigns)


def test_what_else_lies_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    log = write_parquet(to_log([exchange(1, "one", "how do I boil an egg")]), tmp_path / "log.parquet")
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "notes.txt").write_text("mine")
    scan_files([log], tmp_path / "result")
    assert (tmp_path / "result" / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail() -> None:
        with staged(tmp_path) as stage:
            (stage / "a.txt").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert written(tmp_path) == {"a.txt": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_cannot_be_moved_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "b.txt").mkdir()

    def write() -> None:
        with staged(tmp_path) as stage:
            for name in ("a.txt", "b.txt"):
                (stage / name).write_text("new")

    with pytest.raises(OutputError, match="as it was"):
        write()
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="choose another folder with --out"), staged(tmp_path / "result"):
        pass


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "result").write_text("a file")
    with (
        pytest.raises(OutputError, match="result: File exists; choose another folder"),
        staged(tmp_path / "result"),
    ):
        pass


def test_what_is_retired_goes_with_the_earlier_result(tmp_path: Path) -> None:
    (tmp_path / "sample.txt").write_text("of the earlier result")
    with staged(tmp_path, retired=("sample.txt",)) as stage:
        (stage / "a.txt").write_text("new")
        assert (tmp_path / "sample.txt").exists()
    assert written(tmp_path) == {"a.txt": b"new"}


def test_sketch_only_writes_nothing_of_any_text(read: Read, tmp_path: Path) -> None:
    options = Options(sketch_only=True)
    scan_files([read.folder.parent / "log.parquet"], tmp_path, options)
    campaigns = json.loads((tmp_path / "campaigns.json").read_text("utf-8"))
    assert campaigns
    assert all(campaign["exemplars"] == [] for campaign in campaigns)
    said = {
        " ".join(message["content"].split()[:8])
        for row in read.log["messages"].to_pylist()
        for message in row
        if len(message["content"].split()) >= 8
    }
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert not any(phrase.encode() in data for phrase in said for data in files)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "this result holds nothing of any text" in page
    assert "<blockquote>" not in page


def test_the_json_files_are_the_twin_of_the_page(read: Read) -> None:
    assert render(read.overview, read.campaigns) == read.page


def test_pictures_lie_beside_the_page_and_old_ones_go(read: Read, tmp_path: Path) -> None:
    names = {path.name for path in (read.folder / "pictures").iterdir()}
    kinds = ("certainty", "evidence", "principals", "timeline")
    assert names == {f"{campaign['campaign_id']}-{kind}.svg" for campaign in read.campaigns for kind in kinds}
    for path in (read.folder / "pictures").iterdir():
        root = ElementTree.fromstring(path.read_text("utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.svg").write_text("mine")
    scan_files([read.folder.parent / "log.parquet"], tmp_path, Options())
    again = {path.name: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    assert len(again) > 1
    log = write_parquet(to_log([exchange(1, "one", "how do I boil an egg")]), tmp_path / "log.parquet")
    scan_files([log], tmp_path)
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"mine.svg"}


def test_the_same_result_draws_the_same_pictures(read: Read) -> None:
    drawn = pictures(read.overview, read.campaigns)
    assert {path.name: path.read_text("utf-8") for path in (read.folder / "pictures").iterdir()} == drawn


def test_a_file_where_the_pictures_must_go_is_named(read: Read, tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("mine")
    with pytest.raises(OutputError, match="a file stands where the folder pictures must go"):
        scan_files([read.folder.parent / "log.parquet"], tmp_path)
    assert (tmp_path / "pictures").read_text() == "mine"
