"""Decisions and the shadow sample: read back, heeded, and turned into precision and recall without bias."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.calibration.assessment import estimate_missed
from stillwatch.calibration.decisions import _of_groups
from stillwatch.calibration.intervals import at_most, interval
from stillwatch.calibration.labels import LABELS, Label, LabelsError, Standing, read_labels, write_labels
from stillwatch.calibration.shadow import SHADOW, draw
from stillwatch.examine import Options
from stillwatch.findings import Result
from stillwatch.keys import Keys
from stillwatch.scan import scan
from stillwatch.sketching import Source
from tests.scans import (
    TEST_KEY,
    extraction_campaigns,
    fails,
    having,
    members,
    scan_files,
    scan_log,
    write_parquet,
)

WHEN = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
RECIPE = Recipe(
    seed=60, innocents=260, exchanges=4_500, days=7, operators=(Operator(accounts=40, camouflage=0.3),)
)


def label(**more: Any) -> dict[str, Any]:
    return {"decision": "innocent", "source": "review", "decided_at": WHEN, **more}


def test_labels_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        label(campaign_id="c-1", decision="extraction"),
        label(family_id="f-1", decision="unsure", source="shadow", inclusion_probability=0.25),
        label(account_id="a", end_user_id="u", decision="licensed", source="registry"),
        label(account_id="b", family_id="f-1", decision="extraction", source="appeal", appeal="reversed"),
        label(account_id="c", appeal="reversed"),
    ]
    write_labels(rows, tmp_path / "labels.parquet")
    read = read_labels(tmp_path / "labels.parquet")
    assert pq.read_schema(tmp_path / "labels.parquet").equals(LABELS)
    standing = [
        Standing.EXTRACTION,
        Standing.UNSURE,
        Standing.LICENSED,
        Standing.INNOCENT,
        Standing.OVERTURNED,
    ]
    assert [one.standing for one in read.labels] == standing
    assert [one.subject for one in read.about_groups()] == [
        ("c-1", None, None, None),
        (None, "f-1", None, None),
    ]
    assert read.labels[0].decided_at == WHEN


def test_a_later_decision_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    later = WHEN + dt.timedelta(days=1)
    rows = [label(account_id="a", decision="extraction", decided_at=later), label(account_id="a")]
    for order in (rows, rows[::-1]):
        write_labels(order, tmp_path / "labels.parquet")
        (only,) = read_labels(tmp_path / "labels.parquet").labels
        assert only.standing is Standing.EXTRACTION
    write_labels(
        [label(account_id="a"), label(account_id="a", decision="unsure")], tmp_path / "labels.parquet"
    )
    with pytest.raises(LabelsError, match="rows 1 and 2: two decisions on one subject at the same time"):
        read_labels(tmp_path / "labels.parquet")


def test_of_a_row_that_names_a_family_the_campaign_is_not_read(tmp_path: Path) -> None:
    later = WHEN + dt.timedelta(days=1)
    rows = [
        label(family_id="f-1", decided_at=later),
        label(family_id="f-1", campaign_id="c-1", decision="extraction"),
        label(family_id="", campaign_id="c-2", account_id="", end_user_id=""),
    ]
    for order in (rows, rows[::-1]):
        write_labels(order, tmp_path / "labels.parquet")
        found = {one.subject: one.standing for one in read_labels(tmp_path / "labels.parquet").labels}
        assert found == {
            (None, "f-1", None, None): Standing.INNOCENT,
            ("c-2", None, None, None): Standing.INNOCENT,
        }


def decided(standing: str, day: int = 0, appeal: str | None = None) -> Label:
    at = WHEN + dt.timedelta(days=day)
    return Label(standing, appeal, "review", ("c-1", None, None, None), at, None)


@pytest.mark.parametrize(
    ("families", "campaign", "stands"),
    [
        ({}, decided("innocent"), "innocent"),
        ({0: decided("innocent", 2)}, decided("extraction", 1), "innocent"),
        ({0: decided("innocent", 1)}, decided("extraction", 2), "extraction"),
        ({0: decided("extraction", 2)}, decided("innocent", 1), "extraction"),
        ({0: decided("innocent")}, decided("extraction"), "innocent"),
        # The others hold less than half.
        ({1: decided("innocent", 2), 2: decided("innocent", 2)}, decided("extraction", 1), "extraction"),
        ({1: decided("extraction", 2)}, decided("innocent", 1), "innocent"),
        # Cleared in two words is cleared, by what was said last.
        ({0: decided("innocent", 1), 1: decided("licensed", 2)}, None, "licensed"),
        ({1: decided("innocent"), 2: decided("licensed")}, None, None),
        ({0: decided("unsure", 2)}, decided("innocent", 1), "unsure"),
    ],
)
def test_of_a_campaign_and_its_families_the_later_decision_stands(
    families: dict[int, Label], campaign: Label | None, stands: str | None
) -> None:
    """A campaign of families with 60, 30 and 10 exchanges, one that is only attached, and another campaign."""
    scanned: Any = SimpleNamespace(
        groups=SimpleNamespace(
            label=np.array([0, 0, 0, 0, 1], np.int32), core=np.array([True, True, True, False, True])
        ),
        families=SimpleNamespace(family=np.repeat(np.arange(5), [60, 30, 10, 500, 50]), names=["f"] * 5),
    )
    found = _of_groups(scanned, {**families, 3: decided("innocent", 9)}, {0: campaign} if campaign else {})
    assert {group: one.standing for group, one in found.items()} == ({0: stands} if stands else {})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"account_id": "a", "decision": "guilty"},
            r"row 2: decision .* write extraction, innocent, licensed, unsure",
        ),
        ({"account_id": "a", "appeal": "won"}, r"row 2: appeal .* write upheld, reversed or null"),
        ({"account_id": "a", "source": "mail"}, r"row 2: source .* write review, shadow, appeal, registry"),
        ({"account_id": "a", "decided_at": None}, "row 2: decided_at is null"),
        ({}, "row 2: it names no subject"),
        ({"campaign_id": "c", "end_user_id": "u"}, "row 2: an end_user_id without the account_id"),
        ({"family_id": "f", "source": "shadow"}, "row 2: .* inclusion_probability; copy it"),
        ({"family_id": "f", "inclusion_probability": 0.5}, "row 2: rows from shadow, and only they"),
        (
            {"family_id": "f", "source": "shadow", "inclusion_probability": 1.5},
            r"row 2: .* must lie in \(0, 1\]",
        ),
        (
            {"account_id": "a", "source": "shadow", "inclusion_probability": 0.5},
            "row 2: a row from shadow is about",
        ),
    ],
)
def test_a_label_that_makes_no_sense_is_named_with_its_row(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_labels([label(account_id="fine"), label(**row)], tmp_path / "labels.parquet")
    with pytest.raises(LabelsError, match=said):
        read_labels(tmp_path / "labels.parquet")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.append_column("decided_by", pa.array(["somebody"])),
            "unknown column decided_by",
        ),
        (lambda table: table.drop_columns(["decision"]), "the column decision is missing; add it as string"),
        (
            lambda table: table.set_column(0, "decision", pa.array([3])),
            "decision is int64; write it as string",
        ),
        (
            lambda table: table.drop_columns(["decided_at"]).append_column(
                "decided_at", pa.array([WHEN.replace(tzinfo=None)])
            ),
            r"decided_at is timestamp\[us\]; write it as timestamp\[us, tz=UTC\]",
        ),
    ],
)
def test_a_table_of_other_columns_is_refused(change: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    write_labels([label(account_id="a")], path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(LabelsError, match=said):
        read_labels(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(LabelsError, match="give a Parquet file"):
        read_labels(path)


def families(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    return [
        {
            "family_id": f"f-{number:016x}",
            "role": "new",
            "verdict": "extraction" if bits > 14 else "popular_prompt",
            "evidence_bits": float(bits),
            "exchanges": int(rng.integers(8, 500)),
            "principals": int(rng.integers(8, 60)),
        }
        for number, bits in enumerate(rng.normal(-6, 8, count))
    ]


@pytest.mark.parametrize("number", [1, 4, 40, 10_000])
def test_every_family_below_the_threshold_has_a_chance(number: int) -> None:
    rows = families(np.random.default_rng(1), 400)
    below = [row for row in rows if row["verdict"] != "extraction"]
    drawn = draw(rows, number)
    assert len(drawn) == min(number, len(below))
    assert {row["family_id"] for row in drawn} <= {row["family_id"] for row in below}
    # Every stratum is in the sample, so the inverse chances add up to the families that there are.
    assert sum(1 / row["inclusion_probability"] for row in drawn) == pytest.approx(len(below))
    assert sum({row["stratum"]: row["stratum_families"] for row in drawn}.values()) == len(below)
    assert drawn == draw(rows[::-1], number), "the order of rows does not matter"
    assert all("verdict" not in row for row in drawn)


def test_the_sample_is_of_the_log_and_not_of_chance() -> None:
    rows = families(np.random.default_rng(1), 400)
    other = [row | {"exchanges": row["exchanges"] + 1} for row in rows]
    names = [{row["family_id"] for row in draw(found, 40)} for found in (rows, other)]
    assert names[0] != names[1]
    assert draw(rows, 0) == []


def test_the_estimate_of_what_was_missed_is_without_bias() -> None:
    rng = np.random.default_rng(5)
    below = [row for row in families(rng, 500) if row["verdict"] != "extraction"]
    chance = {row["family_id"]: 1 / (1 + np.exp(-0.4 * (row["evidence_bits"] - 2))) for row in below}
    guilty = {name for name, rate in chance.items() if rng.random() < rate}
    estimates, covered = [], 0
    for seed in range(1_000):
        # Another log of the same families: the seed alone is drawn anew.
        rows = [row | {"principals": seed} for row in below]
        labels = [
            (
                Standing.EXTRACTION if row["family_id"] in guilty else Standing.INNOCENT,
                row["inclusion_probability"],
            )
            for row in draw(rows, 60)
        ]
        estimate, most = estimate_missed(labels)
        estimates.append(estimate)
        covered += most >= len(guilty)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - len(guilty)) < 4 * error
    assert error < 0.02 * len(guilty)
    assert covered >= 950


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (0, 20), (3, 20), (19, 20), (20, 20), (400, 900)])
def test_the_limits_are_those_of_clopper_and_pearson(events: int, trials: int) -> None:
    low, high = interval(events, trials)
    assert 0 <= low <= events / trials <= high <= 1
    if events:
        assert 1 - at_most(events - 1, trials, low) == pytest.approx(0.025)
    if events < trials:
        assert at_most(events, trials, high) == pytest.approx(0.025)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(generate(RECIPE)[0], tmp_path_factory.mktemp("labels") / "log.parquet")


@pytest.fixture(scope="module")
def first(log: Path) -> Result:
    """The scan whose accusation people decide on."""
    return scan_files([log], log.with_name("first"), Options(shadow=25))


def accused(result: Result) -> dict[str, Any]:
    (found,) = (campaign for campaign in result.campaigns if campaign["verdict"] == "extraction")
    return dict(found)


def again(log: Path, rows: list[dict[str, Any]], folder: Path) -> Result:
    write_labels(rows, folder / "labels.parquet")
    return scan_files([log], folder / "result", Options(labels=read_labels(folder / "labels.parquet")))


@pytest.mark.parametrize("decision", ["innocent", "licensed", "reversed"])
@pytest.mark.parametrize("subject", ["campaign_id", "family_id"])
def test_what_was_cleared_is_not_accused_again(
    decision: str, subject: str, log: Path, first: Result, tmp_path: Path
) -> None:
    campaign = accused(first)
    if subject == "campaign_id":
        named = [{"campaign_id": campaign["campaign_id"]}]
    else:
        named = [{"family_id": family["family_id"]} for family in campaign["families"]]
    said = (
        {"decision": "extraction", "appeal": "reversed"} if decision == "reversed" else {"decision": decision}
    )
    result = again(log, [label(**said, **one) for one in named], tmp_path)
    assert extraction_campaigns(result) == []
    assert having(result, "undetermined") >= members(campaign)
    assert result.matches.num_rows == 0
    (same,) = (one for one in result.campaigns if one["campaign_id"] == campaign["campaign_id"])
    word = "innocent on appeal" if decision == "reversed" else decision
    assert same["reasons"][0] == f"people decided {word} on 2026-03-20 of it, and that stands"
    assert result.overview["labels"]["campaigns"] | {"low": 0, "high": 0} == {
        "extraction": 0, "cleared": 1, "open": 0, "precision": 0.0, "low": 0, "high": 0
    }  # fmt: skip


@pytest.mark.parametrize("last", ["innocent", "extraction"])
def test_a_later_decision_on_its_families_takes_the_place_of_one_on_a_campaign(
    last: str, log: Path, first: Result, tmp_path: Path
) -> None:
    campaign = accused(first)
    before = "extraction" if last == "innocent" else "innocent"
    rows = [
        label(family_id=family["family_id"], decision=last, decided_at=WHEN + dt.timedelta(days=1))
        for family in campaign["families"]
    ]
    rows.append(label(campaign_id=campaign["campaign_id"], decision=before))
    result = again(log, rows, tmp_path)
    assert extraction_campaigns(result) == ([] if last == "innocent" else [members(campaign)])
    found = result.overview["labels"]
    assert (found["campaigns"]["precision"], found["unmatched"]) == (float(last == "extraction"), 0)


def test_a_decision_on_a_family_of_another_log_is_about_nothing_here(
    log: Path, first: Result, tmp_path: Path
) -> None:
    campaign = accused(first)
    rows = [label(family_id="f-of-another-log", campaign_id=campaign["campaign_id"])]
    result = again(log, rows, tmp_path)
    assert extraction_campaigns(result) == [members(campaign)]
    assert result.overview["labels"]["unmatched"] == 1


@pytest.mark.parametrize("said", [{"decision": "extraction"}, {"decision": "unsure"}, {"appeal": "reversed"}])
def test_other_decisions_spare_nobody(said: dict[str, str], log: Path, first: Result, tmp_path: Path) -> None:
    campaign = accused(first)
    result = again(log, [label(campaign_id=campaign["campaign_id"], **said)], tmp_path)
    assert extraction_campaigns(result) == [members(campaign)]
    found = result.overview["labels"]["campaigns"]
    assert found["precision"] == (1.0 if said == {"decision": "extraction"} else None)


def test_a_cleared_principal_is_left_out_of_the_accusation(log: Path, first: Result, tmp_path: Path) -> None:
    campaign = accused(first)
    spared, other = sorted(members(campaign), key=str)[:2]
    family = campaign["families"][0]["family_id"]
    rows = [
        label(account_id=spared[0], end_user_id=spared[1], family_id=family),
        label(account_id=other[0], end_user_id=other[1], family_id="f-of-another-log"),
    ]
    result = again(log, rows, tmp_path)
    assert extraction_campaigns(result) == [members(campaign) - {spared}]
    assert spared in having(result, "undetermined")
    assert other in having(result, "extraction")
    (row,) = (
        row
        for row in result.accounts.to_pylist()
        if row["account_id"] == spared[0] and not row["end_user_id"]
    )
    assert row["reasons"][0] == "people decided innocent on 2026-03-20 of this principal, and that stands"
    assert row["extraction_exchanges"] == 0
    assert_counts_agree(result)
    assert accused(result)["scale"]["exchanges"] < campaign["scale"]["exchanges"]
    assert result.overview["labels"]["unmatched"] == 1
    assert result.overview["labels"]["principals"] == {"extraction": 0, "cleared": 1, "open": 0}


def assert_counts_agree(result: Result) -> None:
    """What a case says of an accused campaign is of those who take part, as are its matches and the accounts' rows."""
    campaign, matched = accused(result), result.matches.num_rows
    assert campaign["scale"]["exchanges"] == matched
    assert sum(row["extraction_exchanges"] for row in campaign["principals"]) == matched
    assert sum(model["exchanges"] for model in campaign["scale"]["models"]) == matched
    assert sum(sum(series["counts"]) for series in campaign["timeline"]["series"]) == matched
    rows = result.accounts.to_pylist()
    users = {row["account_id"] for row in rows if row["end_user_id"] is not None}
    people = [row for row in rows if row["end_user_id"] is not None or row["account_id"] not in users]
    assert sum(row["extraction_exchanges"] for row in people) == matched


@pytest.fixture(scope="module")
def resold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same log where the operator's accounts are end users of two keys, with an ordinary customer each."""
    table, truth = generate(RECIPE)
    operated = sorted({row["account_id"] for row in truth.to_pylist() if row["operator_id"]})
    others = sorted(set(table["account_id"].to_pylist()) - set(operated))[:2]
    key = {name: f"key-{place % 2}" for place, name in enumerate([*operated, *others])}
    names = table["account_id"].to_pylist()
    changed = {
        "account_id": [key.get(name, name) for name in names],
        "end_user_id": [name if name in key else None for name in names],
        "organization_id": [None] * len(names),
    }
    for name, values in changed.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, pa.string()))
    return write_parquet(table, tmp_path_factory.mktemp("resold") / "log.parquet")


@pytest.fixture(scope="module")
def through_keys(resold: Path) -> Result:
    """The scan that accuses the keys with their end users."""
    return scan_files([resold], resold.with_name("first"))


def rows_of(result: Result, account: str) -> list[dict[str, Any]]:
    """The row of an account, and those of its end users."""
    return [row for row in result.accounts.to_pylist() if row["account_id"] == account]


def test_an_account_that_is_accused_through_its_users_may_be_cleared(
    resold: Path, through_keys: Result, tmp_path: Path
) -> None:
    assert_counts_agree(through_keys)
    whole, *users = rows_of(through_keys, "key-0")
    assert whole["verdict"] == "extraction"
    assert whole["extraction_exchanges"] == sum(user["extraction_exchanges"] for user in users) > 0
    result = again(resold, [label(account_id="key-0")], tmp_path)
    spared, *same = rows_of(result, "key-0")
    assert (spared["verdict"], spared["extraction_exchanges"]) == ("undetermined", 0)
    assert spared["reasons"][0] == "people decided innocent on 2026-03-20 of this account, and that stands"
    assert same == users, "its customers answer for themselves"
    assert rows_of(result, "key-1")[0]["verdict"] == "extraction"
    found = result.overview["labels"]
    assert (found["unmatched"], found["principals"]["cleared"]) == (0, 1)
    assert_counts_agree(result)


def test_an_account_is_not_accused_through_end_users_of_whom_some_were_cleared(
    resold: Path, through_keys: Result, tmp_path: Path
) -> None:
    users = [row["end_user_id"] for row in rows_of(through_keys, "key-0")[1:]]
    result = again(resold, [label(account_id="key-0", end_user_id=user) for user in users[:3]], tmp_path)
    whole, *rows = rows_of(result, "key-0")
    assert whole["verdict"] == "undetermined"
    assert whole["reasons"][0] == "people cleared end users without whom it would not be accused"
    verdict = {row["end_user_id"]: row["verdict"] for row in rows}
    assert {verdict[user] for user in users[:3]} == {"undetermined"}
    assert list(verdict.values()).count("extraction") == len(verdict) - 3
    assert_counts_agree(result)


def test_who_was_cleared_is_not_told_of_to_peers(log: Path, first: Result, tmp_path: Path) -> None:
    campaign = accused(first)
    rows = [label(account_id=a, end_user_id=u) for a, u in sorted(members(campaign), key=str)[:20]]
    write_labels(rows, tmp_path / "labels.parquet")
    keys = Keys(local=TEST_KEY, circle=b"a circle's key for tests, no more")
    options = Options(labels=read_labels(tmp_path / "labels.parquet"))
    result = scan(Source((log,)), tmp_path / "result", keys, options)
    assert result.circle is not None
    shared = result.circle["campaigns"][campaign["campaign_id"]]
    assert sum(network["exchanges"] for network in shared["networks"]) <= result.matches.num_rows


def test_a_campaign_of_which_nearly_all_were_cleared_is_undetermined(
    log: Path, first: Result, tmp_path: Path
) -> None:
    rows = [label(account_id=a, end_user_id=u) for a, u in sorted(members(accused(first)), key=str)[4:]]
    result = again(log, rows, tmp_path)
    assert extraction_campaigns(result) == []
    assert having(result, "extraction") == set()


def test_shadow_labels_estimate_recall(log: Path, first: Result, tmp_path: Path) -> None:
    assert first.shadow is not None
    assert first.shadow.schema.equals(SHADOW)
    assert pq.read_table(log.with_name("first") / "shadow.parquet").num_rows == 25
    drawn = first.shadow.to_pylist()
    rows = [
        label(
            family_id=row["family_id"], source="shadow", inclusion_probability=row["inclusion_probability"],
            decision="extraction" if place == 0 else "innocent",
        )
        for place, row in enumerate(drawn)
    ]  # fmt: skip
    found = again(log, rows, tmp_path).overview["labels"]["recall"]
    families = first.families["verdict"].to_pylist().count("extraction")
    missed = 1 / drawn[0]["inclusion_probability"]
    assert (found["accused_families"], found["shadow_labels"]) == (families, 25)
    assert found["recall"] == pytest.approx(families / (families + missed))
    assert 0 < found["low"] < found["recall"]
    assert found["covered"] == pytest.approx(1.0)
    none = again(log, [label(account_id="nobody")], tmp_path).overview["labels"]
    assert (none["recall"], none["calibration"], none["unmatched"]) == (None, None, 1)


def test_the_command_line_names_a_bad_file(log: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").write_bytes(b"no parquet")
    said = fails(
        "scan", log, "--out", tmp_path / "out", "--labels", tmp_path / "labels.parquet", folder=tmp_path
    )
    assert "cannot read the labels" in said


def test_a_scan_without_labels_or_shadow_says_so(tmp_path: Path) -> None:
    result = scan_log(generate(Recipe(seed=2, innocents=60, exchanges=500))[0], tmp_path)
    assert (result.overview["labels"], result.shadow) == (None, None)
    assert not (tmp_path / "result" / "shadow.parquet").exists()
