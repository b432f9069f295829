"""A backtest counts what the rules would have done; a plain count by hand says the same."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from stillwatch.arena import PRESETS, simulate
from stillwatch.calibration.labels import read_labels, write_labels
from stillwatch.cli import app
from stillwatch.live.past import Past, Row, Sent
from stillwatch.response.actions import Action
from stillwatch.response.backtest import backtest
from stillwatch.response.policy import Policy
from stillwatch.response.rules import Mode, Rule, When

HOUR = 3_600_000_000
NONE = dt.timedelta(0)


def flag(campaign: str, account: str, hour: int, probability: float = 0.9) -> dict[str, object]:
    return {
        "campaign_id": campaign,
        "account_id": account,
        "end_user_id": None,
        "at_us": hour * HOUR,
        "probability": probability,
    }


def look(
    campaign: str, hour: int, exchanges: int, bits: float = 20.0, principals: int = 2
) -> dict[str, object]:
    return {
        "campaign_id": campaign,
        "at_us": hour * HOUR,
        "evidence_bits": bits,
        "exchanges": exchanges,
        "principals": principals,
        "flagged": hour >= 2,
    }


FLAGS = (flag("c-1", "a", 2), flag("c-1", "b", 2), flag("c-2", "x", 3, 0.5), flag("c-1", "late", 5))
LOOKS = (
    look("c-1", 1, 10), look("c-1", 2, 20), look("c-2", 3, 8, bits=3.0, principals=1), look("c-1", 5, 40),
    look("c-1", 9, 80),
)  # fmt: skip
SENT = Sent(
    tuple(
        Row((account, None), int(hour * HOUR), extraction, "op" if extraction else "")
        for account, extraction, hours in (
            ("a", True, (1, 2, 3, 4)),
            ("b", True, (1, 8)),
            ("late", True, (4.5, 6)),
            ("missed", True, (1, 9)),
            ("a", False, (1, 3)),
            ("x", False, (2, 4, 5)),
        )
        for hour in hours
    )
)
SURE = Rule(
    "sure",
    Action.THROTTLE,
    Mode.PROPOSE,
    When(least_probability=0.99),
    spread=NONE,
    lasts=dt.timedelta(days=9),
)
ALL = Rule("all", Action.THROTTLE, spread=NONE, lasts=dt.timedelta(hours=4))
POLICY = Policy(rules=(SURE, ALL), principals=2)


def test_with_a_truth_the_counts_are_those_by_hand() -> None:
    together, sure, everybody = backtest(
        [Past(FLAGS, LOOKS, 1e-3, False, SENT)], POLICY, dt.timedelta(hours=1)
    )
    assert (together.rule, sure.rule, everybody.mode) == ("", "sure", "shadow")
    assert (together.campaigns, together.answered, together.principals) == (2, 1, 3)
    # Of ten extraction exchanges: a at 3 and 4, b at 8, late at 6 come after hours 3, 3 and 6.
    assert sure.leak == pytest.approx(6 / 10)
    assert (sure.innocent, sure.unknown, sure.ordinary) == (0, 0, 1)
    assert (sure.operators, sure.operators_stopped) == (1, 1)
    assert sure.approvals == 1
    # The rule in the shadow hits the innocent x as well, and what it does ends after four hours.
    assert (everybody.answered, everybody.principals, everybody.innocent) == (2, 4, 1)
    assert everybody.leak == pytest.approx(7 / 10)
    assert everybody.ordinary == 3
    assert everybody.expected_innocent == pytest.approx(3 * 0.1 + 0.5)


def test_without_a_truth_labels_say_who_is_innocent_and_looks_what_leaked(tmp_path: Path) -> None:
    at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    rows = [
        {"decision": "innocent", "source": "review", "campaign_id": "c-2", "decided_at": at},
        {"decision": "extraction", "source": "review", "account_id": "a", "decided_at": at},
    ]
    write_labels([*rows], tmp_path / "labels.parquet")
    past = Past(FLAGS, LOOKS, 1e-3, False, None)
    _, _, everybody = backtest([past], POLICY, NONE, read_labels(tmp_path / "labels.parquet"))
    assert (everybody.innocent, everybody.unknown, everybody.operators) == (1, 2, None)
    # Somebody of c-1 is hit at hour 2, when 20 of 80 were seen; of c-2 at hour 3, when all 8 were.
    assert (everybody.leak, everybody.leak_by) == (pytest.approx(28 / 88), "looks")
    assert backtest([past], POLICY, NONE)[0].innocent is None


def test_a_rule_that_asks_for_a_calibration_or_an_age_waits_for_it() -> None:
    old = Rule("old", Action.THROTTLE, when=When(least_age=dt.timedelta(hours=3)), spread=NONE)
    bound = Rule("bound", Action.THROTTLE, when=When(calibrated=True), spread=NONE)
    policy = Policy(rules=(old, bound))
    plain, none = backtest([Past(FLAGS, LOOKS, 1e-3, False, None)], policy, NONE)
    assert (plain.answered, plain.leak) == (1, pytest.approx(48 / 88))
    assert (none.answered, none.leak) == (0, 1.0)
    assert backtest([Past(FLAGS, LOOKS, 1e-3, True, None)], policy, NONE)[1].answered == 2


RULES = """
version = 1
[[rules]]
name = "throttle what is certain"
mode = "propose"
action = "throttle"
spread = "1h"
when = { least_probability = 0.99 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    simulate(PRESETS["tiny"], folder / "log")
    (folder / "policy.toml").write_text(RULES)
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, words)], catch_exceptions=False)


@pytest.mark.slow
def test_a_simulated_log_by_command_with_its_truth(folder: Path) -> None:
    log, truth = folder / "log" / "exchanges.parquet", folder / "log" / "truth.parquet"
    asked = ("--policy", folder / "policy.toml", "--step", "1d", "--json")
    shown = json.loads(run("backtest", log, "--truth", truth, *asked).output)[0]
    rows = pq.read_table(truth)
    guilty = {row for row in rows.filter(rows["extraction"])["account_id"].to_pylist()}
    assert (shown["answered"], shown["operators"], shown["operators_stopped"]) == (1, 1, 1)
    assert 0.7 * len(guilty) <= shown["principals"] - shown["innocent"] <= len(guilty)
    assert 0.2 < shown["leak"] < 1
    # The same log, replayed first and without its truth.
    out = folder / "replayed"
    CliRunner().invoke(app, ["replay", str(log), "--out", str(out), "--step", "1d"], catch_exceptions=False)
    again = json.loads(run("backtest", out, *asked).output)[0]
    assert (again["principals"], again["innocent"], again["leak_by"]) == (shown["principals"], None, "looks")
    told = run("backtest", out, "--policy", folder / "policy.toml").output
    assert "rule throttle what is certain (propose): answers 1 of 1 flagged campaigns" in told


def test_what_cannot_be_tested_is_said(folder: Path, tmp_path: Path) -> None:
    from stillwatch.live.past import past_of_replay
    from stillwatch.response import ResponseError

    (tmp_path / "replay.json").write_text("{}")
    with pytest.raises(ResponseError, match="is no whole result of a replay"):
        past_of_replay(tmp_path)
    log = folder / "log" / "exchanges.parquet"
    pq.write_table(pa.table({"exchange_id": ["x"]}), tmp_path / "truth.parquet")
    with pytest.raises(ResponseError, match=r"it needs exchange_id|give a Parquet file"):
        run(
            "backtest",
            log,
            "--truth",
            tmp_path / "truth.parquet",
            "--policy",
            folder / "policy.toml",
            "--step",
            "7d",
        )
    (tmp_path / "bare.toml").write_text("version = 1\n")
    with pytest.raises(ResponseError, match="has no rules"):
        run("backtest", log, "--policy", tmp_path / "bare.toml")


def test_rules_by_command(folder: Path, tmp_path: Path) -> None:
    from tests.review.results import accounts, campaign, write_result

    store, policy = ("--store", tmp_path / "review.db"), ("--policy", folder / "policy.toml")
    assert "1 rules, hash" in run("check", folder / "policy.toml").output
    result = write_result(
        tmp_path / "result", [campaign(f"c-{n}", [f"f-{n}"], accounts(f"a{n}", 4)) for n in (1, 2)]
    )
    CliRunner().invoke(app, ["review", "load", str(result), *map(str, store)], catch_exceptions=False)
    assert run("propose", *store, *policy, "--by", "ann").output.endswith("2 new\n")
    assert "proposes throttle: 4 principals" in run("list", *store).output
    told = run("accept", 1, *store, *policy, "--by", "bob", "--reason", "one hand").output
    assert told == "decision 1; see `stillwatch review show`\n"
    assert "is turned down" in run("dismiss", 2, *store, "--by", "bob", "--reason", "a class").output
    counts = json.loads(run("list", *store, "--json").output)["counts"]
    assert {one["state"] for one in counts} == {"taken", "dismissed"}
